"""What Great Expectations returned, as failures: which expectation, what was expected and found, in which rows."""

import math
from typing import Any

import pyarrow as pa

from data.dataset import Dataset
from data.validation.results import MAX_ROWS, Failure
from data.validation.suites import Suite, columns
from data.values import plain


def malformed(dataset: Dataset, table: pa.Table) -> tuple[Failure, ...]:
    """Return which columns of a summary are missing, of another type, or too many."""
    found, wanted = {field.name: field.type for field in table.schema}, columns(dataset)
    wrong = {name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)}
    return tuple(
        Failure(
            "arrow_schema", f"table.{name}", str(wanted.get(name, "no such column")), str(found.get(name, "nothing"))
        )
        for name in sorted(wrong)
    )


def failure_of(suite: Suite, result: Any) -> Failure:
    """Return an expectation that was not met, with the rows that do not meet it.

    Args:
        suite: the suite that it belongs to.
        result: Great Expectations' result.
    """
    kind, kwargs = result.expectation_config.type, result.expectation_config.kwargs
    column = kwargs.get("column")
    return Failure(
        expectation=kind,
        subject=f"{suite.name}.{column}" if column else suite.name,
        expected=wanted(kind, kwargs),
        observed=suite.sentences.get(column, as_text(result.result)) if column else as_text(result.result),
        rows=_rows(kind, kwargs, suite.frame),
    )


def wanted(kind: str, kwargs: dict[str, Any]) -> str:
    """Return the values that meet an expectation, from its name and its arguments."""
    if "value_set" in kwargs:
        values = [str(value) for value in kwargs["value_set"]]
        return f"one of {', '.join(values)}" if len(values) <= 10 else f"one of {values[0]} ... {values[-1]}"
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        return str(kwargs.get("value", kwargs.get("column_set", kind.removeprefix("expect_").replace("_", " "))))
    bounds = f"at most {high:.6g}" if low is None else f"{low:.6g} to {high:.6g}"
    return f"{bounds} in at least {kwargs['mostly']:.1%} of the rows" if kwargs.get("mostly", 1) != 1 else bounds


def as_text(result: dict[str, Any]) -> str:
    """Return what was observed, from Great Expectations' result for one expectation."""
    if result.get("observed_value") is not None:
        value = result["observed_value"]
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    examples = ", ".join(str(value)[:12] for value in result.get("partial_unexpected_list", [])[:5])
    counted = f"{result.get('unexpected_count')} of {result.get('element_count')} rows differ"
    return f"{counted}: {examples}" if examples else counted


def _rows(kind: str, kwargs: dict[str, Any], frame: Any) -> tuple[dict[str, Any], ...]:
    """Return the failing rows, by column; Great Expectations returns their values, but not their row numbers."""
    column = kwargs.get("column")
    if column is None or "split" not in frame.columns:
        return ()
    values = frame[column]
    failing = {
        "expect_column_values_to_not_be_null": values.isna,
        "expect_column_values_to_be_unique": lambda: values.duplicated(keep=False),
        "expect_column_values_to_be_in_set": lambda: ~values.isin(kwargs["value_set"]),
        "expect_column_values_to_be_between": lambda: ~values.between(*_bounds(kwargs)),
        "expect_column_sum_to_be_between": lambda: values > 0,
    }.get(kind)
    if failing is None:
        return ()
    shown = [name for name in ("split", "row", "label", "images") if name in frame.columns and name != column]
    rows: list[dict[str, Any]] = frame.loc[failing(), [*shown, column]].head(MAX_ROWS).to_dict("records")
    return tuple(plain(row) for row in rows)


def _bounds(kwargs: dict[str, Any]) -> tuple[float, float]:
    return kwargs.get("min_value", -math.inf), kwargs.get("max_value", math.inf)
