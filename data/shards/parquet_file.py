"""One Parquet file of images: float32 pixels in [0, 1], checksummed, the same bytes for the same input.

One row per image: `image` (fixed_shape_tensor of float32, exactly uint8 / float32(255)), `label`, `row` and `sha256`
(of its uint8 pixels). Writing, and reading in batches, hold a few row groups at a time. The files of prepared folders
and of shards are such files. Why: docs/decisions/0004-parquet-layout-and-split.md.
"""

import contextlib
import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import BadFile, Corrupt
from data.home.mapped import forget
from data.statistics.summary import image_digests
from data.values import canonical_json

ROW_GROUP = 8192  # images at most
ROW_GROUP_BYTES = 32 << 20  # of float32 pixels, at most: what a writer or a reader holds does not grow with the images
BATCH = 1024  # rows decoded at a time: what is decoded stays near the caches (3 MB for 28 × 28), which halves the time
BATCH_BYTES = 4 << 20
THREADS = 4
METADATA_KEY = b"nightshift"
FROM_RAW = "run again: it will be rewritten from the raw data"


@dataclass(frozen=True)
class Part:
    """Rows of arrays that become a file.

    Args:
        images: uint8, of shape (n, height, width) or (n, height, width, 3), to be gathered like an array.
        labels: int64, of shape (n,).
        hashes: uint8, of shape (n, 32).
        rows: int64: which of them, in the order of the file.
        numbers: int64, of the shape of `rows`: what stands in the column `row`.
    """

    images: Any
    labels: np.ndarray
    hashes: np.ndarray
    rows: np.ndarray
    numbers: np.ndarray


@dataclass(frozen=True)
class Split:
    """Images of one split, or some of them.

    Args:
        images: float32 in [0, 1], of shape (n, height, width), or (n, height, width, 3).
        labels: int64, of shape (n,).
        rows: int64, of shape (n,): where each image stood in the IDX file; of a dataset that grows: its position.
        hashes: uint8, of shape (n, 32): SHA-256 of each image's uint8 pixels.
    """

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    hashes: np.ndarray


# -- writing ------------------------------------------------------------------------------------------------------


def write(path: Path, part: Part, metadata: dict[str, Any]) -> None:
    """Write a file; equal input gives equal bytes.

    Args:
        path: where.
        part: the images and their order.
        metadata: JSON-able, goes into the file's schema.
    """
    schema = _schema(part.images.shape[1:], metadata)
    writer = pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        write_page_checksum=True,
        write_statistics=["label", "row"],
        # 256 grey values and few labels: a dictionary makes the images 1.8 to 2.2 times smaller and no slower to read
        use_dictionary=["image.list.element", "label"],
    )
    group = at_once(part.images.shape[1:], ROW_GROUP, ROW_GROUP_BYTES)
    with writer:
        for start in range(0, len(part.rows), group):
            writer.write_table(_encode(schema, part, slice(start, start + group)), group)
            forget(part.images)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table without images, with checksums; equal input gives equal bytes."""
    texts = [field.name for field in table.schema if pa.types.is_string(field.type) and field.name != "path"]
    pq.write_table(
        table,
        path,
        row_group_size=ROW_GROUP,
        compression="zstd",
        use_dictionary=[name for name in ("label", "rows", "shard", *texts) if name in table.column_names],
        write_statistics=False,
        write_page_checksum=True,
    )


def split_facts(
    shape: tuple[int, ...], hashes: np.ndarray, labels: np.ndarray, rows: np.ndarray, n_classes: int
) -> dict[str, Any]:
    """Return what is recorded of a split: rows, class_counts, and digest (of shape, image hashes, labels, rows)."""
    digest = hashlib.sha256("x".join(map(str, shape)).encode())
    for values in (hashes, labels.astype("<i8"), rows.astype("<i8")):
        digest.update(values.tobytes())
    counts = np.bincount(labels, minlength=n_classes).tolist()
    return {"rows": len(rows), "class_counts": counts, "digest": digest.hexdigest()}


def image_hashes(images: Any) -> np.ndarray:
    """Return the SHA-256 of each image's pixels, uint8 of shape (n, 32), computed in several threads.

    Raises:
        BadFile: the images are not uint8.
    """
    if images.dtype != np.uint8:
        raise BadFile(
            f"expected uint8 pixels, got {images.dtype}", "scale the images to 0..255 and export them as bytes"
        )
    step = at_once(images.shape[1:], ROW_GROUP, ROW_GROUP_BYTES)
    found = np.empty((len(images), 32), np.uint8)

    def fill(start: int) -> None:
        found[start : start + step] = image_digests(images[start : start + step])
        forget(images)

    with ThreadPoolExecutor(THREADS) as pool:  # hashing holds no lock of Python's where an image has 2 KiB or more
        list(pool.map(fill, range(0, len(images), step)))
    return found


def at_once(shape: tuple[int, ...], most: int, most_bytes: int) -> int:
    """Return how many images of this shape to handle together: at most `most`, and `most_bytes` of float32 pixels."""
    return max(min(most, most_bytes // (4 * max(math.prod(shape), 1))), 1)


def _schema(shape: tuple[int, ...], metadata: dict[str, Any]) -> pa.Schema:
    fields = {
        "image": pa.fixed_shape_tensor(pa.float32(), shape),
        "label": pa.int64(),
        "row": pa.int64(),
        "sha256": pa.binary(32),
    }
    return pa.schema(
        [pa.field(name, kind, nullable=False) for name, kind in fields.items()],
        metadata={METADATA_KEY: canonical_json(metadata)},
    )


def _encode(schema: pa.Schema, part: Part, where: slice) -> pa.Table:
    rows = part.rows[where]
    images = np.asarray(part.images[rows])
    # pa.array(ndarray) would look for pandas, and importing that takes longer than all the rest
    pixels = array(pa.float32(), images.size, images / np.float32(255))
    storage = pa.FixedSizeListArray.from_arrays(pixels, images[0].size)
    columns = [
        pa.ExtensionArray.from_storage(schema.field("image").type, storage),
        array(pa.int64(), len(rows), part.labels[rows]),
        array(pa.int64(), len(rows), part.numbers[where]),
        array(pa.binary(32), len(rows), part.hashes[rows]),
    ]
    return pa.table(columns, schema=schema)


def array(kind: pa.DataType, n: int, values: np.ndarray) -> pa.Array:
    """Return a column without nulls of n values of a fixed width, which shares the memory of an array."""
    return pa.Array.from_buffers(kind, n, [None, pa.py_buffer(np.ascontiguousarray(values))])


def booleans(values: np.ndarray) -> pa.Array:
    """Return an array of bool as a column, without looking for pandas."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))])


# -- reading ------------------------------------------------------------------------------------------------------


def read_table(path: Path, columns: list[str] | None = None, groups: list[int] | None = None) -> pa.Table:
    """Read columns of a file, all by default, of some of its row groups; page checksums are checked."""
    # not pyarrow.parquet.read_table: that imports pandas, and takes longer for small files
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        chosen = range(file.num_row_groups) if groups is None else groups
        return file.read_row_groups(list(chosen), columns, use_threads=False)


def batches(
    path: Path, metadata: pq.FileMetaData, groups: list[int], columns: list[str] | None = None, most: int = BATCH
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some row groups in order, a few megabytes at a time; page checksums are checked.

    Args:
        path: the file.
        metadata: its metadata, as `pyarrow.parquet.read_metadata` returned it.
        groups: which row groups.
        columns: which columns; None for all.
        most: rows of a batch, at most; `BATCH` if that is less.
    """
    rows = at_once(image_shape(metadata), min(most, BATCH), BATCH_BYTES)
    with pq.ParquetFile(path, metadata=metadata, page_checksum_verification=True) as file:
        yield from file.iter_batches(rows, row_groups=groups, columns=columns, use_threads=False)


def image_shape(metadata: pq.FileMetaData) -> tuple[int, ...]:
    """Return the shape of one image of a file."""
    kind = metadata.schema.to_arrow_schema().field("image").type
    if not isinstance(kind, pa.FixedShapeTensorType):
        raise pa.ArrowInvalid(f"expected images of one shape, got {kind}")
    return tuple(kind.shape)


def decode(batch: pa.RecordBatch) -> Split:
    """Return the rows of a batch as arrays that share its memory."""
    labels, rows, content = (batch.column(name) for name in ("label", "row", "sha256"))
    return Split(pixels(batch), values(labels, np.int64), values(rows, np.int64), digests(content))


def pixels(batch: pa.RecordBatch) -> np.ndarray:
    """Return the images of a batch, float32 in [0, 1], as an array that shares its memory."""
    tensor = batch.column("image")
    return values(tensor.storage.flatten(), np.float32).reshape(-1, *tensor.type.shape)


def digests(column: pa.Array) -> np.ndarray:
    """Return a column of hashes as uint8 of shape (n, 32), which shares its memory."""
    return values(column, np.uint8, 32).reshape(-1, 32)


def values(array: pa.Array, kind: type, width: int = 1) -> np.ndarray:
    """Return the values of a column without nulls, as an array that shares its memory."""
    if len(array) == 0:
        return np.zeros(0, kind)  # there may be no buffer
    # a view, like array.to_numpy(), but without looking for pandas
    start = array.offset * width * np.dtype(kind).itemsize
    return np.frombuffer(array.buffers()[1], kind, len(array) * width, start)


@contextlib.contextmanager
def read_errors(path: Path, hint: str = FROM_RAW) -> Iterator[None]:
    """Raise whatever is wrong with a Parquet file as Corrupt."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError, KeyError) as error:
        # a wrong page checksum is an OSError without a number; a damaged schema has names that are no text
        raise Corrupt(f"{path} cannot be read: {error}", hint) from error
