"""The champion pointer: one small file, replaced by one rename, that carries the ledger line of its own move.

The rename is the moment at which the champion changes. The line is appended to the ledger right after; if the process
dies in between, readers take the line from the pointer, and whoever writes next appends it (`settle`). So the pointer
and the ledger never tell different stories, and there is no moment without a champion or with two.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from artifacts.registry import ledger
from artifacts.registry.ledger import Entry
from data.errors import Corrupt, StorageFailed
from data.store import Store
from data.values import canonical_json

SCHEMA = 1


class PointerLost(Corrupt):
    """The pointer is missing, unreadable or stale, and the ledger knows what it has to say."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "run 'nightshift verify --repair' to rebuild it from the ledger")


@dataclass(frozen=True)
class Pointer:
    """Who is champion.

    Args:
        dataset: name.
        version: number of the champion.
        generation: how often the champion changed; what compare-and-swap compares.
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
        entries: the whole story, the pointer's line included, whether or not it is in the file yet.
        pending: the pointer's line has not reached the ledger file.
    """

    pointer: Pointer | None
    entries: tuple[Entry, ...]
    pending: bool

    @property
    def generation(self) -> int:
        """The counter to compare and swap; 0 before the first promotion."""
        return self.pointer.generation if self.pointer else 0


def read(store: Store, dataset: str) -> Pointer | None:
    """Return the pointer, checked within itself; None when there is no file.

    Raises:
        PointerLost: truncated, empty, changed, or not a plain file.
        Corrupt: another schema.
    """
    path = store.champion(dataset)
    if path.is_symlink():
        raise PointerLost(f"{path} is a symbolic link")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        value = json.loads(content)
        schema = value["schema"]
    except (ValueError, KeyError, TypeError) as error:
        state = "is empty" if not content else f"is not readable ({error}); it has {len(content)} bytes"
        raise PointerLost(f"{path} {state}") from error
    if schema != SCHEMA:
        raise Corrupt(f"{path} has schema {schema}, this code reads {SCHEMA}", "use the code that wrote it")
    try:
        pointer = Pointer(value["dataset"], value["version"], value["generation"], Entry.from_json(value["event"]))
    except (KeyError, TypeError, Corrupt) as error:
        raise PointerLost(f"{path} is damaged: {error}") from error
    told = (pointer.event.to_version, pointer.event.generation)
    if told != (f"{dataset}/{pointer.version}", pointer.generation) or pointer.dataset != dataset:
        raise PointerLost(
            f"{path} names {pointer.dataset}/{pointer.version} in generation {pointer.generation}, but its own event "
            f"says {told[0]} in generation {told[1]}"
        )
    return pointer


def state(store: Store, dataset: str) -> State:
    """Return pointer and ledger as they belong together; needs no lock and writes nothing.

    Raises:
        PointerLost: the pointer is missing, unreadable or older than the ledger.
        Corrupt: the ledger is broken, or the two tell different stories.
    """
    pointer = read(store, dataset)
    while True:
        entries = ledger.read(store, dataset)
        again = read(store, dataset)
        if again == pointer:
            return _joined(store, dataset, pointer, entries)
        pointer = again  # the champion moved while we were reading; each turn of this loop is somebody's promotion


def _joined(store: Store, dataset: str, pointer: Pointer | None, entries: tuple[Entry, ...]) -> State:
    path, moves = store.champion(dataset), [entry for entry in entries if entry.action in ledger.MOVES]
    if pointer is None:
        if moves:
            raise PointerLost(f"{path} is missing, but the ledger says that {moves[-1].to_version} is champion")
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
        f"{path} and the ledger tell different stories: line {event.seq} of the ledger is not the pointer's event",
        "put both files back from the same backup",
    )


def lock_name(dataset: str) -> str:
    """Return the name of the lock that every writer of a dataset's models holds."""
    return f"models-{dataset}"


@contextmanager
def locked(store: Store, dataset: str) -> Iterator[None]:
    """Hold the dataset's lock.

    Raises:
        BadInput: this cannot be a dataset's name.
    """
    store.champion(dataset)  # refuses a wrong name before a file is made of it
    with store.lock(lock_name(dataset)):
        yield


@contextmanager
def writing(store: Store, dataset: str) -> Iterator[State]:
    """Hold the dataset's lock, first finishing what a crashed process has begun.

    Yields:
        The state, with nothing pending and no torn line.

    Raises:
        Corrupt: as `state`.
        StorageFailed: the home cannot be written.
    """
    with locked(store, dataset):
        yield settle(store, dataset)


def settle(store: Store, dataset: str) -> State:
    """Remove a torn line and append the pointer's line if it is missing; callers hold the lock."""
    ledger.recover(store, dataset)
    now = state(store, dataset)
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
    store.write_bytes(store.champion(dataset), canonical_json(pointer.to_json()))
    # -- from here on the champion has changed --
    try:
        ledger.append(store, dataset, entry)
    except StorageFailed as error:
        raise StorageFailed(
            f"{entry.to_version} is champion, but its line has not reached the ledger: {error.problem}",
            f"the next command appends it; {error.hint}",
        ) from error
