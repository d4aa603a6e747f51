"""What a validation found, as values: light to import, so that reading a result does not load Great Expectations."""

from dataclasses import asdict, dataclass, field
from typing import Any

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
        corruption: what was done to the data.
        split: the split it was done to.
        caught: whether the suite refused it.
        by: the expectations that failed, as "subject: expectation".
        expected: whether statistics must catch it; if not, it is left to the metric gate.
    """

    corruption: str
    split: str
    caught: bool
    by: tuple[str, ...]
    expected: bool = True

    @property
    def ok(self) -> bool:
        """Whether the suite did what it must: a corruption that it need not see is fine either way."""
        return self.caught or not self.expected
