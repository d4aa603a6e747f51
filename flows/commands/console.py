"""What the commands share: exit codes, a console, JSON and tables, and a terminal without the chatter of C++."""

import json as json_module
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

if TYPE_CHECKING:
    from data.store import Store

DONE, BROKEN, REFUSED, NOT_PROMOTED = 0, 1, 2, 3

Json = Annotated[bool, Parameter("--json", negative="", help="Print JSON for a script.")]
Flag = Parameter(negative="")
Several = Parameter(negative="", show_default=False)  # given once for each


def store() -> "Store":
    """Return the home that the environment names."""
    from flows.settings import settings

    return settings().store


def console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal; a pipe or a log has no width, and little is folded for it."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = 160
    return made


def print_json(value: Any) -> None:
    """Print a value for a script."""
    print(json_module.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def print_table(headers: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table for a person."""
    from flows.commands.tables import table

    console().print(table(headers, rows))


@contextmanager
def native_messages_to(file: Path) -> Iterator[None]:
    """Send what C++ libraries write to standard error into a file while the block runs.

    TensorFlow prints a dozen lines about missing CUDA drivers and rounding before Python can ask it not to; nobody
    finds the verdict between them. What Python raises is printed after the block, where people look for it.

    Args:
        file: written anew.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = os.dup(2)
    with file.open("wb") as stream:
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
