"""The parameters of recipes: typed, with a default and a range that is checked before anything is trained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

Value = int | float | str


class Parameter(Protocol):
    """One thing about a recipe that may be changed: a default, a range and a meaning."""

    @property
    def default(self) -> Value:
        """The value a recipe was measured with."""

    @property
    def help(self) -> str:
        """What it does, in a few words."""

    @property
    def range(self) -> str:
        """What is allowed, for people."""

    def read(self, given: object) -> Value:
        """Return the value, typed.

        Raises:
            ValueError: it is of the wrong type or out of range.
        """


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high`, both included."""

    default: int
    low: int
    high: int
    help: str

    @property
    def range(self) -> str:
        """What is allowed, for people."""
        return f"{self.low}..{self.high}"

    def read(self, given: object) -> int:
        """Return a whole number in range, or raise ValueError."""
        value = int(str(given))
        if not self.low <= value <= self.high:
            raise ValueError(given)
        return value


@dataclass(frozen=True)
class Real:
    """A finite number from `low` to `high`, both included."""

    default: float
    low: float
    high: float
    help: str

    @property
    def range(self) -> str:
        """What is allowed, for people."""
        return f"{self.low:g}..{self.high:g}"

    def read(self, given: object) -> float:
        """Return a finite number in range, or raise ValueError."""
        value = float(str(given))
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise ValueError(given)
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    default: str
    options: tuple[str, ...]
    help: str

    @property
    def range(self) -> str:
        """What is allowed, for people."""
        return " | ".join(self.options)

    def read(self, given: object) -> str:
        """Return one of the options, or raise ValueError."""
        if given not in self.options:
            raise ValueError(given)
        return str(given)


@dataclass(frozen=True)
class Sizes:
    """Layer sizes joined by `x`, such as `256x128`; each 1..8192, one to eight of them."""

    default: str
    help: str

    @property
    def range(self) -> str:
        """What is allowed, for people."""
        return "such as 256x128, one to eight sizes of 1..8192"

    def read(self, given: object) -> str:
        """Return the sizes in their canonical spelling, or raise ValueError."""
        sizes = sizes_of(str(given))
        if not (1 <= len(sizes) <= 8 and all(1 <= size <= 8192 for size in sizes)):
            raise ValueError(given)
        return "x".join(map(str, sizes))


def sizes_of(text: str) -> tuple[int, ...]:
    """Return `256x128` as (256, 128)."""
    return tuple(int(size) for size in text.split("x"))


# What several recipes offer alike.
PATIENCE = Integer(0, 0, 1000, "epochs without a better validation accuracy after which it ends; 0: never")
RACE = Choice(
    "no", ("no", "yes"), "whether to give up once another recipe of the night can no longer be caught up with"
)


def with_defaults(parameters: Mapping[str, Any], **defaults: Value) -> dict[str, Parameter]:
    """Return the same parameters, some with other defaults: for a recipe that differs from another in these alone."""
    return {**parameters, **{name: replace(parameters[name], default=value) for name, value in defaults.items()}}
