"""A value that people set is described once: checked, shown and explained from the same annotation."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from data.fields import Described

EPOCHS = Described(5, Annotated[int, Field(ge=1, le=1000, description="passes")])
RATE = Described(0.1, Annotated[float, Field(ge=1e-6, le=10, allow_inf_nan=False, description="learning rate")])
RULE = Described("sgd", Annotated[Literal["sgd", "adam"], Field(description="update rule")])


def test_bounds_and_meaning_come_from_the_annotation() -> None:
    """The JSON schema for the run form, and the short text for tables."""
    assert EPOCHS.schema == {"type": "integer", "minimum": 1, "maximum": 1000, "description": "passes"}
    assert [one.allowed for one in (EPOCHS, RATE, RULE)] == ["1..1000", "1e-06..10", "sgd | adam"]
    assert (RATE.help, RATE.base) == ("learning rate", float)


@pytest.mark.parametrize(
    ("field", "given", "value"), [(EPOCHS, "7", 7), (EPOCHS, 7, 7), (RATE, "1e-3", 0.001), (RULE, "adam", "adam")]
)
def test_what_was_typed_gets_its_type(field: Described, given: object, value: object) -> None:
    """Text from a command line, or a value from JSON."""
    assert field.read(given) == value


@pytest.mark.parametrize(
    ("field", "given"),
    [(EPOCHS, "0"), (EPOCHS, "2.5"), (EPOCHS, True), (RATE, "nan"), (RATE, "11"), (RATE, "fast"), (RULE, "lion")],
)
def test_what_is_not_allowed_is_refused(field: Described, given: object) -> None:
    """Out of bounds, of another type, or not finite; the error has what was expected and what was found."""
    with pytest.raises(ValueError, match=r"."):
        field.read(given)
    message = str(field.refusal("mlp: x", given))
    assert field.allowed in message
    assert f"got {given!r}" in message
    assert message.endswith(f"{field.help}; default: {field.default}")
