"""What a validation found, as values: light to import, so that reading a result does not load Great Expectations."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from data.store import Store

MAX_ROWS = 20  # offending rows shown per failing expectation


@dataclass(frozen=True)
class ValidationRef:
    """Names a published validation: `store.validation(digest)` holds result.json, validation.md and data-docs/.

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
        subject: what it is about: a split, and a column if it is about one, such as "train.mean".
        expected: what would have been right.
        observed: what came.
        rows: up to `MAX_ROWS` offending rows of the table in question.
    """

    expectation: str
    subject: str
    expected: str
    observed: str
    rows: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.subject}: {self.expectation}: expected {self.expected}, came {self.observed}"

    def where(self) -> str:
        """Return which rows of which split offend, in a few words; empty if it is about no rows."""
        numbers = [f"{row.get('split', '')} {_row_name(row)}".strip() for row in self.rows]
        return f"\n    for example {', '.join(numbers)}" if numbers else ""


@dataclass(frozen=True)
class ValidationResult:
    """What the suite said about one dataset.

    Args:
        success: whether every expectation was met; never true when nothing was checked.
        checks: number of expectations that were evaluated.
        failures: those that were not met.
        notes: what could not be checked, and why.
        details: everything that Great Expectations returned, by suite, as what JSON can say.
    """

    success: bool
    checks: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the result as what JSON can say."""
        return asdict(self)


@dataclass(frozen=True)
class Catch:
    """What the suite said about data that was corrupted on purpose.

    Args:
        corruption: its name.
        what: what was done to which split.
        caught: whether the suite refused the data.
        by: the expectations that failed, as "subject: expectation".
        expected: whether statistics can see it in this dataset; if not, it is left to the metric gate.
    """

    corruption: str
    what: str
    caught: bool
    by: tuple[str, ...]
    expected: bool = True

    @property
    def ok(self) -> bool:
        """Whether the suite did what it must: what it need not see may be seen or not."""
        return self.caught or not self.expected

    def to_json(self) -> dict[str, Any]:
        """Return the catch as what JSON can say."""
        return asdict(self)


def read(store: Store, digest: str) -> tuple[ValidationResult, tuple[Catch, ...]]:
    """Return what a published validation found, without Great Expectations' own details, and its catch table.

    Raises:
        Corrupt: there is no such validation, or its manifest cannot be read.
    """
    meta = store.meta(store.validation(digest))
    failures = tuple(Failure(**{**one, "rows": tuple(one["rows"])}) for one in meta["failures"])
    catches = tuple(Catch(**{**one, "by": tuple(one["by"])}) for one in meta["catches"])
    return ValidationResult(meta["success"], meta["checks"], failures, tuple(meta["notes"])), catches


def as_markdown(title: str, result: ValidationResult, catches: tuple[Catch, ...]) -> str:
    """Return a result as a page that needs nothing but itself; the Data Docs load scripts from elsewhere."""
    verdict = "as expected" if result.success else "**refused**"
    lines = [f"# {title} is {verdict}", "", f"{result.checks} expectations, {len(result.failures)} not met.", ""]
    lines += [f"Note: {note}.\n" for note in result.notes]
    if result.failures:
        lines += ["| what | expectation | expected | came |", "| --- | --- | --- | --- |"]
        lines += [f"| {f.subject} | {f.expectation} | {f.expected} | {f.observed} |" for f in result.failures]
        lines += ["", *(f"- {f.subject} ({f.expectation}): `{row}`" for f in result.failures for row in f.rows), ""]
    if catches:
        lines += [
            "## Does it notice corrupted data?",
            "",
            "| corruption | what | noticed | by |",
            "| --- | --- | --- | --- |",
        ]
        lines += [f"| {c.corruption} | {c.what} | {_noticed(c)} | {', '.join(c.by[:3])} |" for c in catches]
    return "\n".join(lines).rstrip() + "\n"


def plain(value: Any) -> Any:
    """Return a value as what strict JSON can say: numbers that are none become text, numpy's become Python's."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _noticed(catch: Catch) -> str:
    if catch.caught:
        return "yes"
    return "**no**" if catch.expected else "no: left to the metric gate"


def _row_name(row: dict[str, Any]) -> str:
    return f"row {row['row']}" if "row" in row else f"class {row['label']}" if "label" in row else ""
