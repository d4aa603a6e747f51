"""Values go to JSON text and come back equal; what is not such a value is refused by name."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.models.provenance import CHECKOUT
from data.values import canonical_json, digest_of, from_json, plain

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('aä\n"€'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
)


@dataclass(frozen=True)
class Point:
    """A nested value."""

    x: float
    name: str = "p"


@dataclass(frozen=True)
class Shape:
    """One field of every kind that the records in a home have."""

    points: tuple[Point, ...]
    band: tuple[float, float, float]
    by_name: Mapping[str, Point]
    kind: Literal["open", "closed"]
    n: int
    small: bool | None = None
    anything: dict[str, Any] = field(default_factory=dict)


SHAPE = Shape((Point(0.1), Point(1.0, "q")), (0.0, 1.5, 2.0), {"a": Point(3.0)}, "open", 3, True, {"b": [1, 2.5, None]})


@given(value=json_values)
def test_equal_values_have_equal_bytes_and_digests(value: object) -> None:
    """JSON reads back as the same value, with one digest whatever the order of keys."""
    content = canonical_json(value)
    back = json.loads(content)
    assert back == value
    assert canonical_json(back) == content
    if isinstance(value, dict):
        assert digest_of(dict(reversed(value.items()))) == digest_of(value)


def test_numbers_that_are_not_finite_have_no_canonical_form() -> None:
    """NaN would be JSON that other readers refuse."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"loss": float("nan")})


def test_anything_becomes_a_value_that_json_can_hold() -> None:
    """Numbers that are not finite become text, NumPy's values Python's, a lone surrogate "?", other things text."""
    value = {
        "a": math.nan,
        1: (np.float32(0.5), np.int64(2), np.array([1, 2])),
        "b": [math.inf, None, True],
        "c": 1 + 2j,
        "d": "caf\udce9",
        "e": Point(-math.inf),
        "f": datetime(2026, 1, 2, tzinfo=UTC),
    }
    assert json.loads(canonical_json(plain(value))) == {
        "a": "nan",
        "1": [0.5, 2, [1, 2]],
        "b": ["inf", None, True],
        "c": "(1+2j)",
        "d": "caf?",
        "e": {"x": "-inf", "name": "p"},
        "f": "2026-01-02T00:00:00+00:00",
    }
    assert plain([math.nan, {"x": (math.inf, 1.0)}], non_finite="null") == [None, {"x": [None, 1.0]}]


@given(value=json_values)
def test_a_plain_value_stays_as_it_is(value: object) -> None:
    """What JSON can hold already passes unchanged."""
    assert plain(value) == value


def test_a_dataclass_comes_back_equal() -> None:
    """Before and after its way through JSON text; a missing field takes its default."""
    assert from_json(Shape, asdict(SHAPE)) == SHAPE
    assert from_json(Shape, json.loads(canonical_json(asdict(SHAPE)))) == SHAPE
    assert from_json(Point, {"x": 1}) == Point(1.0)


@given(x=st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_to_the_last_bit(x: float) -> None:
    """Digests are taken over values that were read back."""
    assert canonical_json(asdict(from_json(Point, json.loads(canonical_json({"x": x}))))["x"]) == canonical_json(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": "3"}, "expected a Shape, but n: Input should be a valid integer"),
        ({"small": 1}, "small: Input should be a valid boolean"),
        ({"kind": "round"}, "kind: Input should be 'open' or 'closed'"),
        ({"band": [1.0, 2.0]}, "band.2: Field required"),
        ({"points": [{"name": "p"}]}, "points.0.x: Field required"),
        ({"colour": "red"}, "which has no field colour"),
        ({"points": [{"x": 0.1, "y": 0.2}]}, "which has no field points.y"),
        ({"by_name": {"a": {"x": 0.1, "y": 0.2}}}, "which has no field by_name.a.y"),
    ],
)
def test_what_is_no_such_value_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    """A field that is missing, unknown or of another type, at any depth."""
    with pytest.raises(ValueError, match=message):
        from_json(Shape, asdict(SHAPE) | change)


@pytest.mark.parametrize("value", [None, 3, [], "text"])
def test_other_json_is_refused(value: object) -> None:
    """What is no object has no fields."""
    with pytest.raises(ValueError, match="expected a Point, but value: "):
        from_json(Point, value)


def test_the_standard_library_is_enough_to_write() -> None:
    """The registry can be read where nothing is installed."""
    script = "from data.values import plain, canonical_json; print(canonical_json(plain({'a': float('inf')})))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert "inf" in done.stdout
