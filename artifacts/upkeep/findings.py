"""Problems in a home as values, and a way to check things that survives whatever it meets."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from data.errors import NightshiftError
from data.home.plain_files import READABLE


@dataclass(frozen=True)
class Finding:
    """One problem.

    Args:
        subject: what is affected: "mnist/3", "the champion of mnist", a path below the home.
        problem: what was expected and what was found.
        hint: what to do.
        serious: whether it needs action; false for leftovers of crashed runs, which the next run removes.
    """

    subject: str
    problem: str
    hint: str
    serious: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


Check = Callable[[], "Iterable[Finding] | object"]


@dataclass(frozen=True)
class Subject:
    """One thing to check.

    Args:
        name: what a finding calls it.
        check: yields findings, or raises; any other result counts as sound.
        advice: what to do if it raises; "" for the error's own advice.
    """

    name: str
    check: Check
    advice: str = ""


def checked(subject: Subject) -> list[Finding]:
    """Check one thing; whatever goes wrong is a finding, so that damage in one place never hides damage in another."""
    found: list[Finding] = []
    try:
        result = subject.check()
        if isinstance(result, Iterable):
            found.extend(one for one in result if isinstance(one, Finding))
    except NightshiftError as error:
        # what cannot be read may be whole: the advice for damage would be wrong
        hint = error.hint if error.hint == READABLE else subject.advice or error.hint
        found.append(Finding(subject.name, error.problem, hint))
    except OSError as error:
        found.append(Finding(subject.name, f"cannot be read: {error}", READABLE))
    except Exception as error:  # noqa: BLE001  # a file may hold anything at all
        problem = f"cannot be checked ({type(error).__name__}: {str(error)[:200]})"
        found.append(Finding(subject.name, problem, subject.advice or "look at the file; restore it from a backup"))
    return found
