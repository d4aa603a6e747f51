"""What may be removed from a home: listed with its bytes first, and removed only if asked.

Nothing under models/ is ever removed. Of everything else stays what `needed` finds, the newest of each kind, and what
is younger than some days. What is removed is renamed away first, so that a crash leaves no half folder behind.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifacts.registry import versions
from artifacts.upkeep.needed import Needed, needed, shards_of
from artifacts.upkeep.registries import names
from data.errors import BadInput, Broken, Corrupt
from data.home import journal
from data.home.files import storage_errors
from data.home.store import Store

DAY_S = 24 * 3600.0
LOG_BYTES = 10 << 20  # of a log, above which its older half goes
FOLDERS = ("trained", "prepared", "validations", "snapshots", "runs")
TODAY_S = DAY_S  # what is younger may belong to a run that has not written a record yet


class Busy(Broken):
    """A run is under way, which may need anything."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "run it again when that has ended")


@dataclass(frozen=True)
class Retention:
    """What stays though nothing needs it.

    Args:
        keep: the newest of each kind: of candidates, prepared data, validations, snapshots, reports, quarantined files.
        days: what is younger than this.
        gigabytes: of what could be removed, keep no more than this, the newest; 0 for no limit. It overrides `keep` and
            `days`, but never removes what was made within the last day.
        horizon: how many earlier champions a rollback must be able to reach.

    Raises:
        BadInput: a number is negative.
    """

    keep: int = 20
    days: float = 30.0
    gigabytes: float = 0.0
    horizon: int = 5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise BadInput(f"--{name} is {value}; expected 0 or more", "give a number from 0")


@dataclass(frozen=True)
class Item:
    """Something that may be removed.

    Args:
        path: what it is.
        kind: the folder of the home that it lies in.
        bytes: what it takes on disk.
        age_s: since it was written, in seconds, by the system clock; at least 0.
    """

    path: Path
    kind: str
    bytes: int
    age_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "bytes": self.bytes,
            "age_days": round(self.age_s / DAY_S, 1),
        }


def find(store: Store, retention: Retention) -> list[Item]:
    """Return what may be removed, the oldest first; nothing is changed.

    Raises:
        Corrupt: something that says what is needed cannot be read; then nothing may be removed.
    """
    stays = needed(store, retention.horizon)
    found = [item for kind in FOLDERS for item in _folders(store, kind, stays, retention)]
    found += list(_quarantined(store, retention))
    found += _shards(store, {item.path.name for item in found if item.kind == "snapshots"})
    found += [*_records(store, retention), *logs(store)]
    return sorted(found, key=lambda item: -item.age_s)


def remove(store: Store, items: list[Item], progress: Callable[[Item], None] | None = None) -> int:
    """Remove what `find` returned, while no night can begin; return the number of bytes.

    Raises:
        Busy: a run is under way, which may need any of it; nothing was removed.
        StorageFailed: the home cannot be written.
    """
    with _quiet(store):
        for item in items:
            _remove(store, item)
            if progress:
                progress(item)
    return sum(item.bytes for item in items)


@contextmanager
def _quiet(store: Store) -> Iterator[None]:
    """Hold the locks of all nights, if no run is under way."""
    with ExitStack() as locks:
        for dataset in _datasets(store):
            try:
                locks.enter_context(store.lock(f"night-{dataset}", timeout_s=0))
            except BlockingIOError:
                raise Busy(f"a night of {dataset} is under way") from None
        active = [record.run for record in journal.read(store) if record.active and not record.lost]
        if active:
            raise Busy(f"{active[0]} is under way")
        yield


def _datasets(store: Store) -> list[str]:
    from data import catalogue

    known = {*catalogue.names(store), *versions.datasets(store), *(one.dataset for one in journal.read(store))}
    return sorted(known)


def _remove(store: Store, item: Item) -> None:
    with storage_errors(item.path):
        if item.kind == "logs":
            halve(item.path)
        elif item.path.exists():
            aside = store.scratch()
            store.move(item.path, aside)
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()


def _folders(store: Store, kind: str, stays: Needed, retention: Retention) -> Iterator[Item]:
    """Yield the folders of a kind that nothing needs, without the newest and the young ones."""
    paths = [store.root / kind / name for name in names(store, kind)]
    free = [path for path in paths if path.is_dir() and path.name not in stays.digests and path.name not in stays.runs]
    yield from _old(free, kind, retention)


def _quarantined(store: Store, retention: Retention) -> Iterator[Item]:
    for name in names(store, "quarantine"):
        folder = store.root / "quarantine" / name
        yield from _old([*folder.iterdir()] if folder.is_dir() else [], "quarantine", retention)


def _old(paths: list[Path], kind: str, retention: Retention) -> Iterator[Item]:
    newest_first = sorted((_item(path, kind) for path in paths), key=lambda item: item.age_s)
    total = 0
    for place, item in enumerate(newest_first):
        total += item.bytes
        too_many = place >= retention.keep and item.age_s > retention.days * DAY_S
        too_much = retention.gigabytes > 0 and total > retention.gigabytes * 1e9
        if item.age_s > TODAY_S and (too_many or too_much):
            yield item


def _shards(store: Store, going: set[str]) -> Iterator[Item]:
    """Yield the shards that no snapshot has, once some have gone; none if a snapshot cannot be read."""
    staying = set(names(store, "snapshots")) - going
    try:
        used = shards_of(store, staying) if names(store, "shards") else set()
    except Corrupt:
        return
    for name in names(store, "shards"):
        item = _item(store.root / "shards" / name, "shards")
        if name not in used and item.age_s > TODAY_S:
            yield item


def _records(store: Store, retention: Retention) -> Iterator[Item]:
    """Yield the records of trainings; those of nights are kept for ever, at 1 kB each."""
    for record in journal.read(store):
        item = _item(store.journal(record.id), "journal")
        if record.kind == "train" and not record.active and item.age_s > max(retention.days * DAY_S, TODAY_S):
            yield item


def logs(store: Store) -> Iterator[Item]:
    """Yield the logs above LOG_BYTES, with the bytes that they would lose."""
    for path in [*(store.root / "server").glob("*.log"), store.root / "native.log"]:
        if path.is_file() and path.stat().st_size > LOG_BYTES:
            item = _item(path, "logs")
            yield Item(path, "logs", item.bytes - LOG_BYTES // 2, item.age_s)


def halve(path: Path) -> None:
    """Keep the newest bytes of a log; its writer appends, and need not know."""
    with path.open("r+b") as stream:
        stream.seek(-(LOG_BYTES // 2), 2)
        newest = stream.read()
        stream.seek(0)
        stream.write(newest)
        stream.truncate()


def _item(path: Path, kind: str) -> Item:
    files = [one for one in path.rglob("*") if one.is_file() and not one.is_symlink()] if path.is_dir() else [path]
    size = sum(one.lstat().st_size for one in files)
    return Item(path, kind, size, max(0.0, time.time() - path.lstat().st_mtime))
