"""The operations that the sweep interrupts: a home as it is before, what is done, and what is left in the end."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from artifacts.operations.verify import check_home
from artifacts.registry import bars, ledger
from artifacts.upkeep import backup, garbage, pins
from artifacts.upkeep.garbage import Retention
from artifacts.upkeep.repair import repair_home
from data import adding, catalogue
from data.errors import Broken, UnknownName
from data.growth import Growth
from data.home import schema
from data.home.store import MANIFEST, Store
from data.sources.idx import write_idx
from data.sources.source import download
from data.values import digest_of
from tests.artifacts.registry import nights
from tests.artifacts.upkeep.test_garbage import aged, published
from tests.artifacts.upkeep.test_kinds import raw
from tests.data.importing.made import images, png
from tests.data.servers import FILES, tiny

VOLATILE = ("tmp", "locks", "quarantine", ".writable", "home.json", "server")
TIMES = ("when", "seconds", "hash", "previous")  # differ from run to run


@dataclass(frozen=True)
class Operation:
    """One operation.

    Args:
        before: fills a home that has one champion, mnist/1, already; the folder beside it may hold sources.
        run: does it.
        sound: whether the home before has no finding.
        skips: whether an image of the source that cannot be read is left out, and comes back in a later night.
    """

    before: Callable[[Store], object]
    run: Callable[[Store], object]
    sound: bool = True
    skips: bool = False


def left(store: Store) -> dict[str, Any]:
    """Return what an operation leaves: every file with its content, without times and random names."""
    found: dict[str, Any] = {}
    for path in sorted(store.root.rglob("*")):
        where = path.relative_to(store.root)
        if path.is_file() and where.parts[0] not in VOLATILE:
            found[str(where)] = _content(path)
    kept = {digest_of(path.read_bytes().hex()) for path in (store.root / "quarantine").rglob("*") if path.is_file()}
    return {**found, "quarantine": sorted(kept)}


def _content(path: Path) -> object:
    content = path.read_bytes()
    if path.suffix not in (".json", ".jsonl") or path.name == MANIFEST:
        return digest_of(content.hex())
    lines = content.splitlines() if path.suffix == ".jsonl" else [content]
    try:
        found = [_timeless(json.loads(line)) for line in lines]
        # a snapshot taken again is another night, in which nothing has changed
        return [one for one in found if not (one.get("base") and one["base"] == one["snapshot"])]
    except ValueError:  # the small candidates of the registry's tests
        return digest_of(content.hex())


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


# -- sources that lie beside the home ---------------------------------------------------------------------------------


def _beside(store: Store, name: str) -> Path:
    return store.root.parent / name


def _mirror(store: Store) -> None:
    folder = _beside(store, "mirror")
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)


def _letters(store: Store) -> None:
    """Write a folder with the four IDX files of two classes."""
    folder, pixels = _beside(store, "letters"), images(60)
    folder.mkdir()
    labels = (np.arange(60) % 2).astype(np.uint8)
    for name, part in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(write_idx(pixels[part]))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(write_idx(labels[part]))


def _pictures(store: Store, n: int = 60, seed: int = 0) -> None:
    """Write a folder with a folder of small pictures per class."""
    for i, image in enumerate(images(n, seed=seed, shape=(6, 6))):
        path = _beside(store, "pictures") / "ab"[i % 2] / f"{seed}-{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
        os.utime(path, (1e9, 1e9))


# -- operations -------------------------------------------------------------------------------------------------------


def _download(store: Store) -> None:
    download(store, tiny(str(_beside(store, "mirror"))))


def _add(store: Store) -> None:
    adding.add(store, "letters", _beside(store, "letters"))


def _added(store: Store) -> None:
    _letters(store)
    _add(store)


def _changed(store: Store) -> None:
    """Add a dataset whose source then changes."""
    _added(store)
    shutil.rmtree(_beside(store, "letters"))
    folder, pixels = _beside(store, "letters"), images(60, seed=1)
    folder.mkdir()
    labels = (np.arange(60) % 2).astype(np.uint8)
    for name, part in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(write_idx(pixels[part]))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(write_idx(labels[part]))


@contextmanager
def _same_time() -> Iterator[None]:
    """Let snapshots be taken at the same time, which their shards remember."""
    with mock.patch.object(adding, "datetime") as clock:
        clock.now.return_value = datetime(2026, 11, 1, 2, tzinfo=UTC)
        yield


@_same_time()
def _add_growing(store: Store) -> None:
    adding.add(store, "pictures", _beside(store, "pictures"), growth=Growth())


def _grown(store: Store) -> None:
    _pictures(store)
    _add_growing(store)
    _pictures(store, 10, seed=1)


@_same_time()
def _snapshot(store: Store) -> None:
    adding.follow(store, catalogue.get(store, "pictures"))


def _remove(name: str) -> Callable[[Store], None]:
    """Return the command given again: a dataset that is gone is removed."""

    def run(store: Store) -> None:
        with suppress(UnknownName):
            catalogue.remove(store, name, files=True)

    return run


def _rename(store: Store) -> None:
    if "letters" in catalogue.names(store):
        catalogue.rename(store, "letters", "capitals")


def _old_results(store: Store) -> None:
    for kind in ("prepared", "trained", "runs"):
        published(store, kind, digest_of(kind) if kind != "runs" else "run-old")
    bad = store.quarantine("mnist", "bad.gz")
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"bad")
    aged(bad, 100)
    log = store.root / "server" / "server.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (garbage.LOG_BYTES + 1000))


def _gc(store: Store) -> None:
    garbage.remove(store, garbage.find(store, Retention(keep=0, days=0)))


def _damage(store: Store) -> None:
    """Leave a torn ledger, a damaged candidate, raw file and journal record, and a second registry without pointer."""
    path = store.ledger(nights.DATASET)
    path.write_bytes(path.read_bytes() + b'{"seq"')
    raw(store).write_bytes(b"broken")
    journal = store.journal("abc-0000")
    journal.parent.mkdir(exist_ok=True)
    journal.write_bytes(b"")
    nights.flip(nights.candidate(store, "a", "run-a") / "model.keras")


def _lost_pointer(store: Store) -> None:
    store.champion(nights.DATASET).write_bytes(b"junk")


def _bar(store: Store) -> None:
    barred = ledger.barred(ledger.read(store, nights.DATASET))
    if nights.weights("b") not in barred:
        bars.bar(store, "mnist/2", who="me", why="a test")


def _pin(store: Store) -> None:
    pins.pin(store, "mnist/1", who="me", why="a test")


def _backup(store: Store) -> None:
    if not _beside(store, "backup.tar").exists():
        backup.backup(store, _beside(store, "backup.tar"))


def _backed_up(store: Store) -> None:
    _backup(store)
    shutil.rmtree(store.root)


def _restore(store: Store) -> None:
    """Restore, or see that it has happened."""
    if not store.champion(nights.DATASET).exists() or schema.is_restoring(store):
        backup.restore(store, _beside(store, "backup.tar"))


def _repair(store: Store) -> None:
    """Repair, and fail if something is left, as the command's exit code does."""
    done = repair_home(store)
    if check_home(store).serious:
        raise Broken("; ".join(done))


OPERATIONS = {
    "download": Operation(_mirror, _download),
    "datasets add": Operation(_letters, _add),
    "datasets update": Operation(_changed, lambda store: adding.update(store, "letters")),
    "datasets rename": Operation(_added, _rename),
    "datasets remove": Operation(_added, _remove("letters")),
    "datasets add --grows": Operation(_pictures, _add_growing, skips=True),
    "datasets remove, growing": Operation(_grown, _remove("pictures")),
    "snapshot": Operation(_grown, _snapshot, skips=True),
    "gc": Operation(_old_results, _gc),
    "verify --repair": Operation(_damage, _repair, sound=False),
    "verify --repair, pointer": Operation(_lost_pointer, _repair, sound=False),
    "bar": Operation(lambda store: nights.register(store, "b"), _bar),
    "pin": Operation(lambda _: None, _pin),
    "home backup": Operation(lambda _: None, _backup),
    "home restore": Operation(_backed_up, _restore, sound=False),
}
