"""The images of a prepared split as raw pixels, read from the Parquet file when they are asked for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef

AT_ONCE = 8000  # images; a multiple of the 1000 that a model is given at a time, so that its batches stay the same
AT_ONCE_BYTES = 64 << 20  # of float32 pixels


class SplitImages:
    """What looks like a uint8 array of shape (n, h, w) or (n, h, w, 3), but holds one row group at a time.

    It has a length, `shape`, `dtype`, and can be indexed by a number, a slice of step 1, or an array of positions.
    `np.asarray` reads all of it. It is read by one thread at a time.

    Args:
        store: where the prepared folder lies.
        ref: which one.
        split: "train", "validation" or "test"; its file is hashed once, here.

    Raises:
        UnknownName: there is no such split.
        Corrupt: the file is not what was written; also later, while reading.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, store: Store, ref: PreparedRef, split: str) -> None:
        self._path = parquet.locate(store, ref, split)
        with parquet.read_errors(self._path):
            self._metadata = pq.read_metadata(self._path)
            tensor = self._metadata.schema.to_arrow_schema().field("image").type
        groups = range(self._metadata.num_row_groups)
        self._starts = np.cumsum([0, *(self._metadata.row_group(group).num_rows for group in groups)])
        self._held: tuple[int, npt.NDArray[np.uint8]] = (-1, np.zeros((0, *tensor.shape), np.uint8))
        self.shape: tuple[int, ...] = (self._metadata.num_rows, *tensor.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions: 3, or 4 for colour images."""
        return len(self.shape)

    def __len__(self) -> int:
        """Return the number of images."""
        return self.shape[0]

    def __getitem__(self, which: Any) -> npt.NDArray[np.uint8]:
        """Return one image, or those of a slice, of positions, or of a mask, in their order."""
        if isinstance(which, int | np.integer):
            one: npt.NDArray[np.uint8] = self._gather(np.array([range(len(self))[int(which)]]))[0]
            return one
        return self._gather(np.arange(len(self))[which])  # NumPy's own rules, and its errors

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all images in memory."""
        return np.asarray(self[:], dtype)

    def _gather(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        found = np.empty((len(positions), *self.shape[1:]), np.uint8)
        groups = np.searchsorted(self._starts, positions, side="right") - 1
        for group in np.unique(groups):
            here = groups == group
            found[here] = self._group(int(group))[positions[here] - self._starts[group]]
        return found

    def _group(self, group: int) -> npt.NDArray[np.uint8]:
        if self._held[0] != group:
            self._held = group, self._read(group)
        return self._held[1]

    def _read(self, group: int) -> npt.NDArray[np.uint8]:
        pixels, done = np.empty((self._metadata.row_group(group).num_rows, *self.shape[1:]), np.uint8), 0
        rows = parquet.at_once(self.shape[1:], parquet.BATCH, parquet.BATCH_BYTES)
        with (
            parquet.read_errors(self._path),
            pq.ParquetFile(self._path, metadata=self._metadata, page_checksum_verification=True) as file,
        ):
            for batch in file.iter_batches(rows, row_groups=[group], columns=["image"], use_threads=False):
                tensor = batch.column("image")
                values = parquet.values(tensor.storage.flatten(), np.float32).reshape(-1, *tensor.type.shape)
                pixels[done : done + len(batch)] = np.rint(values * np.float32(255))
                done += len(batch)
        return pixels


def slices(images: Any) -> Iterator[slice]:
    """Yield slices that cover all images in order, each of a bounded number of bytes."""
    step = parquet.at_once(images.shape[1:], AT_ONCE, AT_ONCE_BYTES)
    step -= step % 1000 if step > 1000 else 0
    for start in range(0, len(images), step):
        yield slice(start, min(start + step, len(images)))
