"""Normalised images as Parquet: float32 pixels in [0, 1], checksummed, the same bytes for the same input.

A prepared folder holds train.parquet, validation.parquet, test.parquet and validation/, the result that accepted them.
One row per image: `image` (fixed_shape_tensor of float32, exactly uint8 / float32(255)), `label`, `row` (in the IDX
file it came from) and `sha256` (of its uint8 pixels). Writing, and reading in chunks, hold a
few row groups at a time. Why: docs/decisions/0004-parquet-layout-and-split.md.
"""

import contextlib
import hashlib
import math
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.dataset import Dataset, Geometry, RawData, RawRef
from data.errors import BadFile, BadInput, Corrupt, DataRefused, UnknownName
from data.home.store import Store
from data.prepared.splits import training_order, validation_mask
from data.sources.source import read_raw
from data.statistics.summary import image_digests
from data.validation.results import ValidationRef
from data.values import canonical_json, digest_of

FORMAT = 1  # raise it when the same input should give other files
SPLITS = ("train", "validation", "test")
ROW_GROUP = 8192  # images at most
ROW_GROUP_BYTES = 32 << 20  # of float32 pixels, at most: what a writer or a reader holds does not grow with the images
BATCH = 1024  # rows decoded at a time: what is decoded stays near the caches (3 MB for 28 × 28), which halves the time
BATCH_BYTES = 4 << 20
THREADS = 4
METADATA_KEY = b"nightshift"


@dataclass(frozen=True)
class PreparedRef:
    """Reference to a prepared folder, `store.prepared(digest)`.

    Args:
        dataset: the dataset's name.
        digest: content address: the raw data, its row, its validation, and the version of the format.
    """

    dataset: str
    digest: str


@dataclass(frozen=True)
class _Part:
    """Rows of raw arrays that become a split."""

    images: np.ndarray
    labels: np.ndarray
    hashes: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Split:
    """Images of one split, or some of them.

    Args:
        images: float32 in [0, 1], of shape (n, height, width), or (n, height, width, 3).
        labels: int64, of shape (n,).
        rows: int64, of shape (n,): where each image stood in the IDX file.
        hashes: uint8, of shape (n, 32): SHA-256 of each image's uint8 pixels.
    """

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    hashes: np.ndarray


def normalise(store: Store, dataset: Dataset, raw_ref: RawRef, validation_ref: ValidationRef) -> PreparedRef:
    """Write the three splits as Parquet, or use what an earlier run wrote if every byte is unchanged.

    Args:
        store: where the raw data lies and the Parquet files go.
        dataset: the row that the data belongs to.
        raw_ref: the data, as `data.sources.source.download` returned it.
        validation_ref: the validation that accepted it, as `data.validation.expectations.check` returned it.

    Raises:
        DataRefused: the validation did not accept this data.
        Corrupt: the raw data or the validation has changed since it was written.
        StorageFailed: the home cannot be written.
    """
    address = {
        "format": FORMAT,
        "dataset": dataset.name,
        "class_names": dataset.class_names,
        "raw": raw_ref.digest,
        "validation": validation_ref.digest,
    }
    ref = PreparedRef(dataset.name, digest_of(address))
    target = store.prepared(ref.digest)
    if store.intact(target) is not None:
        return ref
    validation = store.validation(validation_ref.digest)
    _require_passed(store.verify(validation), raw_ref)
    raw = read_raw(store, dataset, raw_ref)
    with store.publish(target) as draft:
        _copy(validation, draft.path / "validation")
        draft.meta.update(write_splits(draft.path, dataset, raw, raw_ref.digest))
        draft.meta["validation"] = validation_ref.digest
    return ref


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
    train, test = _hashes(raw.train_images), _hashes(raw.test_images)
    mask = validation_mask(raw.train_labels, train)
    parts = {
        "train": _Part(
            raw.train_images, raw.train_labels, train, training_order(np.flatnonzero(~mask), raw.train_labels, train)
        ),
        "validation": _Part(raw.train_images, raw.train_labels, train, np.flatnonzero(mask)),
        "test": _Part(raw.test_images, raw.test_labels, test, np.arange(len(test))),
    }
    common = {
        "format": FORMAT,
        "dataset": dataset.name,
        "title": dataset.title,
        "licence": dataset.licence,
        "class_names": dataset.class_names,
        "n_classes": dataset.n_classes,
        "height": raw.train_images.shape[1],
        "width": raw.train_images.shape[2],
        "channels": dataset.channels,
        "fit": dataset.fit,
        "ground": dataset.ground,
        "pixels": "uint8 / float32(255)",
        "raw": raw_digest,
        "sources": {role: file.raw_sha256 for role, file in dataset.files.items()},
    }
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
    path = locate(store, ref, split, verify)
    with read_errors(path):
        metadata = pq.read_metadata(path)
        shape = metadata.schema.to_arrow_schema().field("image").type.shape
        whole = _empty(metadata.num_rows, shape)
        starts = np.cumsum([0] + [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])
        with ThreadPoolExecutor(THREADS) as pool:  # decoding holds no lock of Python's
            list(pool.map(lambda i: _fill(whole, path, metadata, i, int(starts[i])), range(metadata.num_row_groups)))
    return whole


def chunks(store: Store, ref: PreparedRef, split: str, rows: int, verify: bool = True) -> Iterator[Split]:
    """Read one split in order, at most `rows` images at a time, in memory that does not grow with the split.

    Raises:
        UnknownName: there is no such split.
        BadInput: `rows` is below 1.
        Corrupt: a file is not what was written.
    """
    if rows < 1:
        raise BadInput(f"expected at least 1 row at a time, got {rows}", "use for example 1024")
    path = locate(store, ref, split, verify)
    with read_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        left, shape = file.metadata.num_rows, file.schema_arrow.field("image").type.shape
        chunk, filled = _empty(min(rows, left), shape), 0
        # Not batches of `rows`: decoding a large one, in fresh memory, takes nearly twice as long as many small ones.
        for batch in file.iter_batches(min(rows, at_once(shape, BATCH, BATCH_BYTES)), use_threads=False):
            part, taken = decode(batch), 0
            while taken < len(batch):
                n = min(len(batch) - taken, len(chunk.labels) - filled)
                _put(chunk, filled, part, taken, n)
                filled, taken = filled + n, taken + n
                if filled == len(chunk.labels):
                    yield chunk
                    left -= filled
                    chunk, filled = _empty(min(rows, left), shape), 0


def read_labels(store: Store, ref: PreparedRef, split: str) -> np.ndarray:
    """Read the labels of a split alone, int64 of shape (n,). Page checksums are checked, the file is not hashed.

    Raises:
        UnknownName: there is no such split.
        Corrupt: the file cannot be read.
    """
    path = locate(store, ref, split, verify=False)
    with read_errors(path):
        column = pq.read_table(path, columns=["label"], page_checksum_verification=True)["label"]
    return values(column.combine_chunks(), np.int64)


def describe(store: Store, ref: PreparedRef) -> dict[str, Any]:
    """Return what is known about a prepared folder, without reading its images.

    Keys: format, dataset, title, licence, class_names, n_classes, height, width, channels, fit, ground, pixels, raw
    (digest of the raw data), sources (raw SHA-256 by role), validation (digest), writer, and splits: by name their
    rows, class_counts, and digest (SHA-256 of the split's content: shape, image hashes, labels, rows).

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


def _content_digest(shape: tuple[int, ...], hashes: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> str:
    digest = hashlib.sha256("x".join(map(str, shape)).encode())
    for array in (hashes, labels.astype("<i8"), rows.astype("<i8")):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _hashes(images: np.ndarray) -> np.ndarray:
    if images.dtype != np.uint8:
        raise BadFile(
            f"expected uint8 pixels, got {images.dtype}", "scale the images to 0..255 and export them as bytes"
        )
    step = at_once(images.shape[1:], ROW_GROUP, ROW_GROUP_BYTES)
    found = np.empty((len(images), 32), np.uint8)

    def fill(start: int) -> None:
        found[start : start + step] = image_digests(images[start : start + step])

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


def _write(path: Path, part: _Part, metadata: dict[str, Any]) -> dict[str, Any]:
    shape, labels = part.images.shape[1:], part.labels[part.rows]
    facts = {
        "rows": len(part.rows),
        "class_counts": np.bincount(labels, minlength=metadata["n_classes"]).tolist(),
        "digest": _content_digest(shape, part.hashes[part.rows], labels, part.rows),
    }
    schema = _schema(shape, {**metadata, **facts})
    writer = pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        write_page_checksum=True,
        write_statistics=["label", "row"],
        # 256 grey values and few labels: a dictionary makes the images 1.8 to 2.2 times smaller and no slower to read
        use_dictionary=["image.list.element", "label"],
    )
    group = at_once(shape, ROW_GROUP, ROW_GROUP_BYTES)
    with writer:
        for start in range(0, len(part.rows), group):
            rows = part.rows[start : start + group]
            writer.write_table(_encode(schema, np.asarray(part.images[rows]), part, rows), group)
    return facts


def _encode(schema: pa.Schema, images: np.ndarray, part: _Part, rows: np.ndarray) -> pa.Table:
    # pa.array(ndarray) would look for pandas, and importing that takes longer than all the rest
    pixels = _array(pa.float32(), images.size, images / np.float32(255))
    storage = pa.FixedSizeListArray.from_arrays(pixels, images[0].size)
    columns = [
        pa.ExtensionArray.from_storage(schema.field("image").type, storage),
        _array(pa.int64(), len(rows), part.labels[rows]),
        _array(pa.int64(), len(rows), rows),
        _array(pa.binary(32), len(rows), part.hashes[rows]),
    ]
    return pa.table(columns, schema=schema)


def _array(kind: pa.DataType, n: int, values: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(kind, n, [None, pa.py_buffer(values)])


def decode(batch: pa.RecordBatch) -> Split:
    """Return the rows of a batch as arrays that share its memory."""
    tensor, labels, rows, content = (batch.column(name) for name in ("image", "label", "row", "sha256"))
    return Split(
        values(tensor.storage.flatten(), np.float32).reshape(-1, *tensor.type.shape),
        values(labels, np.int64),
        values(rows, np.int64),
        values(content, np.uint8, 32).reshape(-1, 32),
    )


def values(array: pa.Array, kind: type, width: int = 1) -> np.ndarray:
    """Return the values of a column without nulls, as an array that shares its memory."""
    # a view, like array.to_numpy(), but without looking for pandas
    start = array.offset * width * np.dtype(kind).itemsize
    return np.frombuffer(array.buffers()[1], kind, len(array) * width, start)


def _fill(whole: Split, path: Path, metadata: pq.FileMetaData, group: int, start: int) -> None:
    with pq.ParquetFile(path, metadata=metadata, page_checksum_verification=True) as file:
        rows = at_once(whole.images.shape[1:], BATCH, BATCH_BYTES)
        for batch in file.iter_batches(rows, row_groups=[group], use_threads=False):
            _put(whole, start, decode(batch), 0, len(batch))
            start += len(batch)


def _empty(n: int, shape: tuple[int, ...]) -> Split:
    return Split(
        np.empty((n, *shape), np.float32), np.empty(n, np.int64), np.empty(n, np.int64), np.empty((n, 32), np.uint8)
    )


def _put(target: Split, at: int, source: Split, start: int, n: int) -> None:
    """Copy n rows of one split into another."""
    to, of = slice(at, at + n), slice(start, start + n)
    target.images[to], target.labels[to], target.rows[to] = source.images[of], source.labels[of], source.rows[of]
    target.hashes[to] = source.hashes[of]


def locate(store: Store, ref: PreparedRef, split: str, verify: bool = True) -> Path:
    """Return the file of a split; errors as `read_split`."""
    if split not in SPLITS:
        raise UnknownName.among("split", split, SPLITS)
    folder, name = store.prepared(ref.digest), f"{split}.parquet"
    return store.verified(folder, name) if verify else folder / name


@contextlib.contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Raise whatever is wrong with a Parquet file as Corrupt."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:  # a wrong page checksum is an OSError without a number
        raise Corrupt(f"{path} cannot be read: {error}", "run again: it will be rewritten from the raw data") from error


def _require_passed(validation: dict[str, Any], raw_ref: RawRef) -> None:
    if validation.get("raw") != raw_ref.digest or validation.get("success") is not True:
        raise DataRefused(
            f"this validation did not accept this data of {raw_ref.dataset}",
            "validate it again with data.validation.expectations.check",
        )


def _copy(source: Path, target: Path) -> None:
    # not copytree: it gathers errors into one without a number, so that a full disk could not be told from a bug
    for path in sorted(source.rglob("*")):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
