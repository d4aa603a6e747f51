"""What may not be removed from a home, found from what refers to it."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from artifacts.registry import champions, ledger, versions, waiting
from artifacts.registry.ledger import Entry
from artifacts.upkeep import pins
from artifacts.upkeep.registries import names
from data.errors import UnknownName
from data.home.plain_files import read_plain
from data.home.store import Store

DIGEST = re.compile(rb"[0-9a-f]{64}")


@dataclass
class Needed:
    """What stays.

    Args:
        digests: of prepared data, validations, snapshots and shards.
        runs: names of runs whose report belongs to a version that stays usable.
    """

    digests: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)


def needed(store: Store, horizon: int) -> Needed:
    """Return what champions, earlier champions, what waits for a person, pinned versions and growing datasets need.

    Args:
        store: the home.
        horizon: how many earlier champions, that are not barred, a rollback must be able to reach.

    Raises:
        Corrupt: a registry, a list of pins, or a version that is needed cannot be read: then nothing may be removed.
    """
    found = Needed()
    for dataset in versions.datasets(store):
        entries = champions.history(store, dataset)
        for entry in _reachable(entries, horizon):
            found.digests |= {entry.digests["prepared"], entry.digests["raw"]}
            _add_version(store, str(entry.to_version), found)
        if waits := waiting.current(entries):
            _add_version(store, waits.version, found)
            found.digests |= {waits.entry.digests["prepared"], waits.entry.digests["raw"]}
            found.digests |= set(_trained(store, waits.entry.digests["weights"]))
        for number in pins.pinned(store, dataset):
            _add_version(store, f"{dataset}/{number}", found)
    found.digests |= set(_mentioned(store, "growing")) | set(_mentioned(store, "datasets"))
    _follow(store, found)
    return found


def _reachable(entries: tuple[Entry, ...], horizon: int) -> list[Entry]:
    """Return the move that made the champion, and those that made earlier champions which are not barred."""
    barred, found = ledger.barred(entries), dict[str, Entry]()
    for entry in reversed([entry for entry in entries if entry.action in ledger.MOVES]):
        if not found or entry.digests.get("weights") not in barred:  # the champion, whatever is said about it
            found.setdefault(str(entry.to_version), entry)
    return [*found.values()][: horizon + 1]


def _add_version(store: Store, name: str, found: Needed) -> None:
    """Add what a version was made from; one that is not there any more cannot be rolled back to."""
    with contextlib.suppress(UnknownName):
        version = versions.find(store, name)
        found.digests |= {version.provenance().prepared_digest, version.provenance().raw_digest}
        found.runs.add(version.run_id)


def _trained(store: Store, weights: str) -> Iterator[str]:
    """Yield the candidates with these weights, so that the next night finds what waits instead of training it again."""
    for name in names(store, "trained"):
        path = store.trained(name) / "training.json"
        if path.is_file() and weights.encode() in read_plain(path):
            yield name


def _mentioned(store: Store, folder: str) -> Iterator[str]:
    """Yield every digest that a file below a folder mentions, whatever it means by it."""
    for path in sorted((store.root / folder).rglob("*")):
        if path.is_file() and path.suffix in (".json", ".jsonl"):
            yield from (found.decode() for found in DIGEST.findall(read_plain(path)))


def _follow(store: Store, found: Needed) -> None:
    """Add what the needed folders refer to: validations and snapshots of prepared data, shards of snapshots."""
    for digest in [*found.digests]:
        if store.is_complete(store.prepared(digest)):
            meta = store.meta(store.prepared(digest))
            found.digests |= {str(meta[name]) for name in ("validation", "snapshot") if meta.get(name)}
    for name in names(store, "validations"):
        if store.is_complete(store.validation(name)) and store.meta(store.validation(name)).get("raw") in found.digests:
            found.digests.add(name)


def shards_of(store: Store, snapshots: set[str]) -> set[str]:
    """Return the shards of snapshots.

    Raises:
        Corrupt: one of them cannot be read.
    """
    from data.snapshots import snapshot
    from data.snapshots.snapshot import SnapshotRef

    return {shard.digest for name in snapshots for shard in snapshot.read(store, SnapshotRef("", name)).shards}
