"""What does a year of nights that add images take on disk, and how long do snapshots of a million items take?

    python -m benchmarks.snapshots --mirror ../shared/mirror [--nights 365] [--items 1000000] [--json FILE]

The year starts with MNIST's 70,000 images; each night adds 500 (MNIST's, moved by up to three pixels), corrects two
labels and removes an image. Its size is that of `shards/` and `snapshots/`, next to what the last snapshot needs alone:
its shards and itself. The items are images of 4 × 4 pixels, since only the facts about them are read. Seconds are the
best of three; the load is shown because they mean little on a busy machine. The night has MNIST's images, of which
1,000 are new.
"""

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data.builtin import DATASETS
from data.dataset import RawRef
from data.growth import Growth
from data.home.store import Store
from data.prepared.parquet import normalise, read_split
from data.shards.parquet_file import image_hashes
from data.shards.shard import MOST, ShardRef, Side, sortable, write_shard
from data.snapshots.changes import changes
from data.snapshots.items import items, statistics
from data.snapshots.snapshot import REMOVED, Snapshot, publish
from data.sources.source import download, read_raw
from data.statistics.summary import summarise_images
from data.validation.expectations import check
from data.validation.snapshots import accept

PER_NIGHT = 500
SIDES: tuple[Side, ...] = ("train", "validation", "test")


def year(store: Store, images: np.ndarray, labels: np.ndarray, nights: int) -> dict[str, Any]:
    """Return bytes after a year of nights, given the first night's images and labels."""
    rng = np.random.default_rng(0)
    shards = list(add(store, images, labels, "0000"))
    ref = publish(store, Snapshot("year", images.shape[1:], NAMES, tuple(shards)), {})
    corrections: dict[bytes, int] = {}
    for night in range(1, nights + 1):
        new, which = drawn(images, rng)
        shards += add(store, new, labels[which], f"{night:04}")
        known = items(store, ref, ["sha256"])["sha256"]
        for place, label in zip(rng.integers(0, len(known), 3), (1, 2, REMOVED), strict=True):
            corrections[known[int(place)].as_py()] = label
        ref = publish(store, Snapshot("year", images.shape[1:], NAMES, tuple(shards), "f" * 64), corrections)
    last = sum(size(store.shard(shard.digest)) for shard in shards) + size(store.snapshot(ref.digest))
    kept = size(store.root / "shards") + size(store.root / "snapshots")
    return {
        "nights": nights,
        "images": len(items(store, ref, ["row"])),
        "shards": len(shards),
        "last_snapshot_bytes": last,
        "snapshots_bytes": size(store.root / "snapshots"),
        "kept_bytes": kept,
        "kept_over_last": kept / last,
        "read_items_s": best(lambda: items(store, ref)),
    }


def million(store: Store, n: int) -> dict[str, Any]:
    """Return seconds of what is done with a snapshot of n items, and a night later."""
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (n + 1000, 4, 4), np.uint8), rng.integers(0, 10, n + 1000)
    shards = list(add(store, images[:n], labels[:n], "0000"))
    first = Snapshot("million", (4, 4), NAMES, tuple(shards))
    old = publish(store, first, {})
    known = items(store, old, ["sha256"])["sha256"].slice(0, 1000).to_pylist()
    corrections = dict.fromkeys(known[:500], 3) | dict.fromkeys(known[500:], REMOVED)
    grown = Snapshot("million", (4, 4), NAMES, (*shards, *add(store, images[n:], labels[n:], "0001")), old.digest)
    new = publish(store, grown, corrections)
    other = Snapshot("million", (4, 4), (*NAMES[::-1],), tuple(shards))
    renamed = publish(store, other, {})
    return {
        "items": n,
        "publish_s": best(lambda: publish(store, grown, corrections)),
        "items_s": best(lambda: items(store, new)),
        "hashes_and_labels_s": best(lambda: items(store, new, ["sha256", "label"])),
        "statistics_s": best(lambda: statistics(store, new)),
        "changes_s": best(lambda: changes(store, old, new)),
        "changes_of_all_s": best(lambda: changes(store, old, renamed)),
        "changes": changes(store, old, new).total,
    }


def night(store: Store, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return CPU seconds of what a night does with 1,000 new images, after one that accepted all others."""
    rng, n = np.random.default_rng(2), len(images) - 1000
    mixed = rng.permutation(len(images))
    images, labels = images[mixed], labels[mixed]
    shards = list(add(store, images[:n], labels[:n], "0000"))
    old = publish(store, Snapshot("night", images.shape[1:], NAMES, tuple(shards)), {})
    accept(store, old)
    shards += add(store, images[n:], labels[n:], "0001")
    ref = publish(store, Snapshot("night", images.shape[1:], NAMES, tuple(shards), old.digest), {})
    row = dataclasses.replace(
        DATASETS["mnist"], name="night", files={}, reference=None, growth=Growth(), snapshot=ref.digest
    )
    raw = RawRef("night", ref.digest)
    check_s, validation = cpu(lambda: check(store, row, raw))
    normalise_s, prepared = cpu(lambda: normalise(store, row, raw, validation))
    read_s, _ = cpu(lambda: read_split(store, prepared, "train"))
    return {
        "known": n,
        "validate_cpu_s": check_s,
        "normalise_cpu_s": normalise_s,
        "read_train_cpu_s": read_s,
        "validation_bytes": size(store.validation(validation.digest)),
        "prepared_bytes": size(store.prepared(prepared.digest)),
    }


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of all threads of this process for some work, and what it returned."""
    start = time.process_time()
    found = work()
    return round(time.process_time() - start, 2), found


NAMES = tuple("0123456789")


def add(store: Store, images: np.ndarray, labels: np.ndarray, night: str) -> Iterator[ShardRef]:
    """Publish one night's images, split by hash: a seventh for tests, a twelfth of the rest for validation."""
    hashes = image_hashes(images)
    fractions = hashes.view(">u8")[:, :2] / 2**64
    side = np.where(fractions[:, 0] < 1 / 7, 2, np.where(fractions[:, 1] < 1 / 12, 1, 0))
    for number, name in enumerate(SIDES):
        rows = np.flatnonzero(side == number)
        rows = rows[np.argsort(sortable(hashes[rows]))]
        for start in range(0, len(rows), MOST):
            yield put(store, name, night, images, hashes, labels, rows[start : start + MOST])


def put(
    store: Store, side: Side, night: str, images: np.ndarray, hashes: np.ndarray, labels: np.ndarray, rows: np.ndarray
) -> ShardRef:
    """Publish some images as a shard."""
    facts = summarise_images("test" if side == "test" else "train", images[rows], labels[rows])
    paths = [f"images/{labels[row]}/night-{night}-{row:07}.png" for row in rows]
    return write_shard(store, side, night, images.shape[1:], images[rows], hashes[rows], labels[rows], paths, facts)


def drawn(images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return new images like the given ones, and which they are like: each moved, and one pixel changed."""
    which = rng.integers(0, len(images), PER_NIGHT)
    moved = [np.roll(images[row], rng.integers(-3, 4, 2), axis=(0, 1)) for row in which]
    new = np.stack(moved)
    new[np.arange(PER_NIGHT), rng.integers(0, new.shape[1], PER_NIGHT), 0] += rng.integers(1, 256, PER_NIGHT, np.uint8)
    return new, which


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def best(work: Callable[[], object]) -> float:
    """Return the least seconds of three runs."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return round(min(seconds), 3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", required=True, help="a folder or URL with MNIST's files")
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, row = Store(Path(folder) / "home"), DATASETS["mnist"]
        raw = read_raw(store, row, download(store, row, (given.mirror,)))
        images, labels = (
            np.concatenate(both) for both in ((raw.train_images, raw.test_images), (raw.train_labels, raw.test_labels))
        )
        found = {
            "load": os.getloadavg()[0],
            "year": year(store, images, labels, given.nights),
            "million": million(Store(Path(folder) / "million"), given.items),
            "night": night(Store(Path(folder) / "night"), images, labels),
        }
    print(json.dumps(found, indent=2))
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
