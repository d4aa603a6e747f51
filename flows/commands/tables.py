"""Tables and screens for a terminal, in the same words as the report."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from artifacts.evaluation.numbers import with_interval

if TYPE_CHECKING:
    from artifacts.gate.decision import Decision
    from artifacts.operations.known_dataset import Known, References
    from artifacts.registry.ledger import Entry
    from artifacts.reporting.summary import CandidateRow, NightReport
    from data.dataset import Dataset

MANY_CLASSES = 40  # on a screen
CANDIDATE_COLUMNS = ("candidate", "validation", "test", "training", "images/s", "result")
SPARE_COLUMNS = ("images/s", "validation", "training")  # the least important first


class FittingTable:
    """A table that leaves out columns where the terminal is too narrow for all of them.

    Args:
        headers: one per column.
        rows: one text per column.
        title: above the table.
        spare: headers of columns that may be left out, those that matter least first; what is left is folded.
    """

    def __init__(
        self, headers: Sequence[str], rows: Sequence[Sequence[Text]], title: str | None, spare: Sequence[str]
    ) -> None:
        self.headers, self.rows, self.title, self.spare = headers, rows, title, spare

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left_out: list[str] = []
        shown = self._with(self.headers)
        for header in self.spare:
            if Measurement.get(console, options.update(max_width=10_000), shown).maximum <= options.max_width:
                break
            left_out.append(header)
            shown = self._with([one for one in self.headers if one not in left_out])
        yield shown
        if left_out:
            yield Text(f"left out, as the terminal is narrow: {', '.join(left_out)}", style="dim")

    def _with(self, headers: Sequence[str]) -> Table:
        shown = Table(title=self.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for header in headers:
            shown.add_column(header, overflow="fold")
        for row in self.rows:
            shown.add_row(*(row[place] for place, header in enumerate(self.headers) if header in headers))
        return shown


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None, spare: Sequence[str] = ()
) -> FittingTable:
    """Return a plain table; the caller formats numbers, and nothing in a cell is taken as markup.

    Args:
        headers: one per column.
        rows: one value per column; None is empty.
        title: above the table.
        spare: see `FittingTable`.
    """
    texts = [
        [cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row] for row in rows
    ]
    return FittingTable(headers, texts, title, spare)


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
        *([table(CANDIDATE_COLUMNS, rows, spare=SPARE_COLUMNS)] if rows else []),
        Text(f"champion before: {night.champion_before or 'none'}    after: {night.champion_after or 'none'}"),
        Text(f"report: {report}"),
    ]
    if night.waits:
        parts.insert(-1, Text(night.waits, style="bold"))
    if night.news:
        parts.insert(1, Text(f"in the data: {night.news.sentence}"))
    for shift in night.validation.shifts if night.validation else ():
        parts.insert(2, Text(f"note: {shift.sentence}", style="yellow"))
    if night.decision:
        parts[1:1] = [*map(Text, night.decision.notes), decision_table(night.decision, night.verdict)]
    if night.next_commands:
        width = max(len(command) for command, _ in night.next_commands)
        parts.append(Text("next:"))
        parts += [Text(f"  {command:<{width}}  {purpose}", style="dim") for command, purpose in night.next_commands]
    return Group(*parts)


def decision_table(decision: "Decision", verdict: str) -> FittingTable:
    """Return the numbers behind a decision.

    Args:
        decision: the gate's decision.
        verdict: the verdict of tonight's run; if it differs, the decision is an earlier run's.
    """
    when = "the decision" if verdict in (decision.verdict, "WAITING") else "the earlier decision, which still stands"
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


def events_table(entries: Iterable["Entry"]) -> FittingTable:
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
    return table(("when (UTC)", "what", "from", "to", "who", "why"), rows, spare=("who", "from"))


def _candidate(row: "CandidateRow", winner: str) -> list[Text]:
    texts = row.texts(winner)
    style = "red" if row.failed else "bold" if row.name == winner else ""
    return [Text(texts[column], style=style) for column in CANDIDATE_COLUMNS]


# -- datasets ----------------------------------------------------------------------------------------------------------


def dataset_screen(known: "Known") -> Group:
    """Return the screen of `nightshift datasets show`."""
    row, refers = known.row, known.refers
    facts = [
        ("title", row.title),
        ("images", f"{row.n_train:,} for training, {row.n_test:,} for testing"),
        ("size", _geometry(row)),
        ("licence", row.licence),
        ("cite", row.citation),
        ("read from", _origin(row)),
        ("grows", _growth(row)),
        ("contact sheet", known.about.sheet),
        ("promotion", known.policy),
        ("schedule", "; ".join(known.schedules)),
        ("champion", refers.champion),
        ("registered", _versions(refers)),
        ("nights", f"{refers.nights:,}, the last {refers.last}" if refers.nights else ""),
    ]
    parts: list[Any] = [Text(row.name, style="bold"), table(("", ""), [fact for fact in facts if fact[1]])]
    if known.counts:
        parts.append(_classes(known))
    if known.nights:
        parts.append(_nights(known))
    return Group(*parts, *_findings(known))


def added_screen(known: "Known", notes: tuple[str, ...], what: str) -> Group:
    """Return the screen after a dataset was added or updated: what was found, and what it means."""
    row = known.row
    head = f"{row.name}: {row.n_train:,} + {row.n_test:,} images of {_geometry(row)}, {row.n_classes} classes; {what}"
    lines = [Text(head, style="bold"), *(Text(f"  {note}") for note in notes)]
    lines.append(_classes(known))
    lines += _findings(known)
    if known.about.sheet:
        lines.append(Text(f"look at it: {known.about.sheet}"))
    return Group(*lines, Text(f"promotion: {known.policy}"))


def _nights(known: "Known") -> Any:
    rows = [
        (night.when[:16].replace("T", " "), f"{night.images:,}", night.sentence, night.snapshot[:12])
        for night in known.nights
    ]
    return table(("source read (UTC)", "images", "what was new", "snapshot"), rows)


def _geometry(row: "Dataset") -> str:
    """Return size, colour, fit and ground in words."""
    fitted = {"pad": "padded", "crop": "cropped", "stretch": "stretched"}[row.fit]
    return f"{row.geometry}, others {fitted}, ground {' '.join(map(str, row.ground))}"


def _origin(row: "Dataset") -> str:
    if row.origin is None:
        return ""
    from data.importing.options import flag

    options = [
        flag(name) if value is True else f"{flag(name)} {_value(value)}" for name, value in row.origin.options.items()
    ]
    return " ".join([shlex.quote(row.origin.location), *options])


def _growth(row: "Dataset") -> str:
    """Return when a dataset that grows is trained again, and what it may leave out; "" for others."""
    if row.growth is None:
        return ""
    from data.fields import described

    usual = {name: field.default for name, field in described(type(row.growth)).items()}
    given = {name: value for name, value in vars(row.growth).items() if value != usual[name]}
    return ", ".join(
        ["every night reads what is new", *(f"--{name.replace('_', '-')} {value}" for name, value in given.items())]
    )


def _value(value: Any) -> str:
    return " ".join(shlex.quote(str(one)) for one in (value if isinstance(value, list | tuple) else [value]))


def _versions(refers: "References") -> str:
    if not refers.versions:
        return ""
    first, last = refers.versions[0], refers.versions[-1]
    return first if first == last else f"{len(refers.versions)} versions, {first} to {last}"


def _classes(known: "Known") -> Any:
    counts = known.counts
    shown: list[tuple[Any, ...]] = [(name, f"{train:,}", f"{test:,}") for name, train, test in counts[:MANY_CLASSES]]
    if len(counts) > MANY_CLASSES:
        shown.append((f"and {len(counts) - MANY_CLASSES:,} more", "", ""))
    return table(("class", "training", "test"), shown)


def _findings(known: "Known") -> list[Text]:
    lines = []
    for finding in known.about.findings:
        lines.append(Text(f"note: {finding['sentence']}", style="yellow"))
        lines.append(Text(f"  -> {finding['remedy']}"))
    return lines
