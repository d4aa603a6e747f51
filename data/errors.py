"""The errors that Nightshift raises on purpose.

The tree, drawn once:

    NightshiftError                 an error with a message for the user; never shown as a traceback
    ├── BadInput                    what was given is wrong: refused, nothing was changed        exit 2
    │   ├── UnknownName             no such dataset, recipe, version, candidate
    │   ├── BadFile                 a file is not what it should be: IDX, gzip, image, size
    │   └── DataRefused             the data failed its expectations
    └── Broken                      what was given is fine, but the work could not be done       exit 1
        ├── SourceUnavailable       no mirror served the right bytes
        ├── StorageFailed           the home is read-only, full, or not writable
        ├── Corrupt                 a produced file no longer matches its recorded hash
        ├── Unloadable              a model file is as it was written, but the installed libraries cannot load it
        ├── TrainingFailed          non-finite loss, no such device
        │   └── OutOfMemory         it did not fit; a smaller batch may
        └── Conflict                another process moved the champion meanwhile

Every message says what was expected, what was found, and what to do next.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class NightshiftError(Exception):
    """Base of all errors with a message for the user.

    Args:
        problem: what was expected and what was found, in one sentence without a full stop.
        hint: what to do next, in one sentence; printed on its own line.
    """

    exit_code = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem}\n  -> {self.hint}" if self.hint else self.problem


class BadInput(NightshiftError):
    """What was given is wrong; nothing was changed."""

    exit_code = 2


class UnknownName(BadInput):
    """A name that is not on the list; the message shows the list and the nearest entry."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], hint: str = "") -> "UnknownName":
        """An error for `name`, which is none of the `known` names of this `kind`."""
        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        listed = ", ".join(names) if names else "there is none yet"
        guess = f"did you mean {near[0]!r}? " if near else ""
        return cls(f"no {kind} is called {name!r}", f"{guess}known: {listed}{'; ' + hint if hint else ''}")


class BadFile(BadInput):
    """A file is not what it should be."""


class DataRefused(BadInput):
    """The data failed its expectations.

    Args:
        validation: content address of the result that is kept; "" where there is none.
    """

    def __init__(self, problem: str, hint: str = "", validation: str = "") -> None:
        super().__init__(problem, hint)
        self.validation = validation


class Broken(NightshiftError):
    """What was given is fine, but the work could not be done."""


class SourceUnavailable(Broken):
    """No mirror served the right bytes."""


class StorageFailed(Broken):
    """The home cannot be written."""


class Corrupt(Broken):
    """A produced file no longer matches its recorded hash."""


class Unloadable(Broken):
    """A model file is as it was written, but the installed libraries cannot load it."""


class TrainingFailed(Broken):
    """A candidate could not be trained."""


class OutOfMemory(TrainingFailed):
    """A candidate did not fit into the device's memory; a smaller batch may."""


class Conflict(Broken):
    """Another process made a conflicting change meanwhile."""
