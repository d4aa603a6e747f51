"""Pixels of new images, which wait in a file until it is known in which shard they belong."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.home.files import storage_errors
from data.home.store import Store
from data.shards.shard import MOST, ShardRef, Side, sortable, write_shard
from data.statistics.summary import summarise_images

SIDES: tuple[Side, ...] = ("train", "validation", "test")


class Spool:
    """Pixels of images that may be new, in a file, in the order in which they were decoded.

    Args:
        path: a file that does not exist yet; its owner removes it.
        shape: of an image.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self._path, self._shape = path, shape
        self._numbers: list[np.ndarray] = []
        with storage_errors(path):
            self._stream = path.open("xb")

    def append(self, numbers: np.ndarray, images: np.ndarray) -> None:
        """Keep images, uint8 of shape (n, *shape), of entries with these numbers."""
        if len(numbers):
            with storage_errors(self._path):
                self._stream.write(np.ascontiguousarray(images).data)
            self._numbers.append(numbers)

    def images(self, numbers: np.ndarray) -> "Kept":
        """Return the images of entries, which were all kept; nothing can be appended any more."""
        with storage_errors(self._path):
            self._stream.close()
        kept = np.concatenate([np.zeros(0, np.int64), *self._numbers])
        order = np.argsort(kept, kind="stable")
        places = order[np.searchsorted(kept, numbers, sorter=order)] if len(kept) else np.zeros(0, np.int64)
        shape = (len(kept), *self._shape)
        array = np.memmap(self._path, np.uint8, "r", shape=shape) if len(kept) else np.zeros(shape, np.uint8)
        return Kept(array, places)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@dataclass(frozen=True)
class Kept:
    """Images on disk in another order; gives slices and gathers like an array.

    Args:
        array: uint8, of shape (n, *shape), mapped.
        places: which of them, int64.
    """

    array: np.ndarray
    places: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all of them."""
        return (len(self.places), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the pixels."""
        return self.array.dtype

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, wanted: Any) -> np.ndarray:
        return np.asarray(self.array[self.places[wanted]])

    def some(self, wanted: np.ndarray) -> "Kept":
        """Return some of them, without reading."""
        return Kept(self.array, self.places[wanted])


@dataclass(frozen=True)
class New:
    """Images that are stored nowhere yet.

    Args:
        images: uint8, of shape (n, height, width) or (n, height, width, 3).
        sides: of each: numbers of `SIDES`.
        hashes: uint8, of shape (n, 32), all different.
        labels: int64.
        paths: where in the source each was found.
    """

    images: Kept
    sides: np.ndarray
    hashes: np.ndarray
    labels: np.ndarray
    paths: Sequence[str]


def write_shards(
    store: Store, new: New, first_seen: str, ground: tuple[int, ...], progress: Callable[[int], None]
) -> Iterator[ShardRef]:
    """Publish new images: those of a side together, in the order of their hashes, cut where there are many.

    Args:
        store: where.
        new: the images.
        first_seen: the UTC time of the night, ISO 8601 to the second.
        ground: of the dataset, for the statistics.
        progress: called with the number of images that were stored so far.

    Raises:
        StorageFailed: the home cannot be written.
    """
    done = 0
    for number, side in enumerate(SIDES):
        rows = np.flatnonzero(new.sides == number)
        rows = rows[np.argsort(sortable(new.hashes[rows]), kind="stable")]
        for at in range(0, len(rows), MOST):
            some = rows[at : at + MOST]
            images, labels, paths = new.images.some(some), new.labels[some], [new.paths[row] for row in some]
            table = summarise_images("test" if side == "test" else "train", images, labels, ground)  # type: ignore[arg-type]
            yield write_shard(store, side, first_seen, images.shape[1:], images, new.hashes[some], labels, paths, table)
            progress(done := done + len(some))
