"""A value that people set, described once: its type, its bounds, what it means and its default.

The description is a pydantic annotation, such as `Annotated[float, Field(ge=0, le=1, description="lowest recall")]`.
Command line, run form, tables and error messages all read it from here.
"""

import dataclasses
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from data.errors import BadInput

KINDS = {"integer": "a whole number in ", "number": "a number in "}


@dataclass(frozen=True)
class Described:
    """A field of a policy, or a parameter of a recipe.

    Args:
        default: the value where nobody sets one.
        type: a type annotated with a pydantic `Field`, whose `description` says what the value does.
    """

    default: Any
    type: Any

    @property
    def base(self) -> Any:
        """The Python type: int, float, str or a Literal."""
        return get_args(self.type)[0]

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema: `type`, `minimum` and `maximum` or `enum`, and `description`."""
        return self._adapter.json_schema()

    @property
    def help(self) -> str:
        """What the value does, in a few words."""
        return str(self.schema["description"])

    @property
    def allowed(self) -> str:
        """The allowed values in a few characters: `1..1000`, `yes | no`."""
        if "enum" in self.schema:
            return " | ".join(self.schema["enum"])
        if "minimum" in self.schema:
            return f"{_short(self.schema['minimum'])}..{_short(self.schema['maximum'])}"
        return str(self.schema["allowed"])

    def check(self, value: Any) -> Any:
        """Return the value as it is stored.

        Raises:
            ValueError: it is of another type, out of its bounds, or not finite.
        """
        try:
            return self._adapter.validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(f"expected {self.allowed}, got {value!r}") from error

    def read(self, given: object) -> Any:
        """Return the value that somebody typed, or that JSON held.

        Raises:
            ValueError: as `check`; or the text is not of this type.
        """
        return self.check(self.base(str(given)) if self.base in (int, float, str) else given)

    def refusal(self, name: str, given: object, default: object = None) -> BadInput:
        """Return the error for a value that is not allowed.

        Args:
            name: what the value is called, such as `mlp: epochs`.
            given: the value.
            default: what to name as the default, if it is not this field's.
        """
        expected = f"{KINDS.get(str(self.schema.get('type')), '')}{self.allowed}"
        shown = default if default is not None else self.default
        return BadInput(f"{name} expected {expected}, got {given!r}", f"{self.help}; default: {_short(shown)}")

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.type)


def described(kind: type) -> dict[str, Described]:
    """Return the fields of a dataclass, all of which are annotated in this way, by name."""
    return _described(kind)


@cache  # of its own: to mypy, a dataclass with a __hash__ is not Hashable
def _described(kind: type) -> dict[str, Described]:
    return {field.name: Described(field.default, field.type) for field in dataclasses.fields(kind)}


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
