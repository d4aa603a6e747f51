"""Arguments that several commands take, and what their values stand for."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from data.errors import BadInput, UnknownName
from flows.commands.console import store

if TYPE_CHECKING:
    from artifacts.registry.versions import Version

VersionName = Annotated[str, Parameter(help="A version such as mnist/1; a dataset stands for its champion.")]
ExactVersion = Annotated[str, Parameter(help="A version such as mnist/2.")]
Reason = Annotated[str, Parameter(help="Why, in one sentence; recorded in the ledger.")]
Device = Literal["auto", "gpu", "cpu"]


def find_version(name: str) -> "Version":
    """Return the version called "mnist/1", or the champion of "mnist".

    Raises:
        UnknownName: there is no such version or dataset, or the dataset has no champion.
    """
    from artifacts.registry import champions, versions

    if "/" in name:
        return versions.find(store(), name)
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
