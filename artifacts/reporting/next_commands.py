"""Commands that a person may want to give after a night: approve, explain, reproduce, go back, try again."""

from artifacts.registry.waiting import Waiting


def after(
    dataset: str, seed: int, before: str | None, champion: str | None, waits: Waiting | None
) -> list[tuple[str, str]]:
    """Return pairs of a command and what it does.

    Args:
        dataset: the dataset's name.
        seed: of the winner.
        before: the champion when the night began, such as "mnist/2"; None without one.
        champion: the champion now.
        waits: the version that waits for a person's approval; None if none does.
    """
    commands = [
        *_answers(waits),
        (f"nightshift history {dataset}", "every decision about this dataset"),
        (f"nightshift show {dataset}", "the champion: what it is and what it was made from"),
        (f"nightshift predict IMAGE.png --model {dataset}", "ask the champion about an image"),
    ]
    if champion:
        commands.append((f"nightshift why {champion}", "explains why it was promoted"))
        commands.append((f"nightshift replay {champion}", "reproduces it: trains it again and compares the weights"))
    if before and champion != before:
        commands.append((f"nightshift diff {before} {champion}", "where the two champions differ"))
        commands.append((f"nightshift rollback {dataset} --reason WHY", f"goes back to {before}"))
    return [*commands, (f"nightshift retrain {dataset} --seed {seed + 1}", "another night with another seed")]


def _answers(waits: Waiting | None) -> list[tuple[str, str]]:
    if waits is None:
        return []
    return [
        (f"nightshift approve {waits.version} --reason WHY", "make what waits champion"),
        (f"nightshift decline {waits.version} --reason WHY", "or do not"),
    ]
