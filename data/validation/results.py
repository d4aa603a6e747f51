"""The result of a validation, as values: reading one does not load Great Expectations."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from data.drift.shift import Shift
from data.home.store import Store
from data.values import from_json

MAX_ROWS = 20  # failing rows shown per expectation


@dataclass(frozen=True)
class ValidationRef:
    """Reference to a published validation: `store.validation(digest)` holds result.json, validation.md and data-docs/.

    Args:
        dataset: the dataset's name.
        digest: content address: the raw data, what was expected of it, and the version of the suite.
    """

    dataset: str
    digest: str


@dataclass(frozen=True)
class Failure:
    """An expectation that the data does not meet.

    Args:
        expectation: its name, in Great Expectations' spelling where it is one of theirs.
        subject: a split, and a column if it concerns one, such as "train.mean".
        expected: the values that would have met it.
        observed: the values that were found.
        rows: up to `MAX_ROWS` failing rows of the table, by column.
    """

    expectation: str
    subject: str
    expected: str
    observed: str
    rows: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.subject}: {self.expectation}: expected {self.expected}, got {self.observed}"

    def where(self) -> str:
        """Return which rows of which split fail, as text; empty if it does not concern single rows."""
        numbers = [f"{row.get('split', '')} {_row_name(row)}".strip() for row in self.rows]
        return f"\n    for example {', '.join(numbers)}" if numbers else ""


@dataclass(frozen=True)
class ValidationResult:
    """The result of the suite on one dataset.

    Args:
        success: whether every expectation was met; false if nothing was checked.
        checks: number of expectations that were evaluated.
        failures: those that were not met.
        notes: what could not be checked, and why.
        shifts: how the data differ from those of the nights before, what ends the night first.
        details: everything that Great Expectations returned, by suite, JSON-able.
    """

    success: bool
    checks: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()
    shifts: tuple[Shift, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Catch:
    """The result of the suite on data that was corrupted on purpose.

    Args:
        corruption: its name.
        what: the change, and the split it was made to.
        caught: whether the suite refused the data.
        by: the expectations that failed, as "subject: expectation".
        expected: whether statistics can see it in this dataset; if not, it is left to the metric gate.
        sampled: number of images that the copy was made of, if it was made of a sample; 0 if of all.
    """

    corruption: str
    what: str
    caught: bool
    by: tuple[str, ...]
    expected: bool = True
    sampled: int = 0

    @property
    def ok(self) -> bool:
        """Whether the suite caught what it has to catch."""
        return self.caught or not self.expected


def read(store: Store, digest: str) -> tuple[ValidationResult, tuple[Catch, ...]]:
    """Return what a published validation found, without Great Expectations' own details, and its catch table.

    Raises:
        Corrupt: there is no such validation, or its manifest cannot be read.
    """
    meta = store.meta(store.validation(digest))
    result = {name: meta[name] for name in ("success", "checks", "failures", "notes", "shifts") if name in meta}
    return from_json(ValidationResult, result), tuple(from_json(Catch, one) for one in meta["catches"])


def validations(store: Store, dataset: str, raw: str) -> Iterator[ValidationRef]:
    """Yield the validations that are kept of some raw data or of a snapshot.

    Args:
        store: where they lie.
        dataset: the dataset's name.
        raw: digest of the data.
    """
    for folder in store.validations():
        if store.is_complete(folder):
            meta = store.meta(folder)
            if (meta.get("dataset", dataset), meta.get("raw")) == (dataset, raw):
                yield ValidationRef(dataset, folder.name)


def as_markdown(title: str, result: ValidationResult, catches: tuple[Catch, ...]) -> str:
    """Return a result as a self-contained page; the Data Docs load scripts from other hosts."""
    verdict = "as expected" if result.success else "**refused**"
    lines = [f"# {title} is {verdict}", "", f"{result.checks} expectations, {len(result.failures)} not met.", ""]
    lines += [f"Note: {note}.\n" for note in result.notes]
    if result.failures:
        lines += ["| subject | expectation | expected | got |", "| --- | --- | --- | --- |"]
        lines += [f"| {f.subject} | {f.expectation} | {f.expected} | {f.observed} |" for f in result.failures]
        lines += ["", *(f"- {f.subject} ({f.expectation}): `{row}`" for f in result.failures for row in f.rows), ""]
    if result.shifts:
        lines += ["## Compared with the last accepted snapshot", ""]
        lines += [f"- {s.sentence} ({s.measure} {s.effect:.3g}, told above {s.warns_above:.3g})" for s in result.shifts]
        lines += [""]
    if catches:
        lines += [
            "## Self-test on corrupted data",
            "",
            *([f"Copies of {catches[0].sampled:,} images, drawn at random.", ""] if catches[0].sampled else []),
            "| corruption | what | caught | by |",
            "| --- | --- | --- | --- |",
        ]
        lines += [f"| {c.corruption} | {c.what} | {_caught(c)} | {', '.join(c.by[:3])} |" for c in catches]
    return "\n".join(lines).rstrip() + "\n"


def _caught(catch: Catch) -> str:
    if catch.caught:
        return "yes"
    return "**no**" if catch.expected else "no: left to the metric gate"


def _row_name(row: dict[str, Any]) -> str:
    return f"row {row['row']}" if "row" in row else f"class {row['label']}" if "label" in row else ""
