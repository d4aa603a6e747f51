"""The parameters of recipes: typed, with a default and bounds that are checked before anything is trained."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from data.fields import Described

Value = int | float | str
Parameter = Described


def integer(default: int, low: int, high: int, help: str) -> Parameter:
    """Return a whole number from `low` to `high`, both included."""
    return Parameter(default, Annotated[int, Field(ge=low, le=high, description=help)])


def real(default: float, low: float, high: float, help: str) -> Parameter:
    """Return a finite number from `low` to `high`, both included."""
    return Parameter(default, Annotated[float, Field(ge=low, le=high, allow_inf_nan=False, description=help)])


def choice(default: str, options: tuple[str, ...], help: str) -> Parameter:
    """Return one of a few words."""
    return Parameter(default, Annotated[Literal[options], Field(description=help)])


def sizes(default: str, help: str) -> Parameter:
    """Return sizes of layers joined by `x`, such as `256x128`: one to eight of them, each in 1..8192."""
    allowed = {"allowed": "one to eight sizes in 1..8192, such as 256x128"}
    return Parameter(
        default, Annotated[str, AfterValidator(_canonical), Field(description=help, json_schema_extra=dict(allowed))]
    )


def sizes_of(text: str) -> tuple[int, ...]:
    """Return `256x128` as (256, 128)."""
    return tuple(int(size) for size in text.split("x"))


def _canonical(text: str) -> str:
    found = sizes_of(text)
    if not (1 <= len(found) <= 8 and all(1 <= size <= 8192 for size in found)):
        raise ValueError(text)
    return "x".join(map(str, found))


# What several recipes offer in the same way.
PATIENCE = integer(0, 0, 1000, "stop after this many epochs without a better validation accuracy; 0: never")
LEAST_STEPS = integer(
    600,
    0,
    1_000_000,
    "where few images make fewer steps than this, smaller batches and more epochs; 0: epochs and batch as they are",
)
BALANCE = real(0.0, 0, 1, "0: every image counts alike; 1: every class does, for classes of very different sizes")
WARM_START = choice(
    "no",
    ("no", "champion"),
    "champion: begin with the champion's weights where they fit, with half of the epochs and a quarter of the rate",
)
RACE = choice("no", ("no", "yes"), "whether to stop once it can no longer overtake another recipe of the run")


def with_defaults(parameters: Mapping[str, Parameter], **defaults: Value) -> dict[str, Parameter]:
    """Return the same parameters, some with other defaults: for a recipe that differs from another in these alone."""
    return {**parameters, **{name: replace(parameters[name], default=value) for name, value in defaults.items()}}
