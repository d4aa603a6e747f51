"""The commands about registered models: which there are, why, who decided it, and what they say about an image."""

import getpass
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App

from data.errors import BadInput, NightshiftError
from flows.commands.console import (
    BROKEN,
    DONE,
    NOT_PROMOTED,
    Flag,
    Json,
    Several,
    console,
    print_json,
    print_table,
    store,
)

if TYPE_CHECKING:
    from data.store import Store

app = App(name="registered")
models = App(name="models", help="The registered models.")
app.command(models)


@models.default
@models.command(name="list", help_epilogue="Example: nightshift models list mnist")
def list_models(dataset: str = "", *, json: Json = False) -> None:
    """List the registered versions; the champions are marked.

    Args:
        dataset: Only this one's.
    """
    from artifacts.evaluation.numbers import percent
    from artifacts.registry import versions

    home = store()
    names = (dataset,) if dataset else versions.datasets(home)
    rows = [_version_row(home, version) for name in names for version in versions.versions(home, name)]
    if json:
        print_json(rows)
    elif rows:
        shown = [
            ("*" if row["champion"] else "", row["version"], row["recipe"], percent(row["accuracy"]), row["run"])
            for row in rows
        ]
        print_table(("", "version", "recipe", "test accuracy", "registered by run"), shown)
    else:
        print("no model is registered yet\n  -> nightshift retrain")


def _version_row(home: "Store", version: Any) -> dict[str, Any]:
    from artifacts.registry import champions

    champion = champions.champion_id(home, version.dataset)
    return {
        "version": version.id,
        "champion": version.id == champion,
        "recipe": version.recipe,
        "accuracy": version.document("metrics.json")["test"]["accuracy"],
        "weights": version.weights_digest,
        "run": version.run_id,
        "folder": str(version.folder),
    }


@app.command(help_epilogue="Example: nightshift show mnist/1")
def show(version: str, *, json: Json = False) -> None:
    """Show one version: what it is, what it was made from, how good it is, and what became of it.

    Args:
        version: Such as mnist/1; a dataset means its champion.
    """
    from artifacts.registry import champions

    found = _find(version)
    story = champions.version_history(store(), found.id)
    parts = {name: found.document(f"{name}.json") for name in ("metrics", "training", "provenance", "decision")}
    if json:
        print_json({**_version_row(store(), found), **parts, "history": [entry.to_json() for entry in story.entries]})
        return
    from flows.commands.tables import version_screen

    console().print(version_screen(found.id, parts, story.entries))


@app.command(help_epilogue="Example: nightshift history mnist")
def history(dataset: str = "mnist", *, json: Json = False) -> None:
    """Tell every decision ever taken about a dataset's champion, oldest first.

    Args:
        dataset: Whose.
    """
    from artifacts.registry import champions
    from flows.commands.tables import events_table

    entries = champions.history(store(), _known(dataset))
    if json:
        print_json([entry.to_json() for entry in entries])
    elif entries:
        console().print(events_table(entries))
    else:
        print(f"nothing has been decided about {dataset} yet\n  -> nightshift retrain {dataset}")


@app.command(help_epilogue="Example: nightshift champion mnist --at 2026-11-20")
def champion(dataset: str = "mnist", *, at: str = "", json: Json = False) -> int:
    """Say which version is champion, or was at some moment, and why.

    Args:
        dataset: Whose.
        at: A date or time such as 2026-11-20 or 2026-11-20T03:00; a date means its end, times are UTC.
    """
    from artifacts.registry import champions

    entry = champions.champion_at(store(), _known(dataset), _moment(at))
    if json:
        print_json(entry.to_json() if entry else None)
    elif entry:
        when = entry.when[:19].replace("T", " ")
        print(f"{entry.to_version} since {when} UTC ({entry.action} by {entry.who}): {entry.why}")
    else:
        print(f"{dataset} had no champion{' then' if at else ' yet'}\n  -> nightshift retrain {dataset}")
    return DONE if entry else NOT_PROMOTED


@app.command(help_epilogue="Example: nightshift predict digit.png --model mnist --true 7 --save digit-prediction.png")
def predict(
    image: Path,
    *,
    model: str = "mnist",
    true: Annotated[tuple[str, ...], Several] = (),
    top: int = 3,
    save: Path | None = None,
    resize: Annotated[bool, Flag] = False,
    invert: Annotated[bool, Flag] = False,
    json: Json = False,
) -> None:
    """Ask a registered model what an image shows.

    Args:
        image: A PNG, JPEG, NPY or IDX file, with one image or several.
        model: A version such as mnist/1; a dataset means its champion.
        true: What it really is: a class name or number, one for each image.
        top: How many classes to print.
        save: Write the picture that shows image, answer and probabilities to this PNG file.
        resize: Fit an image of another size.
        invert: The image is dark on light; the datasets are light on dark.
    """
    from artifacts.operations.predict import ask
    from flows.commands.console import native_messages_to
    from flows.settings import prepare_environment

    prepare_environment()
    with native_messages_to(store().root / "native.log"):
        answer = ask(store(), _find(model), image, true=true, resize=resize, invert=invert)
    if save:
        answer.save(save)
    if json:
        print_json(answer.to_json())
    else:
        print("\n".join((*(f"note: {warning}" for warning in answer.warnings), *answer.lines(top))))
        if save:
            print(f"picture: {save}")


@app.command(help_epilogue="Example: nightshift rollback mnist --why 'confuses 4 and 9 in production'")
def rollback(dataset: str, *, why: str, to: str = "", json: Json = False) -> None:
    """Make an earlier version champion again, and bar the one that was.

    Args:
        dataset: Whose champion.
        why: The reason; the ledger keeps it.
        to: A version such as mnist/1. Default: the champion before this one.
    """
    from artifacts.operations.rollback import roll_back

    print("checking the earlier version in a fresh process and on the test images", file=sys.stderr)
    entry = roll_back(store(), _known(dataset), who=getpass.getuser(), why=why, to=to or None)
    if json:
        print_json(entry.to_json())
    else:
        print(f"{entry.to_version} is champion of {dataset} again; {entry.from_version} is barred from promotion")


@app.command(help_epilogue="Example: nightshift verify")
def verify(*, repair: Annotated[bool, Flag] = False, json: Json = False) -> int:
    """Hash every registered file again, follow every ledger, and say what is wrong.

    Args:
        repair: Rebuild a damaged champion pointer from the ledger.
    """
    from artifacts.operations.verify import find_problems
    from artifacts.registry import versions

    home = store()
    repaired = [done for dataset in versions.datasets(home) for done in _repair(home, dataset)] if repair else []
    findings = find_problems(home)
    if json:
        print_json({"findings": [finding.to_json() for finding in findings], "repaired": repaired})
    else:
        for line in (*repaired, *(f"{one.subject}: {one.problem}\n  -> {one.hint}" for one in findings)):
            print(line)
        print(f"{len(findings)} findings" if findings else "everything is as it was written")
    return BROKEN if any(finding.serious for finding in findings) else DONE


def _repair(home: "Store", dataset: str) -> list[str]:
    """Repair one dataset; what cannot be repaired there must not keep the others from it."""
    from artifacts.operations.verify import repair

    try:
        return repair(home, dataset)
    except NightshiftError as error:
        return [f"{dataset} cannot be repaired: {error}"]


@app.command(help_epilogue="Example: nightshift why mnist/1")
def why(version: str, *, json: Json = False) -> None:
    """Say why a version was promoted: the decision with its numbers, and every event that concerns it.

    Args:
        version: Such as mnist/1; a dataset means its champion.
    """
    from artifacts.gate.decision import Decision
    from artifacts.registry import champions
    from flows.commands.tables import decision_table, events_table

    story = champions.version_history(store(), _find(version).id)
    if json:
        print_json({"decision": story.decision, "history": [entry.to_json() for entry in story.entries]})
    else:
        decision = Decision.from_json(story.decision)
        console().print(
            f"{decision.verdict}: {decision.reason}", *decision.notes, sep="\n", markup=False, highlight=False
        )
        console().print(decision_table(decision, decision.verdict), events_table(story.entries))


@app.command(help_epilogue="Example: nightshift diff mnist/1 mnist/2 --save difference.png")
def diff(first: str, second: str, *, save: Path | None = None, json: Json = False) -> None:
    """Compare two versions: data, recipe, code, environment, seed and metrics, and the images on which they differ.

    Args:
        first: Such as mnist/1; a dataset means its champion.
        second: Likewise.
        save: Draw the images on which they differ into this PNG file.
    """
    from artifacts.operations.diff import compare

    difference = compare(store(), _find(first), _find(second))
    if save:
        difference.save(save)
    if json:
        print_json(difference.to_json())
    else:
        print_table(("", difference.first, difference.second, ""), difference.rows())
        print(difference.sentence)
        if save:
            print(f"picture: {save}")


@app.command(help_epilogue="Example: nightshift replay mnist/1")
def replay(version: str, *, device: Literal["auto", "gpu", "cpu"] = "auto", json: Json = False) -> int:
    """Train a version once more from its provenance, and say whether the same weights come out, or what differs.

    Args:
        version: Such as mnist/1; a dataset means its champion.
        device: Where to train.
    """
    from artifacts.operations.replay import replay as train_again
    from flows.commands.console import native_messages_to
    from flows.commands.progress import showing
    from flows.settings import prepare_environment
    from tasks.progress import Bar

    found = _find(version)
    prepare_environment()
    with showing(console(stderr=True)), native_messages_to(store().root / "native.log"):
        bar = Bar(f"replay {found.id}")
        bar(0.0, "importing TensorFlow")
        told = train_again(
            store(), found, device, lambda now: bar(now.epoch / now.epochs, f"epoch {now.epoch} of {now.epochs}")
        )
    if json:
        print_json(told.to_json())
    else:
        if told.differing:
            print_table(
                ("", "then", "now"), [(name, str(was), str(now)) for name, (was, now) in told.differing.items()]
            )
        print(told.sentence)
    return DONE if told.same else BROKEN


@app.command(help_epilogue="Example: nightshift bar mnist/2 --why 'trained on mislabelled data'")
def bar(version: str, *, why: str) -> None:
    """Refuse to promote the weights of a version until somebody lifts the bar.

    Args:
        version: Such as mnist/2.
        why: The reason; the ledger keeps it.
    """
    from artifacts.registry import bars

    entry = bars.bar(store(), version, who=getpass.getuser(), why=why)
    print(f"{version} is barred since {entry.when[:10]}: {entry.why}")


@app.command(help_epilogue="Example: nightshift lift mnist/2 --why 'the labels were right'")
def lift(version: str, *, why: str) -> None:
    """Allow again what `bar` or `rollback` has refused.

    Args:
        version: Such as mnist/2.
        why: The reason; the ledger keeps it.
    """
    from artifacts.registry import bars

    bars.lift(store(), version, who=getpass.getuser(), why=why)
    print(f"{version} may be promoted again")


def _find(name: str) -> Any:
    """Return the version called "mnist/1", or the champion of "mnist"."""
    from artifacts.registry import champions, versions
    from data.errors import UnknownName

    if "/" in name:
        return versions.find(store(), name)
    found = champions.champion(store(), _known(name))
    if found is None:
        raise UnknownName(f"{name} has no champion yet", f"run: nightshift retrain {name}")
    return found


def _known(dataset: str) -> str:
    """Return the name of a dataset that the catalogue or the registry knows."""
    from artifacts.registry import versions
    from data import catalogue

    home = store()
    return dataset if dataset in versions.datasets(home) else catalogue.get(home, dataset).name


def _moment(text: str) -> datetime:
    if not text:
        return datetime.now(UTC)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is not a date or time", "write 2026-11-20 or 2026-11-20T03:00") from error
    if len(text) <= len("2026-11-20"):
        when = when.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
