"""One row of statistics per image: the expectations check these instead of 47 million pixels.

Cost for 70,000 images of 28 × 28, on two cores: see docs/decisions/0002-downloads-and-identity.md.
"""

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.dataset import RawData, Reference
from data.home.mapped import forget, on_disk
from data.statistics.copies import find_copies
from data.statistics.image_statistics import COLOUR, NUMERIC, ink, luminance, of_colour, of_grey

CHUNK = 1 << 21  # values converted to float64 at a time: 16 MB, near the size of the caches
THREADS = 4  # NumPy and long hashes hold no lock of Python's
BLACK = (0,)


def summarise(raw: RawData, ground: tuple[int, ...] = BLACK, scratch: Path | None = None) -> pa.Table:
    """Return one row per image, training images first; memory does not grow with the size of the images.

    Columns: `split` ("train" or "test"), `row` (int64, within the split), `label` (int64), the `NUMERIC` ones and for
    colour images the `COLOUR` ones (float64), `sha256` (32 bytes, of the pixels). `mean`, `std`, `min` and `max` are of
    grey values (of colour images: their luminance) scaled to [0, 1]. Ink is how far a pixel is from the ground, in the
    channel that is furthest: `ink_fraction` is the share of pixels that differ from it, `centre_x` and `centre_y` are
    the centre of mass of the ink in pixels from the left and the top, the middle of the image if there is none, and
    `border_ink` is its mean in the outermost pixels, scaled to [0, 1]. `red`, `green` and `blue` are the means of the
    channels; `saturation` is the mean distance between the largest and the smallest channel of a pixel.

    Args:
        raw: images and labels; may be memory-mapped.
        ground: of the dataset: 0..255, one value or one per channel.
        scratch: a folder; with it the numbers lie in files there, without a name, and not in memory.

    Raises:
        OSError: the files cannot be written.
    """
    n_train, n_test = len(raw.train_images), len(raw.test_images)
    rows = _Rows(n_train + n_test, raw.train_images.ndim == 4, scratch)
    rows.fill(0, raw.train_images, raw.train_labels, ground)
    rows.fill(n_train, raw.test_images, raw.test_labels, ground)
    return rows.table(pa.concat_arrays([pa.repeat("train", n_train), pa.repeat("test", n_test)]))


class _Rows:
    """The columns of a summary with numbers, in memory or in files.

    Args:
        n: number of rows.
        colour: whether the images have three channels.
        scratch: folder for the files; None for memory.
    """

    def __init__(self, n: int, colour: bool, scratch: Path | None = None) -> None:
        def column(kind: type, *shape: int) -> np.ndarray:
            return np.empty((n, *shape), kind) if scratch is None else on_disk(scratch, (n, *shape), kind)

        self.row, self.label = column(np.int64), column(np.int64)
        self.statistics = {name: column(np.float64) for name in ((*NUMERIC, *COLOUR) if colour else NUMERIC)}
        self.digests = column(np.uint8, 32)

    def fill(self, start: int, images: np.ndarray, labels: np.ndarray, ground: tuple[int, ...]) -> None:
        """Fill the rows of one split, or of any images of it, on all cores: no row depends on another."""
        end = start + len(images)
        self.row[start:end], self.label[start:end] = np.arange(len(images)), labels

        def measure(at: int) -> None:
            some = np.asarray(images[at : at + step])
            rows = slice(start + at, start + at + len(some))
            for name, values in _statistics(some, ground).items():
                self.statistics[name][rows] = values
            self.digests[rows] = image_digests(some)
            forget(images)

        step = _at_once(images)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(measure, range(0, len(images), step)))
        for column in (self.row, self.label, self.digests, *self.statistics.values()):
            forget(column)

    def table(self, split: pa.Array) -> pa.Table:
        """Return the columns as a table that shares their memory."""
        numbers = {"row": self.row, "label": self.label, **self.statistics}
        columns = {name: _array(pa.from_numpy_dtype(values.dtype), values) for name, values in numbers.items()}
        return pa.table({"split": split, **columns, "sha256": _array(pa.binary(32), self.digests)})


def _array(kind: pa.DataType, values: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def numeric(table: pa.Table) -> tuple[str, ...]:
    """Return the names of the columns with statistics: those of colour images have more."""
    return (*NUMERIC, *(name for name in COLOUR if name in table.column_names))


def split_rows(table: pa.Table, split: str) -> pa.Table:
    """Return the rows of one split; where they stand together, as in every summary, nothing is copied."""
    mask = split_mask(table, split)
    n, start = int(mask.sum()), int(mask.argmax()) if len(mask) else 0
    return table.slice(start, n) if mask[start : start + n].all() else table.filter(mask)


def digests_of(table: pa.Table) -> np.ndarray:
    """Return the hashes of a summary, uint8 of shape (n, 32); they share its memory where they are in one piece."""
    column = table["sha256"]
    one = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return np.frombuffer(one.buffers()[1], np.uint8, len(one) * 32, one.offset * 32).reshape(-1, 32)


def split_mask(table: pa.Table, split: str) -> np.ndarray:
    """Return which rows belong to a split, as bool."""
    mask: np.ndarray = pc.fill_null(pc.equal(table["split"], split), False).to_numpy()
    return mask


def reference(raw: RawData, n_classes: int, ground: tuple[int, ...] = BLACK) -> Reference:
    """Return the statistics of genuine images, to be pinned in their row."""
    return reference_of(summarise(raw, ground), n_classes)


def reference_of(table: pa.Table, n_classes: int) -> Reference:
    """Return the statistics of a summary table; equal tables give equal statistics on every machine."""
    train, test = (_columns(table, split) for split in ("train", "test"))
    names, in_train = numeric(table), split_mask(table, "train")
    copied = find_copies(digests_of(table), in_train, table["label"].to_numpy())
    train_mean, train_std = _pixels(train)
    test_mean, test_std = _pixels(test)
    return Reference(
        train_counts=_counts(train["label"], n_classes),
        test_counts=_counts(test["label"], n_classes),
        train_mean=train_mean,
        train_std=train_std,
        test_mean=test_mean,
        test_std=test_std,
        train_duplicates=int((copied["repeated"] & in_train).sum()),
        test_duplicates=int((copied["repeated"] & ~in_train).sum()),
        shared=int((copied["shared"] & ~in_train).sum()),
        train_bands={name: _band(train[name]) for name in names},
        test_bands={name: _band(test[name]) for name in names},
        train_classes={name: class_means(train[name], train["label"], n_classes) for name in names},
        test_classes={name: class_means(test[name], test["label"], n_classes) for name in names},
    )


def image_digests(images: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of each image's pixels.

    Args:
        images: uint8, of shape (n, height, width) or (n, height, width, 3); may be memory-mapped.

    Returns:
        uint8, of shape (n, 32).
    """
    found, step = np.empty((len(images), 32), np.uint8), _at_once(images)
    for start in range(0, len(images), step):
        some = np.asarray(images[start : start + step])
        pixels = np.ascontiguousarray(some).reshape(len(some), -1)
        digests = b"".join([hashlib.sha256(row.data).digest() for row in pixels])
        found[start : start + step] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
    return found


def image_hashes(images: np.ndarray) -> np.ndarray:
    """Return `image_digests` as strings of 64 hexadecimal digits, of shape (n,) and type `<U64`: 256 bytes each."""
    return np.array([row.tobytes().hex() for row in image_digests(images)], dtype="<U64")


def _at_once(images: np.ndarray) -> int:
    """Return how many images are some megabytes."""
    return max(CHUNK // max(math.prod(images.shape[1:]), 1), 1)


def summarise_images(name: str, images: np.ndarray, labels: np.ndarray, ground: tuple[int, ...] = BLACK) -> pa.Table:
    """Return the rows of one split, or of any images of it: no row depends on another, except for its number."""
    rows = _Rows(len(images), images.ndim == 4)
    rows.fill(0, images, labels, ground)
    return rows.table(pa.repeat(name, len(images)))


def _statistics(images: np.ndarray, ground: tuple[int, ...]) -> dict[str, np.ndarray]:
    found = of_grey(luminance(images), ink(images, ground))
    return found if images.ndim == 3 else found | of_colour(images)


def _columns(table: pa.Table, split: str) -> dict[str, np.ndarray]:
    rows = split_rows(table, split)
    return {name: rows[name].to_numpy() for name in ("label", *numeric(table))}


def _counts(labels: np.ndarray, n_classes: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(labels, minlength=n_classes))


def _pixels(columns: dict[str, Any]) -> tuple[float, float]:
    mean = _mean(columns["mean"])
    square = _mean(columns["std"] ** 2 + columns["mean"] ** 2)
    return _short(mean), _short(math.sqrt(max(square - mean * mean, 0)))


def class_means(values: np.ndarray, labels: np.ndarray, n_classes: int) -> tuple[float, ...]:
    """Return the mean of the values of each class, rounded to 9 digits; 0 for a class without values."""
    ends = np.cumsum(np.bincount(labels, minlength=n_classes))
    of_class = np.split(values[np.argsort(labels, kind="stable")], ends[: n_classes - 1])
    return tuple(_short(_mean(some)) if len(some) else 0.0 for some in of_class)


def _band(values: np.ndarray) -> tuple[float, float, float]:
    low = np.quantile(values, 0.001, method="lower")
    high = np.quantile(values, 0.999, method="higher")
    return _short(_mean(values)), float(low), float(high)  # limits not rounded: genuine images stay inside


def _mean(values: np.ndarray) -> float:
    return math.fsum(values) / len(values)  # fsum: the same on every processor, whatever the width of its vectors


def _short(value: float) -> float:
    return float(f"{value:.9g}")
