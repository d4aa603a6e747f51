"""Shared by the commands: exit codes, command groups, a console, JSON, tables, and no C++ messages in between."""

import json as json_module
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from rich.console import Console

if TYPE_CHECKING:
    from data.store import Store

DONE, BROKEN, REFUSED, NOT_PROMOTED = 0, 1, 2, 3

# in the order in which `nightshift --help` lists them
NIGHTS = Group("Nights", sort_key=0)
DATA = Group("Datasets and recipes", sort_key=1)
MODELS = Group("Models", sort_key=2)
CHAMPIONS = Group("Champions", sort_key=3)
SERVER = Group("Server", sort_key=4)
OPTIONS = Group("Options", sort_key=5)

Json = Annotated[bool, Parameter("--json", negative="", show_default=False, help="Print JSON for a script.")]
Flag = Parameter(negative="", show_default=False)
Text = Annotated[str, Parameter(show_default=False)]  # an option whose default, "", means that it was not given
Several = Parameter(negative="", show_default=False)  # an option that is repeated, once per value


def store() -> "Store":
    """Return the home that the environment names."""
    from flows.settings import settings

    return settings().store


def console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal; 160 columns where there is none, so that a log has few folded lines."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = 160
    return made


def print_json(value: Any) -> None:
    """Print a value as strict JSON: NaN is an error."""
    print(json_module.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def print_table(headers: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table for a person."""
    from flows.commands.tables import table

    console().print(table(headers, rows))


@contextmanager
def native_messages_to(file: Path) -> Iterator[None]:
    """Redirect what C++ libraries write to standard error into a file while the block runs.

    TensorFlow prints a dozen lines about missing CUDA drivers and rounding before Python can ask it not to, and the
    verdict is lost among them. Exceptions raised in the block are printed after it, on the terminal.

    Args:
        file: created anew.
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
