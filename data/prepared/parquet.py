"""Normalised images as Parquet: float32 pixels in [0, 1], checksummed, the same bytes for the same input.

A prepared folder holds train.parquet, validation.parquet, test.parquet (see `data/shards/parquet_file.py`) and
validation/, the result that accepted them. That of a dataset that grows holds no images: it names a snapshot, whose
shards are read instead (`data/prepared/from_snapshot.py`). What reads through these functions need not know.
Why: docs/decisions/0004-parquet-layout-and-split.md and 0020-snapshots.md.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data.dataset import Dataset, Geometry, RawData, RawRef
from data.errors import DataRefused, UnknownName
from data.home.store import Store
from data.prepared import from_snapshot
from data.prepared.splits import training_order, validation_mask
from data.shards import parquet_file, pieces
from data.shards.parquet_file import THREADS, Part, Split, image_hashes
from data.shards.pieces import Piece
from data.snapshots.snapshot import SnapshotRef
from data.snapshots.snapshot import read as read_snapshot
from data.sources.source import read_raw
from data.validation.results import ValidationRef, validations
from data.values import digest_of

FORMAT = 1  # raise it when the same input should give other files
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PreparedRef:
    """Reference to a prepared folder, `store.prepared(digest)`.

    Args:
        dataset: the dataset's name.
        digest: content address: the raw data, its row, its validation, and the version of the format.
    """

    dataset: str
    digest: str


def normalise(store: Store, dataset: Dataset, raw_ref: RawRef, validation_ref: ValidationRef) -> PreparedRef:
    """Write the three splits as Parquet, or use what an earlier run wrote if every byte is unchanged.

    Of a dataset that grows, no images are written: its snapshot is described.

    Args:
        store: where the raw data lies and the Parquet files go.
        dataset: the row that the data belongs to.
        raw_ref: the data, as `data.sources.source.download` returned it, or its snapshot.
        validation_ref: the validation that accepted it, as `data.validation.expectations.check` returned it.

    Raises:
        DataRefused: the validation did not accept this data.
        Corrupt: the raw data or the validation has changed since it was written.
        StorageFailed: the home cannot be written.
    """
    ref = _address(dataset, raw_ref, validation_ref)
    target = store.prepared(ref.digest)
    if store.intact(target) is not None:
        return ref
    validation = store.validation(validation_ref.digest)
    _require_passed(store.verify(validation), raw_ref)
    with store.publish(target) as draft:
        if dataset.growth is None:
            _copy(validation, draft.path / "validation")
            draft.meta.update(write_splits(draft.path, dataset, read_raw(store, dataset, raw_ref), raw_ref.digest))
        else:  # a folder each night: what can be read without a browser
            _copy(validation, draft.path / "validation", "*.md")
            draft.meta.update(_described(store, dataset, SnapshotRef(dataset.name, raw_ref.digest)))
        draft.meta["validation"] = validation_ref.digest
    return ref


def restore(store: Store, dataset: Dataset, raw_ref: RawRef, digest: str) -> PreparedRef | None:
    """Make a prepared folder of an earlier night again, from its snapshot and the validation that accepted it.

    Args:
        store: where both lie.
        dataset: the row of a dataset that grows, of any night.
        raw_ref: the snapshot of that night.
        digest: of the folder.

    Returns:
        The folder; None if the snapshot or the validation is not there any more.

    Raises:
        Corrupt: the snapshot, a shard or the validation has changed.
        StorageFailed: the home cannot be written.
    """
    snapshot = SnapshotRef(dataset.name, raw_ref.digest)
    if not store.is_complete(store.snapshot(snapshot.digest)):
        return None
    then = replace(dataset, class_names=read_snapshot(store, snapshot).class_names)
    for validation in validations(store, dataset.name, raw_ref.digest):
        if _address(then, raw_ref, validation).digest == digest:
            return normalise(store, then, raw_ref, validation)
    return None


def write_splits(folder: Path, dataset: Dataset, raw: RawData, raw_digest: str) -> dict[str, Any]:
    """Write train.parquet, validation.parquet and test.parquet.

    Args:
        folder: an existing folder.
        dataset: the row that the data belongs to.
        raw: the images and labels.
        raw_digest: identity of `raw`, recorded in the files.

    Returns:
        What `describe` returns, without "validation"; JSON-able.

    Raises:
        BadFile: the images are not uint8.
    """
    train, test = image_hashes(raw.train_images), image_hashes(raw.test_images)
    mask = validation_mask(raw.train_labels, train)
    rows = {
        "train": training_order(np.flatnonzero(~mask), raw.train_labels, train),
        "validation": np.flatnonzero(mask),
        "test": np.arange(len(test)),
    }
    parts = {
        name: Part(raw.test_images, raw.test_labels, test, which, which)
        if name == "test"
        else Part(raw.train_images, raw.train_labels, train, which, which)
        for name, which in rows.items()
    }
    common = _common(dataset, raw.train_images.shape[1:3], raw_digest)
    with ThreadPoolExecutor(THREADS) as pool:  # compression holds no lock of Python's
        facts = pool.map(
            lambda name: _write(folder / f"{name}.parquet", parts[name], {**common, "split": name}), SPLITS
        )
    return {**common, "splits": dict(zip(SPLITS, facts, strict=True)), "writer": f"pyarrow {pa.__version__}"}


def read_split(store: Store, ref: PreparedRef, split: str, verify: bool = True) -> Split:
    """Read one split into memory.

    Args:
        store: where the prepared folder lies.
        ref: which one.
        split: "train", "validation" or "test".
        verify: whether to hash the file first. Page checksums are checked in any case.

    Raises:
        UnknownName: there is no such split.
        Corrupt: a file is not what was written.
    """
    return pieces.read(stored(store, ref, split, verify), geometry(describe(store, ref)).shape)


def chunks(store: Store, ref: PreparedRef, split: str, rows: int, verify: bool = True) -> Iterator[Split]:
    """Read one split in order, at most `rows` images at a time, in memory that does not grow with the split.

    Raises:
        UnknownName: there is no such split.
        BadInput: `rows` is below 1.
        Corrupt: a file is not what was written.
    """
    yield from pieces.chunks(stored(store, ref, split, verify), geometry(describe(store, ref)).shape, rows)


def read_labels(store: Store, ref: PreparedRef, split: str) -> np.ndarray:
    """Read the labels of a split alone, int64 of shape (n,). Page checksums are checked, the file is not hashed.

    Raises:
        UnknownName: there is no such split.
        Corrupt: the file cannot be read.
    """
    return pieces.read_labels(stored(store, ref, split, verify=False))


def read_hashes(store: Store, ref: PreparedRef, split: str) -> np.ndarray:
    """Read the hashes of a split's images alone, uint8 of shape (n, 32), in order; else as `read_labels`."""
    return pieces.read_hashes(stored(store, ref, split, verify=False))


def describe(store: Store, ref: PreparedRef) -> dict[str, Any]:
    """Return what is known about a prepared folder, without reading its images.

    Keys: format, dataset, title, licence, class_names, n_classes, height, width, channels, fit, ground, pixels, raw
    (digest of the raw data), sources (raw SHA-256 by role), validation (digest), writer, and splits: by name their
    rows, class_counts, and digest (SHA-256 of the split's content: shape, image hashes, labels, rows). Of a dataset
    that grows also snapshot (digest) and lineage (digest of its first snapshot); raw is the snapshot's digest, too,
    sources is empty, and the row of an image is its position in the split.

    Raises:
        Corrupt: there is no such folder, or its manifest cannot be read.
    """
    return store.meta(store.prepared(ref.digest))


def geometry(described: Mapping[str, Any]) -> Geometry:
    """Return the size and form of the images that `describe` described."""
    return Geometry(
        described["height"],
        described["width"],
        described.get("channels", 1),
        described.get("fit", "pad"),
        tuple(described.get("ground", (0,))),
    )


def stored(store: Store, ref: PreparedRef, split: str, verify: bool = True) -> list[Piece]:
    """Return the files in which the images of a split lie, in order.

    Args:
        store: where the prepared folder lies.
        ref: which one.
        split: "train", "validation" or "test".
        verify: whether to hash the files first.

    Raises:
        UnknownName: there is no such split.
        Corrupt: a file is not what was written.
    """
    if split not in SPLITS:
        raise UnknownName.among("split", split, SPLITS)
    folder, name = store.prepared(ref.digest), f"{split}.parquet"
    snapshot = describe(store, ref).get("snapshot")
    if snapshot:
        return from_snapshot.stored(store, SnapshotRef(ref.dataset, snapshot), split, verify)
    return [Piece(store.verified(folder, name) if verify else folder / name)]


def _write(path: Path, part: Part, metadata: dict[str, Any]) -> dict[str, Any]:
    hashes, labels = part.hashes[part.rows], part.labels[part.rows]
    facts = parquet_file.split_facts(part.images.shape[1:], hashes, labels, part.numbers, metadata["n_classes"])
    parquet_file.write(path, part, {**metadata, **facts})
    return facts


def _described(store: Store, dataset: Dataset, snapshot: SnapshotRef) -> dict[str, Any]:
    return {
        **_common(dataset, (dataset.height, dataset.width), snapshot.digest),
        **from_snapshot.described(store, snapshot),
    }


def _common(dataset: Dataset, size: Sequence[int], raw_digest: str) -> dict[str, Any]:
    """Return what is known of all splits alike; it is in the metadata of each file, too."""
    return {
        "format": FORMAT,
        "dataset": dataset.name,
        "title": dataset.title,
        "licence": dataset.licence,
        "class_names": dataset.class_names,
        "n_classes": dataset.n_classes,
        "height": size[0],
        "width": size[1],
        "channels": dataset.channels,
        "fit": dataset.fit,
        "ground": dataset.ground,
        "pixels": "uint8 / float32(255)",
        "raw": raw_digest,
        "sources": {role: file.raw_sha256 for role, file in dataset.files.items()},
    }


def _address(dataset: Dataset, raw_ref: RawRef, validation_ref: ValidationRef) -> PreparedRef:
    address = {
        "format": FORMAT,
        "dataset": dataset.name,
        "class_names": dataset.class_names,
        "raw": raw_ref.digest,
        "validation": validation_ref.digest,
    }
    return PreparedRef(dataset.name, digest_of(address))


def _require_passed(validation: dict[str, Any], raw_ref: RawRef) -> None:
    if validation.get("raw") != raw_ref.digest or validation.get("success") is not True:
        raise DataRefused(
            f"this validation did not accept this data of {raw_ref.dataset}",
            "validate it again with data.validation.expectations.check",
        )


def _copy(source: Path, target: Path, pattern: str = "*") -> None:
    # not copytree: it gathers errors into one without a number, so that a full disk could not be told from a bug
    for path in sorted(source.rglob(pattern)):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
