"""What is expected of a summary table: five suites, in Python so that they are reviewed like code.

`table` (columns, rows, nothing empty), `train` and `test` (one row per image), `classes` (one row per split and class,
across splits), and `rules` (a column per rule that holds whatever was pinned). Why these tolerances:
docs/decisions/0003-validation.md and 0016. Great Expectations is imported inside functions: it takes 7 s.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from data.dataset import Dataset, RawData
from data.inspection.findings import measures
from data.inspection.rules import Measured
from data.statistics import facts
from data.statistics.image_statistics import COLOUR, NUMERIC
from data.statistics.summary import numeric
from data.validation.frames import frame_of, summary_frame

SUITE = 2  # raise it when a change may give another result for the same data
COLUMNS = {
    "split": pa.string(),
    "row": pa.int64(),
    "label": pa.int64(),
    **dict.fromkeys(NUMERIC, pa.float64()),
    "sha256": pa.binary(32),
}
IN_COLOUR = {**COLUMNS, **dict.fromkeys(COLOUR, pa.float64())}


@dataclass(frozen=True)
class Suite:
    """One suite, and what it looks at.

    Args:
        name: of the suite.
        frame: the rows, a pandas frame.
        expectations: of Great Expectations, about the columns of the frame.
        sentences: by column: what was found, where that says more than a number.
        notes: sentences about the data that are no expectations.
    """

    name: str
    frame: Any
    expectations: list[Any]
    sentences: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def columns(dataset: Dataset) -> dict[str, pa.DataType]:
    """Return the columns of the dataset's summary table, and their types."""
    return COLUMNS if dataset.channels == 1 else IN_COLOUR


def suites(dataset: Dataset, table: pa.Table, raw: RawData | None) -> Iterator[Suite]:
    """Yield the suites for a summary table that has the right columns, one after the other.

    Nothing is computed too early, and only one frame is in memory at a time. What follows `table` needs its approval.

    Args:
        dataset: the row with the expected shapes and statistics.
        table: its summary.
        raw: the images; without them the splits are compared by their statistics only.
    """
    yield Suite("table", summary_frame(table), _table_suite(dataset))
    expected, names = facts.expected_of(dataset, table), numeric(table)
    classes = facts.of_classes(table, expected, dataset.n_classes)
    yield Suite("classes", frame_of(classes), _classes_suite(expected, names))
    parts = facts.of_images(table)
    for split in facts.SPLITS:
        yield Suite(split, frame_of(parts.pop(split)), _split_suite(dataset, expected, split))
    yield _rules(measures(dataset, table, raw))


def _table_suite(dataset: Dataset) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectTableRowCountToEqual(value=dataset.n_train + dataset.n_test),
        gxe.ExpectTableColumnsToMatchSet(column_set=list(columns(dataset)), exact_match=True),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in columns(dataset)),
        gxe.ExpectColumnValuesToBeInSet(column="split", value_set=list(facts.SPLITS)),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="split", min_value=2, max_value=2),
        gxe.ExpectColumnValuesToBeInSet(column="label", value_set=list(range(dataset.n_classes))),
    ]


def _split_suite(dataset: Dataset, expected: facts.Expected, split: str) -> list[Any]:
    from great_expectations import expectations as gxe

    n = dataset.n_train if split == "train" else dataset.n_test
    reference, tolerance = expected.reference, expected.tolerance
    mean, std = getattr(reference, f"{split}_mean"), getattr(reference, f"{split}_std")
    bands = getattr(reference, f"{split}_bands")
    suite = [
        gxe.ExpectTableRowCountToEqual(value=n),
        gxe.ExpectColumnValuesToBeUnique(column="row"),
        gxe.ExpectColumnValuesToBeBetween(column="row", min_value=0, max_value=n - 1),
        gxe.ExpectColumnSumToBeBetween(column="repeated", max_value=getattr(reference, f"{split}_duplicates")),
        *(
            _near(gxe, column, value, tolerance.pixels)
            for column, value in (("mean", mean), ("square", mean**2 + std**2))
        ),
    ]
    if split == "test":
        suite.append(gxe.ExpectColumnSumToBeBetween(column="shared", max_value=reference.shared))
    for name, (_, low, high) in bands.items():
        inside = 1 - tolerance.outside
        suite.append(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, mostly=inside))
    return suite


def _classes_suite(expected: facts.Expected, names: Sequence[str]) -> list[Any]:
    from great_expectations import expectations as gxe

    share, shift = expected.tolerance.share, expected.tolerance.shift
    return [
        gxe.ExpectColumnValuesToBeBetween(column="share", min_value=-share, max_value=share),
        *(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-shift, max_value=shift) for name in names),
    ]


def _rules(found: Sequence[Measured]) -> Suite:
    """Return the suite of the rules: one row, a column per rule; what is only worth telling is a note."""
    from great_expectations import expectations as gxe

    demanded = [one for one in found if one.nightly and math.isfinite(one.allowed)]
    told = [one for one in found if one.found > one.notable and not (one in demanded and one.found > one.allowed)]
    return Suite(
        "rules",
        frame_of(pa.table({one.rule: [float(one.found)] for one in demanded})),
        [gxe.ExpectColumnValuesToBeBetween(column=one.rule, max_value=one.allowed) for one in demanded],
        {one.rule: one.sentence for one in demanded},
        tuple(one.sentence for one in told),
    )


def _near(gxe: Any, column: str, value: float, tolerance: float) -> Any:
    return gxe.ExpectColumnMeanToBeBetween(column=column, min_value=value - tolerance, max_value=value + tolerance)
