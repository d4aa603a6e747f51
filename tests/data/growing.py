"""Small datasets that grow: images that tell what they are, in shards and snapshots."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from data.builtin import DATASETS
from data.dataset import Dataset, RawRef
from data.growth import Growth
from data.home.store import Store
from data.prepared.parquet import PreparedRef, normalise
from data.shards.parquet_file import image_hashes
from data.shards.shard import ShardRef, Side, write_shard
from data.snapshots.snapshot import Snapshot, SnapshotRef, publish
from data.statistics.summary import summarise_images
from data.validation.results import ValidationRef
from data.values import digest_of

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


def row(ref: SnapshotRef, shape: tuple[int, ...] = SHAPE, names: Sequence[str] = CLASSES) -> Dataset:
    """The catalogue's row of the dataset "zoo" in the night of a snapshot."""
    return replace(
        DATASETS["mnist-sample"],
        name="zoo",
        title="Zoo",
        files={},
        height=shape[0],
        width=shape[1],
        channels=1 if len(shape) == 2 else 3,
        class_names=tuple(names),
        reference=None,
        growth=Growth(),
        snapshot=ref.digest,
    )


def accepted(store: Store, ref: SnapshotRef) -> ValidationRef:
    """Publish a validation that let a snapshot pass."""
    validation = ValidationRef("zoo", digest_of([ref.digest]))
    with store.publish(store.validation(validation.digest)) as draft:
        (draft.path / "validation.md").write_text("fine")
        (draft.path / "data-docs").mkdir()
        (draft.path / "data-docs" / "index.html").write_text("<p>fine</p>")
        draft.meta.update(success=True, raw=ref.digest, dataset="zoo")
    return validation


def prepare(store: Store, ref: SnapshotRef, shape: tuple[int, ...] = SHAPE) -> PreparedRef:
    """Prepare a snapshot that a validation let pass."""
    return normalise(store, row(ref, shape), RawRef("zoo", ref.digest), accepted(store, ref))
