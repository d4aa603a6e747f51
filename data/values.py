"""Values as JSON: what strict JSON can hold, the same bytes for the same value, and the way back into dataclasses.

The registry reads its files with nothing but the standard library, so pydantic is imported inside `from_json`.
The other way is `dataclasses.asdict`, or `plain` where numbers may not be finite.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import date
from functools import cache
from typing import Any, Literal, TypeVar, cast

T = TypeVar("T")


def canonical_json(value: Any) -> bytes:
    """Return JSON bytes that are equal for equal values: sorted keys, no NaN, UTF-8, newline at the end.

    Raises:
        ValueError: a number is not finite, or a string holds a lone surrogate.
        TypeError: JSON has no such type.
    """
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, as 64 hexadecimal digits: a content address."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def plain(value: Any, *, non_finite: Literal["text", "null"] = "text") -> Any:
    """Return a value as strict JSON and UTF-8 can hold it.

    Dataclasses and mappings become dictionaries with text keys, tuples and NumPy arrays become lists, NumPy scalars
    become Python's, dates become ISO 8601, lone surrogates become "?", and anything else becomes `str(value)`.

    Args:
        value: anything.
        non_finite: what NaN and infinities become: "text" gives "nan", "inf" and "-inf", "null" gives None.
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    elif hasattr(value, "tolist"):  # NumPy's scalars and arrays, without importing NumPy
        value = value.tolist()
    if isinstance(value, Mapping):
        return {_text(key): plain(item, non_finite=non_finite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, non_finite=non_finite) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value) if non_finite == "text" else None
    if isinstance(value, date):  # a datetime is a date
        return value.isoformat()
    return value if isinstance(value, int | float | None) else _text(value)


def from_json(cls: type[T], value: Any) -> T:
    """Return the dataclass whose `asdict` went through JSON text, nested dataclasses and tuples included.

    Types are strict: "1" is no number, 1.0 no integer, 1 no truth value; an integer in a float field becomes a float.
    A missing field takes its default if it has one.

    Args:
        cls: a dataclass whose annotations can be resolved at run time.
        value: a mapping, before or after its way through JSON text.

    Raises:
        ValueError: a field is missing, unknown or of another type; the message names it.
    """
    from pydantic import ValidationError

    try:
        built: T = _adapter(cast("Any", cls)).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "value"
        raise ValueError(f"expected a {cls.__name__}, but {where}: {first['msg']}") from None
    unknown = _unknown(value, asdict(cast("Any", built)))
    if unknown:  # pydantic ignores what a dataclass has no field for
        raise ValueError(f"expected a {cls.__name__}, which has no field {unknown}")
    return built


@cache
def _adapter(cls: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _unknown(value: Any, known: Any) -> str:
    """Return the first key of a nested value that the other value lacks; "" if there is none."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in known:
                return str(key)
            if deeper := _unknown(item, known[key]):
                return f"{key}.{deeper}"
    if isinstance(value, list | tuple):
        return next(filter(None, map(_unknown, value, known)), "")
    return ""


def _text(value: Any) -> str:
    return str(value).encode(errors="replace").decode()
