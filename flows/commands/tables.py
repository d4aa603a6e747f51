"""Tables and screens for a terminal; the same words as the report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from artifacts.gate.decision import Decision
    from artifacts.registry.ledger import Entry
    from artifacts.reporting.summary import CandidateRow, NightReport


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """Return a plain table; numbers are written by the caller, and nothing in a cell is taken as markup."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        shown.add_column(header, overflow="fold")
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    return shown


def percent(share: float | None, digits: int = 2) -> str:
    """Return 0.9951 as "99.51 %"."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def night_screen(night: "NightReport", report: str) -> Group:
    """Return the one screen with which a night ends."""
    colour = "green" if night.promoted else "yellow"
    rows = [_candidate(row, night.winner) for row in night.candidates]
    parts: list[Any] = [
        Text(f"{night.headline}: {night.reason}", style=f"bold {colour}"),
        table(("", "candidate", "parameters", "validation", "test (95 %)", "seconds", "images/s"), rows),
        Text(f"champion before: {night.champion_before or 'none'}    after: {night.champion_after or 'none'}"),
        Text(f"report: {report}"),
    ]
    if night.decision:
        parts[1:1] = [*map(Text, night.decision.notes), decision_table(night.decision, night.verdict)]
    if night.next_commands:
        width = max(len(command) for command, _ in night.next_commands)
        parts.append(Text("next:"))
        parts += [Text(f"  {command:<{width}}  {purpose}", style="dim") for command, purpose in night.next_commands]
    return Group(*parts)


def decision_table(decision: "Decision", verdict: str) -> Table:
    """Return all that a decision rests on.

    Args:
        decision: the gate's.
        verdict: tonight's; where it is another one, the decision is an earlier night's.
    """
    when = "the decision" if decision.verdict == verdict else "the decision when it was taken"
    return table((when, ""), [*decision.rows(), ("what would change it", decision.would_change)])


def version_screen(name: str, parts: Mapping[str, Mapping[str, Any]], entries: Iterable["Entry"]) -> Group:
    """Return what there is to know about one version."""
    test, made = parts["metrics"]["test"], parts["provenance"]
    facts = [
        ("recipe", made["recipe"] + ", " + ", ".join(f"{key}={value}" for key, value in made["parameters"].items())),
        ("seed", made["seed"]),
        (
            "test accuracy",
            f"{percent(test['accuracy'])} of {test['n_examples']:,} ({_interval(test['low'], test['high'])})",
        ),
        ("log loss", f"{test['log_loss']:.4f}"),
        ("calibration error", f"{test['ece']:.4f}"),
        ("trained on", f"{made['device']}, {parts['training']['seconds']:.1f} s"),
        ("data", made["prepared_digest"]),
        ("weights", made["weights_digest"]),
        ("commit", f"{made['git_commit'] or 'unknown'}{' with local changes' if made['git_dirty'] else ''}"),
        ("libraries", ", ".join(f"{key} {value}" for key, value in made["libraries"].items())),
        ("run", made["run_id"]),
        ("decision", f"{parts['decision']['verdict']}: {parts['decision']['reason']}"),
    ]
    return Group(Text(name, style="bold"), table(("", ""), facts), events_table(entries))


def events_table(entries: Iterable["Entry"]) -> Table:
    """Return lines of the ledger, oldest first."""
    rows = [
        (
            entry.when[:19].replace("T", " "),
            entry.action,
            entry.from_version or "–",
            entry.to_version or "–",
            entry.who,
            entry.why,
        )
        for entry in entries
    ]
    return table(("when (UTC)", "what", "from", "to", "who", "why"), rows)


def _candidate(row: "CandidateRow", winner: str) -> tuple[Any, ...]:
    changed = ", ".join(f"{key}={value}" for key, value in row.parameters.items())
    if row.failed or row.validation is None:
        return ("✗", f"{row.recipe} seed {row.seed}", Text(row.failed, style="red"), "", "", "", "")
    test = f"{percent(row.test.accuracy)} ({_interval(row.test.low, row.test.high)})" if row.test else ""
    seconds = "used again" if row.reused else f"{row.seconds:.1f}"
    mark = "*" if row.name == winner else ""
    return (
        mark,
        f"{row.recipe} seed {row.seed}",
        changed,
        percent(row.validation.accuracy),
        test,
        seconds,
        f"{row.images_per_s:,.0f}",
    )


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.2f}–{100 * high:.2f}"
