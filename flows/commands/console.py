"""Shared by the commands: exit codes, groups, arguments, and how things are printed."""

import io
import json as json_module
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, TextIO

from cyclopts import Group, Parameter
from rich.console import Console

from data.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from artifacts.registry.versions import Version
    from data.home.store import Store

DONE, BROKEN, REFUSED, NOT_PROMOTED, WAITS = 0, 1, 2, 3, 4

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
VersionName = Annotated[str, Parameter(help="A version such as mnist/1; a dataset stands for its champion.")]
ExactVersion = Annotated[str, Parameter(help="A version such as mnist/2.")]
Reason = Annotated[str, Parameter(help="Why, in one sentence; recorded in the ledger.")]
Device = Literal["auto", "gpu", "cpu"]


def store() -> "Store":
    """Return the home that the environment names."""
    from flows.settings import settings

    return settings().store


def ready_to_write() -> "Store":
    """Return the home after the checks of a run that writes; warnings go to standard error.

    Raises:
        Broken: newer code has written there.
        StorageFailed: it cannot be written, or has no locks.
    """
    from artifacts.upkeep.preflight import preflight

    home = store()
    for line in preflight(home):
        print(f"note: {line}", file=sys.stderr)
    return home


def find_version(name: str) -> "Version":
    """Return the version called "mnist/1", or the champion of "mnist".

    Raises:
        UnknownName: there is no such version or dataset, or the dataset has no champion.
    """
    from artifacts.registry import champions

    if "/" in name:
        return champions.verified(store(), name)
    found = champions.champion(store(), known_dataset(name))
    if found is None:
        raise UnknownName(f"{name} has no champion yet", f"run: nightshift retrain {name}")
    return found


def known_dataset(name: str) -> str:
    """Return the name of a dataset that the catalogue or the registry knows.

    Raises:
        UnknownName: neither knows it.
    """
    from artifacts.registry import versions
    from data import catalogue

    home = store()
    return name if name in versions.datasets(home) else catalogue.get(home, name).name


def moment(text: str) -> datetime:
    """Return the time that a person wrote, in UTC unless it says otherwise; a date means its end, "" means now.

    Raises:
        BadInput: it is not in ISO 8601.
    """
    if not text:
        return datetime.now(UTC)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is not a date or time", "write 2026-11-20 or 2026-11-20T03:00") from error
    if len(text) <= len("2026-11-20"):
        when = when.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console as wide as the terminal, or as COLUMNS says; 80 columns where there is none.

    It has no colours if NO_COLOR is set. A quiet one prints nothing.
    """
    return Console(stderr=stderr, quiet=quiet, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as strict JSON: NaN is an error."""
    print(json_module.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def print_table(headers: tuple[str, ...], rows: list[tuple[Any, ...]], spare: tuple[str, ...] = ()) -> None:
    """Print a table for a person; the columns `spare` are left out first where the terminal is narrow."""
    from flows.commands.tables import table

    console().print(table(headers, rows, spare=spare))


@contextmanager
def native_messages_to(file: Path) -> Iterator[None]:
    """Redirect what C++ libraries write to standard error into a file while the block runs.

    TensorFlow prints a dozen lines about missing CUDA drivers and rounding before Python can ask it not to, and the
    verdict is lost among them. Exceptions raised in the block are printed after it, on the terminal.

    Args:
        file: created anew; where it cannot be, such as in a home that is read-only or somebody else's, a temporary
            file takes its place.
    """
    kept = os.dup(2)
    with _writable(file) as stream:
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _writable(file: Path) -> IO[bytes]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("wb")
    except OSError:
        return tempfile.TemporaryFile()


class Output(io.FileIO):
    """Standard output or error, which may go away while the work goes on.

    A reader that has seen enough (`| head -1`) is no error. What cannot be written for another reason, such as a full
    disk, is remembered in `lost`. Either way the rest is discarded and nothing is raised: no night dies of its printer.
    """

    lost: OSError | None = None

    def write(self, content: Any) -> int:
        """Write bytes, or discard them; return how many."""
        try:
            return super().write(content) or 0
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.lost = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(content)


def robust_streams() -> Output:
    """Replace standard output and error by ones that never raise, and return that of standard output.

    Characters that the terminal's encoding lacks are escaped. A stream that was closed, as by `2>&-`, is discarded.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it has the lowest free number, which is this one
    sys.stdout, output = _stream(1, sys.stdout)
    sys.stderr, _ = _stream(2, sys.stderr)
    return output


def _stream(number: int, old: TextIO | None) -> tuple[TextIO, Output]:
    output = Output(number, "wb", closefd=False)
    encoding = old.encoding if old else "utf-8"
    text = io.TextIOWrapper(
        io.BufferedWriter(output), encoding, "backslashreplace", line_buffering=number == 2 or os.isatty(number)
    )
    return text, output
