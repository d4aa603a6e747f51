"""Images in Parquet files as raw pixels, read when they are asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from data.shards.parquet_file import pixels
from data.shards.pieces import Piece, groups


class StoredImages:
    """What looks like a uint8 array of shape (n, h, w) or (n, h, w, 3), but holds one row group at a time.

    It has a length, `shape`, `dtype`, and can be indexed by a number, a slice of step 1, or an array of positions.
    `np.asarray` reads all of it.

    Args:
        pieces: where the images lie, in order.
        shape: of one image.

    Raises:
        Corrupt: a file cannot be read; also later, while reading.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, pieces: Sequence[Piece], shape: tuple[int, ...]) -> None:
        self._groups = list(groups(pieces))
        self._starts = np.cumsum([0, *(group.images for group in self._groups)])
        self._held: tuple[int, npt.NDArray[np.uint8]] = (-1, np.zeros((0, *shape), np.uint8))
        self.shape: tuple[int, ...] = (int(self._starts[-1]), *shape)

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
        places = np.searchsorted(self._starts, positions, side="right") - 1
        for number in np.unique(places):
            here = places == number
            found[here] = self._group(int(number))[positions[here] - self._starts[number]]
        return found

    def _group(self, number: int) -> npt.NDArray[np.uint8]:
        held = self._held  # another thread may read another one meanwhile
        if held[0] != number:
            held = self._held = number, self._read(number)
        return held[1]

    def _read(self, number: int) -> npt.NDArray[np.uint8]:
        group = self._groups[number]
        found, done = np.empty((group.images, *self.shape[1:]), np.uint8), 0
        for batch in group.batches(["image"]):
            found[done : done + len(batch)] = np.rint(pixels(batch) * np.float32(255))
            done += len(batch)
        return found
