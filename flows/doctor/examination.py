"""Goes through environment, home and server, repairs what needs no guess if asked, and says what is left."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from artifacts.upkeep.findings import Finding, Subject, checked
from artifacts.upkeep.repair import repair_home
from data.errors import NightshiftError
from data.home import journal
from data.home.store import Store
from flows.doctor import environment, housekeeping, service


@dataclass
class Examination:
    """What was found and done.

    Args:
        findings: what is left, by area: "environment", "home", "server".
        repaired: what was done, a sentence each.
        looked_at: what was looked at, a sentence for each area.
    """

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    repaired: list[str] = field(default_factory=list)
    looked_at: dict[str, str] = field(default_factory=dict)

    @property
    def serious(self) -> list[Finding]:
        """The findings that need action."""
        return [one for found in self.findings.values() for one in found if one.serious]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found = [{"area": area, **one.to_json()} for area, all_ in self.findings.items() for one in all_]
        return {"findings": found, "repaired": self.repaired, "looked_at": self.looked_at, "ok": not self.serious}


def examine(store: Store, *, repair: bool = False, load: bool = False) -> Examination:
    """Look at everything there is a check for; nothing is changed unless asked.

    Args:
        store: the home.
        repair: mend first what needs no guess; a copy of whatever is changed stays in quarantine/.
        load: also load every version that a rollback may need, in fresh processes.
    """
    found = Examination()
    writable = not checked(Subject("home", lambda: housekeeping.require_sound(store)))
    if repair and writable:
        found.repaired = [line for mend in _repairs(store) for line in _attempt(mend)]
    home = housekeeping.look(store, load=load)
    found.findings = {
        "environment": _all(environment.CHECKS, store),
        "home": home.findings,
        "server": _all(service.CHECKS, store),
    }
    found.looked_at = {
        "environment": "variables, proxies, certificates, temporary files",
        "home": home.sentence,
        "server": service.summary(store),
    }
    return found


def _all(checks: Mapping[str, Callable[[Store], Iterator[Finding]]], store: Store) -> list[Finding]:
    return [one for name, check in checks.items() for one in checked(Subject(name, partial(check, store)))]


def _repairs(store: Store) -> Iterator[Callable[[], list[str]]]:
    yield lambda: service.repair(store)  # first: with a server, the runs that died are marked there, too
    yield lambda: journal.end_lost(store)
    yield lambda: repair_home(store)
    yield lambda: housekeeping.repair(store)


def _attempt(mend: Callable[[], list[str]]) -> list[str]:
    """Return what was done; a failure becomes a line, so that the other repairs are still tried."""
    try:
        return mend()
    except (NightshiftError, OSError) as error:
        return [f"could not be repaired: {error}"]
