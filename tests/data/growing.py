"""Small datasets that grow: images that tell what they are, in shards and snapshots."""

from collections.abc import Mapping, Sequence

import numpy as np

from data.home.store import Store
from data.shards.parquet_file import image_hashes
from data.shards.shard import ShardRef, Side, write_shard
from data.snapshots.snapshot import Snapshot, SnapshotRef, publish
from data.statistics.summary import summarise_images

SHAPE = (5, 4)
CLASSES = ("cat", "dog", "owl")


def pictures(n: int, seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Different images, uint8."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def put(store: Store, split: Side, images: np.ndarray, labels: Sequence[int] | np.ndarray, night: int) -> ShardRef:
    """Publish a shard of images that were new in a night, each with a path that tells the night and its number."""
    name = "test" if split == "test" else "train"
    labels = np.asarray(labels, np.int64)
    return write_shard(
        store,
        split,
        f"2026-01-{night:02}T03:00:00Z",
        images.shape[1:],
        images,
        image_hashes(images),
        labels,
        [f"night {night}/{split} {number}.png" for number in range(len(images))],
        summarise_images(name, images, labels),
    )


def night(store: Store, number: int, sizes: Mapping[Side, int], shape: tuple[int, ...] = SHAPE) -> tuple[ShardRef, ...]:
    """Publish one night's shards, with labels 0, 1, 2, 0, 1, 2..."""
    return tuple(
        put(store, split, pictures(n, 100 * number + place, shape), np.arange(n) % 3, number)
        for place, (split, n) in enumerate(sizes.items())
    )


def snapshot(
    store: Store,
    shards: Sequence[ShardRef],
    corrections: Mapping[bytes, int] | None = None,
    *,
    names: Sequence[str] = CLASSES,
    lineage: str = "",
    shape: tuple[int, ...] = SHAPE,
) -> SnapshotRef:
    """Publish a snapshot of the dataset "zoo"."""
    return publish(store, Snapshot("zoo", shape, tuple(names), tuple(shards), lineage), corrections or {})
