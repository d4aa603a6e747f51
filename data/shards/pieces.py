"""Images of a split that lie in one Parquet file or in several, read as if they lay in one.

A piece is a file, and what is different now: images that are left out, labels that changed. A prepared folder with
files of its own has one piece for each split; a dataset that grows has one for each shard.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import BadInput
from data.shards import parquet_file
from data.shards.parquet_file import FROM_RAW, THREADS, Split, read_errors


@dataclass(frozen=True)
class Piece:
    """The images of one file, or some of them.

    Args:
        path: the file, as `data.shards.parquet_file.write` wrote it.
        kept: bool, one per image of the file: which of them are read; None for all.
        labels: int64, one per image of the file: the labels now; None for those in the file.
        first: the number of its first image; the others are numbered from there. None for the numbers in the file.
        hint: what to do if the file cannot be read.
    """

    path: Path
    kept: np.ndarray | None = None
    labels: np.ndarray | None = None
    first: int | None = None
    hint: str = FROM_RAW

    def now(self, batch: pa.RecordBatch, at: int, found: int) -> pa.RecordBatch:
        """Return rows of the file as they are now.

        Args:
            batch: rows that follow each other.
            at: where in the file they start.
            found: how many images of the piece are read before them.
        """
        where = slice(at, at + len(batch))
        if self.labels is not None:
            batch = _with(batch, "label", self.labels[where])
        if self.kept is not None:
            batch = batch.filter(parquet_file.booleans(self.kept[where]))
        if self.first is not None:
            batch = _with(batch, "row", np.arange(len(batch)) + self.first + found)
        return batch


@dataclass(frozen=True)
class Group:
    """A row group of a piece, the unit in which files are read.

    Args:
        piece: the piece.
        metadata: of its file.
        number: of the row group in the file.
        start: number of its first image in the file.
        images: how many of its images are read.
        before: how many images of the piece are read before it.
    """

    piece: Piece
    metadata: pq.FileMetaData
    number: int
    start: int
    images: int
    before: int

    def batches(self, columns: list[str] | None = None, most: int = parquet_file.BATCH) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are read, a few megabytes at a time, with labels and numbers as they are now."""
        at, found, end = self.start, self.before, self.before + self.images
        with read_errors(self.piece.path, self.piece.hint):
            for batch in parquet_file.batches(self.piece.path, self.metadata, [self.number], columns, most):
                now = self.piece.now(batch, at, found)
                at, found = at + len(batch), found + len(now)
                if len(now):
                    yield now
                if found == end:
                    return


def groups(pieces: Sequence[Piece]) -> Iterator[Group]:
    """Yield the row groups of which images are read, in order; only the files' metadata is read."""
    for piece in pieces:
        with read_errors(piece.path, piece.hint):
            metadata = pq.read_metadata(piece.path)
        start, before = 0, 0
        for number in range(metadata.num_row_groups):
            stop = start + metadata.row_group(number).num_rows
            images = stop - start if piece.kept is None else int(np.count_nonzero(piece.kept[start:stop]))
            if images:
                yield Group(piece, metadata, number, start, images, before)
            start, before = stop, before + images


def read(pieces: Sequence[Piece], shape: tuple[int, ...]) -> Split:
    """Read all images into memory, in several threads.

    Args:
        pieces: in order.
        shape: of one image.

    Raises:
        Corrupt: a file cannot be read.
    """
    found = list(groups(pieces))
    starts = np.cumsum([0] + [group.images for group in found])
    whole = _empty(int(starts[-1]), shape)
    with ThreadPoolExecutor(THREADS) as pool:  # decoding holds no lock of Python's
        list(pool.map(_fill, [whole] * len(found), starts[:-1].tolist(), found))
    return whole


def chunks(pieces: Sequence[Piece], shape: tuple[int, ...], rows: int) -> Iterator[Split]:
    """Read all images in order, at most `rows` at a time, in memory that does not grow with their number.

    Args:
        pieces: in order.
        shape: of one image.
        rows: images of a chunk.

    Raises:
        BadInput: `rows` is below 1.
        Corrupt: a file cannot be read.
    """
    if rows < 1:
        raise BadInput(f"expected at least 1 row at a time, got {rows}", "use for example 1024")
    found = list(groups(pieces))
    left = sum(group.images for group in found)
    chunk, filled = _empty(min(rows, left), shape), 0
    # Not batches of `rows`: decoding a large one, in fresh memory, takes nearly twice as long as many small ones.
    for batch in (batch for group in found for batch in group.batches(most=rows)):
        part, taken = parquet_file.decode(batch), 0
        while taken < len(batch):
            n = min(len(batch) - taken, len(chunk.labels) - filled)
            _put(chunk, filled, part, taken, n)
            filled, taken = filled + n, taken + n
            if filled == len(chunk.labels):
                yield chunk
                left -= filled
                chunk, filled = _empty(min(rows, left), shape), 0


def read_labels(pieces: Sequence[Piece]) -> np.ndarray:
    """Read the labels alone, int64 of shape (n,).

    Raises:
        Corrupt: a file cannot be read.
    """
    parts = [parquet_file.values(column, np.int64) for column in _columns(pieces, "label")]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def read_hashes(pieces: Sequence[Piece]) -> np.ndarray:
    """Read the hashes of the images alone, uint8 of shape (n, 32).

    Raises:
        Corrupt: a file cannot be read.
    """
    parts = [parquet_file.digests(column) for column in _columns(pieces, "sha256")]
    return np.concatenate([np.zeros((0, 32), np.uint8), *parts])


def _columns(pieces: Sequence[Piece], name: str) -> Iterator[pa.Array]:
    for piece in pieces:
        with read_errors(piece.path, piece.hint):
            table = parquet_file.read_table(piece.path, [name])
        if name == "label" and piece.labels is not None:
            table = pa.table([parquet_file.array(pa.int64(), len(piece.labels), piece.labels)], ["label"])
        if piece.kept is not None:
            table = table.filter(parquet_file.booleans(piece.kept))
        yield table[name].combine_chunks()


def _with(batch: pa.RecordBatch, name: str, values: np.ndarray) -> pa.RecordBatch:
    at = batch.schema.get_field_index(name)
    if at < 0:
        return batch
    return batch.set_column(at, batch.schema.field(at), parquet_file.array(pa.int64(), len(batch), values))


def _fill(whole: Split, start: int, group: Group) -> None:
    for batch in group.batches():
        _put(whole, start, parquet_file.decode(batch), 0, len(batch))
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
