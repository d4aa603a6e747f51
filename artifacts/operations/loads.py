"""Do the versions that a rollback may need still load, and give their recorded answers?"""

import math
from collections.abc import Iterator
from functools import partial

from artifacts.registry import champions, ledger, versions
from artifacts.registry.versions import Version
from artifacts.serving import check
from artifacts.serving.check import Budgets
from artifacts.upkeep.findings import Finding, Subject
from artifacts.upkeep.kinds import Kind
from data.errors import NightshiftError
from data.home.store import Store

# time and size were judged when the version was registered; here the machine may be busy with something else
NO_LIMITS = Budgets(load_s=math.inf, latency_ms=math.inf, size_bytes=1 << 62)
ADVICE = "roll back to a version that loads, or install the libraries that it was made with ('nightshift show')"


def for_rollback(store: Store, dataset: str) -> tuple[Version, ...]:
    """Return the champion and the earlier champions that are not barred, the newest first.

    Raises:
        Corrupt: pointer or ledger are damaged.
    """
    entries = champions.history(store, dataset)
    barred, found = ledger.barred(entries), dict[str, None]()
    for entry in reversed(entries):
        if entry.action in ledger.MOVES and entry.to_version and entry.digests.get("weights") not in barred:
            found[entry.to_version] = None
    return tuple(version for name in found if (version := _version(store, name)))


def _version(store: Store, name: str) -> Version | None:
    try:
        return versions.find(store, name)
    except NightshiftError:
        return None  # a missing or damaged version is found by the hashes


def _subjects(store: Store) -> Iterator[Subject]:
    for dataset in versions.datasets(store):
        try:
            found = for_rollback(store, dataset)
        except NightshiftError:
            continue  # a damaged registry is a finding of its own
        for version in found:
            yield Subject(version.id, partial(_loads, version), ADVICE)


def _loads(version: Version) -> Iterator[Finding]:
    result = check.infra_check(version.folder, budgets=NO_LIMITS)
    if not result.passed:
        yield Finding(version.id, result.message.splitlines()[0], ADVICE)


LOADED = Kind("versions loaded", "models", _subjects)
