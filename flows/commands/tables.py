"""Tables and screens for a terminal, in the same words as the report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from artifacts.evaluation.numbers import with_interval

if TYPE_CHECKING:
    from artifacts.gate.decision import Decision
    from artifacts.registry.ledger import Entry
    from artifacts.reporting.summary import CandidateRow, NightReport

CANDIDATE_COLUMNS = ("candidate", "validation", "test", "training", "images/s", "result")


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """Return a plain table; the caller formats numbers, and nothing in a cell is taken as markup."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        shown.add_column(header, overflow="fold")
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    return shown


def night_screen(night: "NightReport", report: str) -> Group:
    """Return the screen with which a night ends.

    Args:
        night: the run to show.
        report: path of its report.
    """
    colour = "green" if night.promoted else "yellow"
    rows = [_candidate(row, night.winner) for row in night.candidates]
    parts: list[Any] = [
        Text(f"{night.headline}: {night.reason}", style=f"bold {colour}"),
        table(CANDIDATE_COLUMNS, rows),
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
    """Return the numbers behind a decision.

    Args:
        decision: the gate's decision.
        verdict: the verdict of tonight's run; if it differs, the decision is an earlier run's.
    """
    when = "the decision" if decision.verdict == verdict else "the earlier decision, which still stands"
    return table((when, ""), [*decision.rows(), ("what would change it", decision.would_change)])


def version_screen(name: str, parts: Mapping[str, Mapping[str, Any]], entries: Iterable["Entry"]) -> Group:
    """Return what is known about one version: its test result, provenance, decision and ledger lines.

    Args:
        name: the version's id.
        parts: the version's JSON files by name: metrics, provenance, training, decision.
        entries: the ledger lines about it.
    """
    test, made = parts["metrics"]["test"], parts["provenance"]
    accuracy = with_interval(test["accuracy"], test["low"], test["high"])
    facts = [
        ("recipe", made["recipe"] + ", " + ", ".join(f"{key}={value}" for key, value in made["parameters"].items())),
        ("seed", made["seed"]),
        ("test accuracy", f"{accuracy} on {test['n_examples']:,} images"),
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
    """Return lines of the ledger as a table, in the order given."""
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


def _candidate(row: "CandidateRow", winner: str) -> list[Text]:
    texts = row.texts(winner)
    style = "red" if row.failed else "bold" if row.name == winner else ""
    return [Text(texts[column], style=style) for column in CANDIDATE_COLUMNS]
