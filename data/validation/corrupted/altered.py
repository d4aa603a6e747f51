"""Images with changes that are made when they are read: a corrupted copy of any size takes no memory of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

Images = Any  # a NumPy array, a memory map, or what can be sliced and gathered like one


@dataclass(frozen=True)
class Altered:
    """The images of a base, some of them replaced.

    Like the images of `RawData` it has a length, a shape and a type, and gives slices and gathers as arrays.

    Args:
        base: images, of shape (n, height, width) or (n, height, width, 3).
        rows: int64, sorted, each once: which of them are replaced.
        images: given some of `rows`, returns the images that stand there instead.
    """

    base: Images
    rows: np.ndarray
    images: Callable[[np.ndarray], np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the base."""
        return tuple(self.base.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the base."""
        kind: np.dtype[Any] = self.base.dtype
        return kind

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, wanted: Any) -> np.ndarray:
        found = np.array(self.base[wanted])
        places = np.arange(len(self))[wanted]
        if places.ndim == 0:
            return cast(np.ndarray, self[places[None]][0])
        here = self.replaced(places)
        if here.any():
            found[here] = self.images(places[here])
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def replaced(self, places: np.ndarray) -> np.ndarray:
        """Return which of these rows are replaced, as bool."""
        at = np.searchsorted(self.rows, places)
        at[at == len(self.rows)] = 0
        same: np.ndarray = self.rows[at] == places if len(self.rows) else np.zeros(len(places), bool)
        return same


def patched(base: Images, rows: np.ndarray, images: Callable[[np.ndarray], np.ndarray]) -> Images:
    """Return images of which those of `rows`, sorted, are what a function of row numbers gives."""
    return Altered(base, rows, images)


def gathered(base: Images, rows: np.ndarray, source: np.ndarray) -> Images:
    """Return images in which the k-th of `rows` is replaced by the base's image number `source[k]`."""
    order = np.argsort(rows, kind="stable")
    rows, source = rows[order], source[order]
    return Altered(base, rows, lambda places: np.asarray(base[source[np.searchsorted(rows, places)]]))


def mapped(base: Images, rows: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> Images:
    """Return images in which those of `rows` went through a function of many images."""
    return Altered(base, np.sort(rows), lambda places: change(np.array(base[places])))


def changed_rows(before: Images, after: Images) -> np.ndarray:
    """Return which rows of `after` may differ from the same row of `before`, sorted."""
    if after is before:
        return np.zeros(0, np.int64)
    if isinstance(after, Altered) and after.base is before:
        return after.rows
    kept, step = min(len(before), len(after)), 4096
    parts = [
        start
        + np.flatnonzero(
            (np.asarray(before[start:stop]) != np.asarray(after[start:stop])).reshape(stop - start, -1).any(axis=1)
        )
        for start, stop in ((start, min(start + step, kept)) for start in range(0, kept, step))
    ]
    return np.concatenate([*parts, np.arange(kept, len(after))]).astype(np.int64)
