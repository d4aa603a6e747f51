"""The champion pointer: one small file, replaced by one rename, that carries the ledger line of its own move.

The champion changes at the moment of the rename. The line is appended to the ledger right after; if the process dies
in between, readers take the line from the pointer, and the next writer appends it (`settle`). So the pointer and the
ledger never disagree, and there is no moment without a champion or with two.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from artifacts.registry import ledger, traces
from artifacts.registry.ledger import Entry
from data.errors import Corrupt, StorageFailed
from data.home.plain_files import kind_of, read_plain
from data.home.store import Store
from data.values import canonical_json

SCHEMA = 1
LIMIT = 16 << 20  # bytes; a pointer has some thousand


class PointerLost(Corrupt):
    """The pointer is missing, unreadable or stale, and can be rebuilt from the ledger."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "run 'nightshift verify --repair' to rebuild it from the ledger")


class RegistryLost(Corrupt):
    """Pointer and ledger are both gone, and something shows that there was a champion."""

    def __init__(self, dataset: str, trace: str) -> None:
        super().__init__(
            f"{dataset} has neither a champion pointer nor a promotion in its ledger, but {trace}",
            f"restore champion.json and ledger.jsonl from one backup, or choose the champion yourself: "
            f"nightshift rollback {dataset} --to VERSION --reason WHY ('nightshift models list {dataset}' lists them)",
        )


@dataclass(frozen=True)
class Pointer:
    """Which version is champion.

    Args:
        dataset: the dataset's name.
        version: number of the champion.
        generation: how often the champion has changed; `promote` compares it before it swaps.
        event: the ledger line of the move that made it so.
    """

    dataset: str
    version: int
    generation: int
    event: Entry

    def to_json(self) -> dict[str, Any]:
        """Return the content of champion.json."""
        return {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "version": self.version,
            "generation": self.generation,
            "event": self.event.to_json(),
        }


@dataclass(frozen=True)
class State:
    """One consistent view of a dataset's pointer and ledger.

    Args:
        pointer: None before the first promotion.
        entries: the whole ledger, including the pointer's line even if it is not in the file yet.
        pending: whether the pointer's line is missing from the ledger file.
    """

    pointer: Pointer | None
    entries: tuple[Entry, ...]
    pending: bool

    @property
    def generation(self) -> int:
        """The counter to compare and swap; 0 before the first promotion."""
        return self.pointer.generation if self.pointer else 0

    @property
    def champion_id(self) -> str | None:
        """The champion's name, as "mnist/3"; None before the first promotion."""
        return self.pointer.event.to_version if self.pointer else None

    @property
    def champion_weights(self) -> str | None:
        """The digest of the champion's weights; None before the first promotion."""
        return self.pointer.event.digests["weights"] if self.pointer else None


def read(store: Store, dataset: str) -> Pointer | None:
    """Return the pointer, checked within itself; None when there is no file.

    Raises:
        PointerLost: truncated, empty, changed, or not a plain file.
        Corrupt: another schema.
    """
    path = store.champion(dataset)
    try:
        kind = kind_of(path.lstat().st_mode)
        if kind != "a file":
            raise PointerLost(f"{path} is {kind}")
        content = read_plain(path, LIMIT)
    except FileNotFoundError:
        return None
    try:
        value = json.loads(content)
        schema = value["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        state = "is empty" if not content else f"is not readable ({error}); it has {len(content)} bytes"
        raise PointerLost(f"{path} {state}") from error
    if schema != SCHEMA:
        raise Corrupt(f"{path} has schema {schema}, this code reads {SCHEMA}", "use the code that wrote it")
    try:
        pointer = Pointer(value["dataset"], value["version"], value["generation"], Entry.from_json(value["event"]))
    except (KeyError, TypeError, Corrupt) as error:
        raise PointerLost(f"{path} is damaged: {error}") from error
    event = pointer.event
    if (event.to_version, event.generation) != (
        f"{dataset}/{pointer.version}",
        pointer.generation,
    ) or pointer.dataset != dataset:
        raise PointerLost(
            f"{path} names {pointer.dataset}/{pointer.version} in generation {pointer.generation}, but its own event "
            f"says {event.to_version} in generation {event.generation}"
        )
    return pointer


def state(store: Store, dataset: str) -> State:
    """Return a consistent view of pointer and ledger; needs no lock and writes nothing.

    Raises:
        PointerLost: the pointer is missing, unreadable or older than the ledger.
        Corrupt: the ledger is broken, or the two disagree.
    """
    pointer = read(store, dataset)
    while True:
        entries = ledger.read(store, dataset)
        again = read(store, dataset)
        if again == pointer:
            return _joined(store, dataset, pointer, entries)
        pointer = again  # the champion changed while we were reading: read again


def _joined(store: Store, dataset: str, pointer: Pointer | None, entries: tuple[Entry, ...]) -> State:
    path, moves = store.champion(dataset), [entry for entry in entries if entry.action in ledger.MOVES]
    if pointer is None:
        if moves:
            raise PointerLost(f"{path} is missing, but the ledger says that {moves[-1].to_version} is champion")
        if trace := traces.of_a_champion(store, dataset):
            raise RegistryLost(dataset, trace)
        return State(None, entries, False)
    event, newest = pointer.event, entries[-1].hash if entries else ledger.GENESIS
    if event.seq == len(entries) + 1 and event.previous == newest:
        return State(pointer, (*entries, event), True)
    if moves and moves[-1].hash == event.hash:
        return State(pointer, entries, False)
    if event.seq <= len(entries) and entries[event.seq - 1].hash == event.hash:
        raise PointerLost(
            f"{path} is older than the ledger: it names {event.to_version}, the ledger {moves[-1].to_version}"
        )
    raise Corrupt(
        f"{path} and the ledger disagree: line {event.seq} of the ledger is not the pointer's event",
        "restore both files from the same backup",
    )


def lock_name(dataset: str) -> str:
    """Return the name of the lock that every writer of a dataset's models holds."""
    return f"models-{dataset}"


@contextmanager
def locked(store: Store, dataset: str) -> Iterator[None]:
    """Hold the dataset's lock.

    Raises:
        BadInput: the name is not valid for a dataset.
    """
    store.champion(dataset)  # refuses an invalid name before a file of that name is created
    with store.lock(lock_name(dataset)):
        yield


@contextmanager
def writing(store: Store, dataset: str) -> Iterator[State]:
    """Hold the dataset's lock, after finishing what a crashed process has begun.

    Yields:
        The state, with nothing pending and no torn line.

    Raises:
        Corrupt: as `state`.
        StorageFailed: the home cannot be written.
    """
    with locked(store, dataset):
        yield settle(store, dataset)


def settle(store: Store, dataset: str) -> State:
    """Tidy the ledger, and append the pointer's line if it is missing; callers hold the lock.

    Nothing is touched before pointer and ledger are known to belong together.
    """
    now = state(store, dataset)
    ledger.recover(store, dataset)
    if now.pending and now.pointer:
        ledger.append(store, dataset, now.pointer.event)
    return State(now.pointer, now.entries, False)


def move(store: Store, dataset: str, entry: Entry) -> None:
    """Make `entry.to_version` the champion, in one rename; callers are inside `writing` and have verified the version.

    Raises:
        StorageFailed: the message says whether the champion has changed.
    """
    number = int(str(entry.to_version).rpartition("/")[2])
    pointer = Pointer(dataset, number, entry.generation or 0, entry)
    try:
        store.write_bytes(store.champion(dataset), canonical_json(pointer.to_json()))
    except StorageFailed as error:
        raise _unconfirmed(store, dataset, entry, error) from error
    # -- from here on the champion has changed --
    try:
        ledger.append(store, dataset, entry)
    except StorageFailed as error:
        raise StorageFailed(
            f"{entry.to_version} is champion, but its line could not be written to the ledger: {error.problem}",
            f"the next command appends it; {error.hint}",
        ) from error


def _unconfirmed(store: Store, dataset: str, entry: Entry, error: StorageFailed) -> StorageFailed:
    """Return the error of a pointer that could not be written, with what is true now: read from the pointer itself."""
    try:
        now = read(store, dataset)
    except Corrupt as damaged:
        return StorageFailed(f"{error.problem}; and now {damaged.problem}", damaged.hint)
    if now and now.event.hash == entry.hash:
        return StorageFailed(
            f"{entry.to_version} is champion now; {error.problem}",
            f"{error.hint}; the same command again sees that it has happened",
        )
    still = f"{now.event.to_version} is still champion" if now else "there is still no champion"
    return StorageFailed(f"{error.problem}; {still}", error.hint)
