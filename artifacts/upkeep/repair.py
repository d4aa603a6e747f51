"""Repairs that need no guess; whatever is changed or moved is kept under quarantine/."""

from collections.abc import Iterator
from pathlib import Path

from artifacts.registry import ledger, pointer, versions
from artifacts.registry.ledger import Entry
from artifacts.registry.pointer import Pointer, PointerLost
from artifacts.upkeep import kinds
from artifacts.upkeep.findings import checked
from data.errors import BadInput, NightshiftError
from data.home.plain_files import READABLE
from data.home.store import Store
from data.values import canonical_json

MOVED = ("raw", "journal", *kinds.MADE_ANEW)


def repair_home(store: Store) -> list[str]:
    """Repair every registry, and move away what is damaged and is fetched or made anew, or only stands in the way.

    Returns:
        What was done or could not be done, one sentence each.
    """
    done = [line for dataset in versions.datasets(store) for line in _registry(store, dataset)]
    return [*done, *_moved(store)]


def _registry(store: Store, dataset: str) -> list[str]:
    """Repair one registry; an error becomes a line, so that the others are still repaired."""
    try:
        return repair(store, dataset)
    except (NightshiftError, OSError) as error:
        return [f"{dataset} cannot be repaired: {error}"]


def repair(store: Store, dataset: str) -> list[str]:
    """Finish what a crash interrupted, tidy the ledger, and rebuild a lost pointer from it.

    A rebuilt pointer names the version that the ledger names, even if its files are damaged: `find_problems` reports
    those, and a rollback replaces it.

    Returns:
        What was done, one sentence each; empty when there was nothing to do.

    Raises:
        Corrupt: the ledger itself is broken, or has lost lines before the pointer's.
        StorageFailed: the home cannot be written.
    """
    done = []
    with pointer.locked(store, dataset):
        try:
            before = pointer.state(store, dataset)
        except PointerLost as error:
            before = None
            done += [error.problem, _rebuild(store, dataset, ledger.read(store, dataset))]
        problem = ledger.untidy(store, dataset)
        if ledger.recover(store, dataset):
            done.append(f"tidied {store.ledger(dataset)}: {problem}; as it was: {store.root / 'quarantine' / dataset}")
        if before and before.pending:
            pointer.settle(store, dataset)
            done.append(f"wrote line {before.entries[-1].seq}, which only the pointer had, into the ledger")
    return done


def _rebuild(store: Store, dataset: str, entries: tuple[Entry, ...]) -> str:
    path, moves = store.champion(dataset), [entry for entry in entries if entry.action in ledger.MOVES]
    if path.exists() or path.is_symlink():
        store.move(path, store.quarantine(dataset, path.name))
    if not moves:
        return f"the ledger of {dataset} has no promotion: there is no champion"
    event = moves[-1]
    number = int(str(event.to_version).rpartition("/")[2])
    rebuilt = Pointer(dataset, number, event.generation or 0, event)
    store.write_bytes(path, canonical_json(rebuilt.to_json()))
    return f"rebuilt the pointer from line {event.seq} of the ledger: {event.to_version} is champion"


def _moved(store: Store) -> Iterator[str]:
    """Move what is damaged to quarantine/; what cannot be read at all stays, since it may be whole."""
    for kind in kinds.KINDS:
        for subject in kind.subjects(store) if kind.folder in MOVED else ():
            serious = [found for found in checked(subject) if found.serious and found.hint != READABLE]
            path = store.root / subject.name
            if serious and path.exists():
                yield _move(store, path)


def _move(store: Store, path: Path) -> str:
    where = path.relative_to(store.root)
    try:
        kept = store.quarantine(where.parts[0] if len(where.parts) == 2 else where.parts[1], path.name)
        store.move(path, kept)
    except (BadInput, NightshiftError, OSError) as error:
        return f"{where} cannot be moved: {error}"
    return f"moved {where}, which is damaged, to {kept.relative_to(store.root)}"
