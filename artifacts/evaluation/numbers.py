"""Measured numbers as text for people: shares, differences, intervals, p-values.

`None` (not measured) is a dash, and NaN or an infinity is "not finite".
"""

import math

NONE = "–"


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number with `digits` decimals and thousands separated, followed by its unit."""
    if value is None:
        return NONE
    return f"{value:,.{digits}f}{unit}" if math.isfinite(value) else "not finite"


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share in [0, 1] as percent: 0.9951 is "99.51 %"."""
    return number(None if share is None else 100 * share, digits, " %")


def exact_percent(share: float) -> str:
    """Return a limit in [0, 1] as people wrote it, without padding: 0.05 is "5 %"."""
    return f"{100 * share:g} %"


def points(difference: float | None) -> str:
    """Return a difference of shares, in [-1, 1], in percentage points: 0.0019 is "0.19 points"."""
    return number(None if difference is None else 100 * difference, 2, " points")


def interval(low: float, high: float) -> str:
    """Return an interval of shares in [0, 1]: "99.47 to 99.71 %"."""
    return f"{number(100 * low)} to {percent(high)}"


def with_interval(share: float, low: float, high: float) -> str:
    """Return a share with its interval, all in [0, 1]: "99.61 % (99.47 to 99.71 %)"."""
    return f"{percent(share)} ({interval(low, high)})"


def short_percent(probability: float) -> str:
    """Return a probability without decimals where that does not round it to certainty: "87 %", but "99.7 %"."""
    value = 100 * float(probability)
    return percent(float(probability), 0 if value < 99 or value >= 99.95 else 1)


def significant(value: float | None, digits: int = 3) -> str:
    """Return a number with `digits` significant digits, so that a p-value of 0.0499 does not become 0.05."""
    return f"{value:.{digits}g}" if value is not None and math.isfinite(value) else number(value)
