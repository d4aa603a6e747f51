"""What a sample of the images looks like, in a few numbers per image: read once, used by every rule on pixels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from data.drift.night import SIDES, Night
from data.statistics.image_statistics import luminance

KNOWN, NEW, TEST = 4_000, 2_000, 20_000  # images looked at, at most
BYTES = 1 << 28  # of their pixels, of each of the three, at most
AT_ONCE = 1 << 23  # bytes read at a time
SIDE = 32  # pixels: larger images are averaged in blocks
LOWEST = 7  # frequencies in each direction
CELLS = 8  # a side of the grid of means that describes an image to the classifier


@dataclass(frozen=True)
class Looks:
    """Some images in small.

    Args:
        rows: int64, of shape (n,): their rows in tonight's table, sorted.
        labels: int64, of shape (n,).
        small: float32, of shape (n, height, width), 32 pixels a side at most: grey values in 0..255.
        cells: float32, of shape (n, cells): means of a grid of at most 8 x 8 blocks, of each channel.
        spectrum: float32, of shape (n, frequencies), each of length 1: square roots of the strengths of the lowest
            frequencies. They do not depend on where things are in an image, on brightness or on contrast.
        roughness: float64, of shape (n,): mean step between neighbouring pixels over the standard deviation; 2.3 for
            noise, whatever its strength.
    """

    rows: np.ndarray
    labels: np.ndarray
    small: np.ndarray
    cells: np.ndarray
    spectrum: np.ndarray
    roughness: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, mask: np.ndarray) -> "Looks":
        """Return some of them: a bool per image, or positions."""
        return Looks(*(getattr(self, one.name)[mask] for one in fields(self)))

    def replaced(self, places: np.ndarray, images: np.ndarray) -> "Looks":
        """Return the same with other images at some positions; their labels are kept."""
        arrays = [np.array(one) for one in (self.small, self.cells, self.spectrum, self.roughness)]
        for array, new in zip(arrays, _look(images, np.arange(len(images))), strict=True):
            array[places] = new
        return Looks(self.rows, self.labels, *arrays)


@dataclass(frozen=True)
class Samples:
    """Looks at the three groups of images that rules compare.

    Args:
        known: images for training and validation that the last accepted snapshot has.
        test: its test images.
        new: what it does not have, of all splits.
    """

    known: Looks
    test: Looks
    new: Looks


def samples(night: Night, images: Any) -> Samples:
    """Look at the images with the smallest hashes of each group: a random choice, and the same every night.

    Shards are in the order of hashes, so these images stand together and are read at once.

    Args:
        night: both snapshots.
        images: the images of tonight's table, in the order of its rows; gathered by sorted row numbers.
    """
    size = max(math.prod(images.shape[1:]), 1)
    return Samples(*(look(images, night.labels, rows) for rows in sampled(night, max(BYTES // size, 100))))


def sampled(night: Night, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of known images for training, of test images, and of new ones; of each `most` at most."""
    tests = night.sides[night.kept] == SIDES.index("test")
    groups = ((night.kept[~tests], KNOWN), (night.kept[tests], TEST), (night.added, NEW))
    known, test, new = (some_rows(night, rows, min(n, most)) for rows, n in groups)
    return known, test, new


def some_rows(night: Night, rows: np.ndarray, n: int) -> np.ndarray:
    """Return the rows with the smallest hashes, at most n of them, sorted."""
    if len(rows) <= n:
        return np.sort(rows)
    chosen: np.ndarray = np.sort(rows[np.argpartition(night.keys[rows], n)[:n]])
    return chosen


def look(images: Any, labels: np.ndarray, rows: np.ndarray) -> Looks:
    """Look at some images.

    Args:
        images: uint8, of shape (n, height, width) or (n, height, width, 3).
        labels: int64, of shape (n,).
        rows: int64, sorted: which.
    """
    return Looks(rows, labels[rows], *_look(images, rows))


def _look(images: Any, rows: np.ndarray) -> list[np.ndarray]:
    return [np.concatenate(some) for some in zip(*_parts(images, rows), strict=True)]


def _parts(images: Any, rows: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    step = max(AT_ONCE // max(math.prod(images.shape[1:]), 1), 1)
    for start in range(0, max(len(rows), 1), step):
        some = np.asarray(images[rows[start : start + step]])
        grey = luminance(some).astype(np.float32)
        small = blocks(grey, SIDE)
        yield small, _cells(some), _spectrum(small), _roughness(grey)


def _cells(images: np.ndarray) -> np.ndarray:
    planes = [images] if images.ndim == 3 else [images[..., channel] for channel in range(3)]
    found = [blocks(plane.astype(np.float32), CELLS) for plane in planes]
    return np.concatenate([one.reshape(len(images), math.prod(one.shape[1:])) for one in found], axis=1)


def _spectrum(small: np.ndarray) -> np.ndarray:
    height, width = small.shape[1:]
    high, wide = min(height // 2, LOWEST), min(width // 2, LOWEST)
    down = _waves(height, np.arange(-high, high + 1))
    across = _waves(width, np.arange(wide + 1))  # the others are the same, mirrored
    kept = np.abs(down @ (small @ across.T)).reshape(len(small), len(down) * len(across))
    kept[:, high * len(across)] = 0  # the mean of the image
    return unit(np.sqrt(kept))


def _waves(n: int, frequencies: np.ndarray) -> np.ndarray:
    """Return the rows of a Fourier transform that belong to some frequencies; complex64 of shape (frequencies, n)."""
    turns = np.outer(frequencies, np.arange(n)) / max(n, 1)
    found: np.ndarray = np.exp(-2j * np.pi * turns).astype(np.complex64)
    return found


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1, float32; one without a direction stays 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: np.ndarray = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return found


def _roughness(grey: np.ndarray) -> np.ndarray:
    """Return the mean step between neighbours, to the right and down, in standard deviations; float64 of shape (n,)."""
    steps = [np.abs(np.diff(grey, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2) if grey.shape[axis] > 1]
    found: np.ndarray = sum(steps, np.zeros(len(grey))) / (grey.std(axis=(1, 2)) + 1)
    return found


def blocks(images: np.ndarray, most: int) -> np.ndarray:
    """Return images of at most `most` pixels a side, the means of equal blocks; a rest at the edges is left out."""
    n, height, width = images.shape
    block = math.ceil(max(height, width) / most)
    if block == 1:
        return images
    rows, columns = max(height // block, 1), max(width // block, 1)
    kept = images[:, : rows * block, : columns * block]
    tall, wide = kept.shape[1] // rows, kept.shape[2] // columns
    means: np.ndarray = kept.reshape(n, rows, tall, columns, wide).mean(axis=(2, 4))
    return means
