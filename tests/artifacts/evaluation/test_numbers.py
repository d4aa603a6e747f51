"""Numbers as people read them."""

import math

import pytest

from artifacts.evaluation.numbers import (
    exact_percent,
    interval,
    number,
    percent,
    points,
    short_percent,
    significant,
    with_interval,
)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_written_in_words(value: float) -> None:
    """Neither NaN nor Infinity is ever printed as a number."""
    assert {percent(value), number(value), significant(value), points(value), short_percent(value)} == {"not finite"}
    assert "nan" not in with_interval(value, value, value)


def test_numbers_keep_what_matters() -> None:
    """A p-value just below the level does not round to the level, and thousands are separated."""
    assert significant(0.04987) == "0.0499"
    assert percent(0.99125) == "99.12 %"
    assert number(171234.4, 0) == "171,234"
    assert points(-0.0019) == "-0.19 points"


def test_what_was_not_measured_is_a_dash() -> None:
    """None is no number and no word."""
    assert {percent(None), number(None, 1, " s"), significant(None), points(None)} == {"–"}


def test_a_share_is_shown_with_its_interval() -> None:
    """The unit stands after the share and once after the interval."""
    assert interval(0.9947, 0.9971) == "99.47 to 99.71 %"
    assert with_interval(0.9961, 0.9947, 0.9971) == "99.61 % (99.47 to 99.71 %)"


def test_almost_certain_is_not_shown_as_certain() -> None:
    """A probability has no decimals, except where they tell it from 100 %."""
    assert [short_percent(share) for share in (0.874, 0.9912, 0.998, 1.0)] == ["87 %", "99.1 %", "99.8 %", "100 %"]


def test_a_limit_is_shown_as_it_was_written() -> None:
    """A policy's 5 % is not shown as 5.00 %."""
    assert [exact_percent(share) for share in (0.05, 0.15, 0.005)] == ["5 %", "15 %", "0.5 %"]
