"""Shards: the images of one split that were new in one night, and one row of facts for each of them.

`images.parquet` holds the pixels, as the files of prepared folders do; `rows.parquet` holds for each image its hash,
its label and path when it was first seen, and its statistics. Both are ordered by hash and never change.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from data.errors import BadInput
from data.home.store import Store
from data.shards import parquet_file
from data.shards.parquet_file import Part, read_errors
from data.statistics.summary import numeric
from data.values import canonical_json

FORMAT = 1  # raise it when the same input should give other files
MOST = 65_536  # images of a shard
IMAGES, ROWS = "images.parquet", "rows.parquet"
LOST = "restore the folder from a backup: what is in it is kept nowhere else"

Side = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class ShardRef:
    """One shard, `store.shard(digest)`.

    Args:
        digest: content address: split, shape, and hashes, labels, paths and statistics of its images.
        split: on which side its images are, for ever.
        rows: number of images.
        first_seen: the UTC time of the night in which they were new, ISO 8601 to the second.
    """

    digest: str
    split: Side
    rows: int
    first_seen: str


def write_shard(
    store: Store,
    split: Side,
    first_seen: str,
    shape: tuple[int, ...],
    images: Any,
    hashes: np.ndarray,
    labels: np.ndarray,
    paths: Sequence[str],
    statistics: pa.Table,
) -> ShardRef:
    """Publish the images of one split that were new in one night.

    Args:
        store: where.
        split: on which side they are, for ever.
        first_seen: the UTC time of the night, ISO 8601 to the second; it is no part of the shard's content.
        shape: of an image.
        images: uint8, of shape (n, *shape), anything that can be gathered like an array; at most `MOST`, in any order.
        hashes: uint8, of shape (n, 32): SHA-256 of each image's pixels; no two are equal.
        labels: int64, of shape (n,).
        paths: where in the source each was found.
        statistics: what `data.statistics.summary.summarise_images` returned for these images, in this order.

    Raises:
        BadInput: there are no images or too many, two are equal, or the arguments do not belong together.
        StorageFailed: the home cannot be written.
    """
    _require_sound(shape, images, hashes, labels, paths, statistics)
    order = np.argsort(sortable(hashes), kind="stable")
    rows = _rows(hashes, np.asarray(labels, np.int64), paths, statistics, order)
    ref = ShardRef(_digest(split, shape, rows), split, len(order), first_seen)
    target = store.shard(ref.digest)
    if store.intact(target) is not None:
        return ref
    with store.publish(target) as draft:
        draft.meta.update(format=FORMAT, split=split, shape=shape, rows=len(order))
        part = Part(images, np.asarray(labels, np.int64), hashes, order, np.arange(len(order)))
        parquet_file.write(draft.path / IMAGES, part, {"format": FORMAT, "split": split})
        parquet_file.write_table(rows, draft.path / ROWS)
    return ref


def read_rows(store: Store, shard: ShardRef, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the facts of a shard's images, in order. Page checksums are checked, the file is not hashed.

    Args:
        store: where it lies.
        shard: which one.
        columns: of `sha256` (32 bytes), `label` (int64) and `path` (text), when first seen, and the statistics of
            `data.statistics.summary` (float64); None for all.

    Raises:
        Corrupt: the file is missing or cannot be read.
    """
    path = store.shard(shard.digest) / ROWS
    with read_errors(path, LOST):
        return parquet_file.read_table(path, None if columns is None else list(columns))


def first_rows(store: Store, shard: ShardRef, n: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the facts of a shard's first n images, and little more: those with the smallest hashes; see `read_rows`."""
    if n >= shard.rows:
        return read_rows(store, shard, columns)
    path, groups = store.shard(shard.digest) / ROWS, list(range(-(-n // parquet_file.ROW_GROUP)))
    with read_errors(path, LOST):
        return parquet_file.read_table(path, None if columns is None else list(columns), groups).slice(0, n)


def images_file(store: Store, shard: ShardRef, verify: bool = True) -> Path:
    """Return the file with a shard's images.

    Args:
        store: where it lies.
        shard: which one.
        verify: whether to hash the file first.

    Raises:
        Corrupt: the file is missing or has changed.
    """
    folder = store.shard(shard.digest)
    return store.verified(folder, IMAGES) if verify else folder / IMAGES


def sortable(hashes: np.ndarray) -> np.ndarray:
    """Return hashes, uint8 of shape (n, 32), as values of shape (n,) that compare as their 32 bytes do."""
    # fixed width on both sides: a comparison of S32 is a comparison of the 32 bytes
    return np.ascontiguousarray(hashes).view("S32").reshape(-1)


def _rows(
    hashes: np.ndarray, labels: np.ndarray, paths: Sequence[str], statistics: pa.Table, order: np.ndarray
) -> pa.Table:
    n, names = len(order), numeric(statistics)
    # what is no text in a path stays readable: a path is shown to people, never opened
    text = [paths[i].encode("utf-8", "backslashreplace").decode() for i in order.tolist()]
    columns = {
        "sha256": parquet_file.array(pa.binary(32), n, hashes[order]),
        "label": parquet_file.array(pa.int64(), n, labels[order]),
        "path": pa.array(text, pa.string()),
        **{name: parquet_file.array(pa.float64(), n, statistics[name].to_numpy()[order]) for name in names},
    }
    schema = pa.schema([pa.field(name, column.type, nullable=False) for name, column in columns.items()])
    return pa.table(list(columns.values()), schema=schema)


def _digest(split: Side, shape: tuple[int, ...], rows: pa.Table) -> str:
    text = rows["path"].to_pylist()
    lengths = [len(path.encode()) for path in text]
    digest = hashlib.sha256(
        canonical_json({"format": FORMAT, "split": split, "shape": shape, "columns": rows.column_names})
    )
    for name in rows.column_names:
        if name != "path":
            column = rows[name].combine_chunks()
            digest.update(memoryview(column.buffers()[1]))
    digest.update(np.array(lengths, "<i8").tobytes() + "".join(text).encode())
    return digest.hexdigest()


def _require_sound(
    shape: tuple[int, ...],
    images: Any,
    hashes: np.ndarray,
    labels: np.ndarray,
    paths: Sequence[str],
    statistics: pa.Table,
) -> None:
    n = len(images)
    if not 0 < n <= MOST:
        raise BadInput(f"expected 1 to {MOST:,} images for a shard, got {n:,}", "cut them into several shards")
    if images.dtype != np.uint8 or tuple(images.shape[1:]) != tuple(shape):
        raise BadInput(
            f"expected uint8 images of shape {shape}, got {images.dtype} of shape {tuple(images.shape[1:])}",
            "bring them to the dataset's geometry first",
        )
    if hashes.dtype != np.uint8 or hashes.shape != (n, 32) or not (len(labels) == len(paths) == len(statistics) == n):
        raise BadInput(
            f"expected a hash, a label, a path and a row of statistics for each of {n:,} images, got {hashes.dtype} "
            f"{hashes.shape}, {len(labels):,}, {len(paths):,} and {len(statistics):,}",
            "pass what belongs to these images, in their order",
        )
    content = np.sort(sortable(hashes))
    if (content[1:] == content[:-1]).any():
        raise BadInput("two images of a shard have the same pixels", "give each image once")
    found = parquet_file.digests(statistics["sha256"].combine_chunks())
    if not np.array_equal(found, hashes):
        raise BadInput("the hashes are not those of the statistics", "pass both for the same images in the same order")
