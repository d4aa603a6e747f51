"""One row of statistics per image: the expectations check these instead of 47 million pixels.

Cost for 70,000 images of 28 × 28, on two cores: see docs/decisions/0002-downloads-and-identity.md.
"""

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.dataset import RawData, Reference

NUMERIC = ("mean", "std", "min", "max", "ink_fraction", "centre_x", "centre_y", "border_ink")
COLOUR = ("red", "green", "blue", "saturation")  # further columns of colour images
CHUNK = 1 << 21  # values converted to float64 at a time: 16 MB, near the size of the caches
BLACK = (0,)


def summarise(raw: RawData, ground: tuple[int, ...] = BLACK) -> pa.Table:
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
    """
    return pa.concat_tables(
        [
            summarise_images("train", raw.train_images, raw.train_labels, ground),
            summarise_images("test", raw.test_images, raw.test_labels, ground),
        ]
    )


def numeric(table: pa.Table) -> tuple[str, ...]:
    """Return the names of the columns with statistics: those of colour images have more."""
    return (*NUMERIC, *(name for name in COLOUR if name in table.column_names))


def split_rows(table: pa.Table, split: str) -> pa.Table:
    """Return the rows of one split; where they stand together, as in every summary, nothing is copied."""
    mask = split_mask(table, split)
    n, start = int(mask.sum()), int(mask.argmax()) if len(mask) else 0
    return table.slice(start, n) if mask[start : start + n].all() else table.filter(mask)


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
    names = numeric(table)
    train_mean, train_std = _pixels(train)
    test_mean, test_std = _pixels(test)
    return Reference(
        train_counts=_counts(train["label"], n_classes),
        test_counts=_counts(test["label"], n_classes),
        train_mean=train_mean,
        train_std=train_std,
        test_mean=test_mean,
        test_std=test_std,
        train_duplicates=int(repeated(train["sha256"]).sum()),
        test_duplicates=int(repeated(test["sha256"]).sum()),
        shared=int(shared(test["sha256"], train["sha256"]).sum()),
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
    found = np.empty((len(images), 32), np.uint8)
    for start, chunk in chunks(images):
        for row, pixels in enumerate(np.ascontiguousarray(chunk).reshape(len(chunk), -1), start):
            found[row] = np.frombuffer(hashlib.sha256(pixels.data).digest(), np.uint8)
    return found


def image_hashes(images: np.ndarray) -> np.ndarray:
    """Return `image_digests` as strings of 64 hexadecimal digits, of shape (n,) and type `<U64`: 256 bytes each."""
    return np.array([row.tobytes().hex() for row in image_digests(images)], dtype="<U64")


def repeated(hashes: Any) -> np.ndarray:
    """Return which hashes occur more than once, as bool of shape (n,)."""
    numbers = _one(hashes).dictionary_encode().indices.to_numpy()  # a hash table: sorting takes seconds
    several: np.ndarray = np.bincount(numbers)[numbers] > 1
    return several


def shared(hashes: Any, others: Any) -> np.ndarray:
    """Return which hashes occur among the others too, as bool of shape (n,)."""
    found: np.ndarray = np.asarray(pc.is_in(_one(hashes), _one(others)))
    return found


def _one(hashes: Any) -> pa.Array:
    """Return hashes in any form as one Arrow array."""
    return hashes.combine_chunks() if isinstance(hashes, pa.ChunkedArray) else pa.array(hashes)


def chunks(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield all images in order, some megabytes at a time, each time with the number of the first."""
    step = max(CHUNK // max(math.prod(images.shape[1:]), 1), 1)
    for start in range(0, len(images), step):
        yield start, np.asarray(images[start : start + step])


def summarise_images(name: str, images: np.ndarray, labels: np.ndarray, ground: tuple[int, ...] = BLACK) -> pa.Table:
    """Return the rows of one split, or of any images of it: no row depends on another, except for its number."""
    n = len(images)
    digests = pa.py_buffer(image_digests(images))
    columns = {
        "split": pa.repeat(name, n),
        "row": np.arange(n, dtype=np.int64),
        "label": np.asarray(labels, np.int64),
        **_statistics(images, ground),
        "sha256": pa.Array.from_buffers(pa.binary(32), n, [None, digests]),
    }
    return pa.table(columns)


def _statistics(images: np.ndarray, ground: tuple[int, ...]) -> dict[str, np.ndarray]:
    names = NUMERIC if images.ndim == 3 else (*NUMERIC, *COLOUR)
    columns = {name: np.empty(len(images)) for name in names}
    for start, chunk in chunks(images):
        found = _grey(luminance(chunk), ink(chunk, ground))
        if images.ndim == 4:
            found |= _colour(chunk)
        for name, values in found.items():
            columns[name][start : start + len(chunk)] = values
    return columns


def luminance(images: np.ndarray) -> np.ndarray:
    """Return the brightness of each pixel as Pillow computes it, uint8 of shape (n, height, width)."""
    if images.ndim == 3:
        return images
    red, green, blue = (images[..., channel].astype(np.uint32) for channel in range(3))
    grey: np.ndarray = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)
    return grey


def ink(images: np.ndarray, ground: tuple[int, ...]) -> np.ndarray:
    """Return how far each pixel is from the ground, in the channel that is furthest; uint8, of shape (n, h, w)."""
    if images.ndim == 3:
        return _far(images, ground[0])
    levels = ground if len(ground) == 3 else ground * 3
    far: np.ndarray = np.maximum.reduce(
        [_far(plane, level) for plane, level in zip(_planes(images), levels, strict=True)]
    )
    return far


def _far(plane: np.ndarray, level: int) -> np.ndarray:
    if level == 0:
        return plane  # the same array: black is the common case
    far: np.ndarray = np.maximum(plane, np.uint8(level)) - np.minimum(plane, np.uint8(level))
    return far


def _grey(grey: np.ndarray, dark: np.ndarray) -> dict[str, np.ndarray]:
    n, height, width = grey.shape
    size, weights = height * width, _weights(height, width)
    pixels, marks = grey.reshape(n, size), dark.reshape(n, size)
    values = pixels.astype(np.float64)  # sums of integers below 2^53 are exact
    total, squares = values.sum(axis=1), np.einsum("ij,ij->i", values, values)
    inked, x, y, border = ((values if dark is grey else marks.astype(np.float64)) @ weights).T
    blank = inked == 0
    return {
        "mean": total / (255 * size),
        "std": np.sqrt(np.maximum(size * squares - total * total, 0)) / (255 * size),
        "min": pixels.min(axis=1) / 255,
        "max": pixels.max(axis=1) / 255,
        "ink_fraction": np.count_nonzero(marks, axis=1) / size,
        "centre_x": np.where(blank, (width - 1) / 2, x / np.where(blank, 1, inked)),
        "centre_y": np.where(blank, (height - 1) / 2, y / np.where(blank, 1, inked)),
        "border_ink": border / (255 * weights[:, 3].sum()),
    }


def _colour(images: np.ndarray) -> dict[str, np.ndarray]:
    n, height, width, _ = images.shape
    planes, size = _planes(images), 255 * height * width
    spread = np.maximum.reduce(planes) - np.minimum.reduce(planes)
    sums = (np.einsum("ij->i", some.reshape(n, -1), dtype=np.int64) / size for some in (*planes, spread))
    return dict(zip(COLOUR, sums, strict=True))


def _planes(images: np.ndarray) -> list[np.ndarray]:
    """Return each channel on its own: NumPy is slow along an axis of three."""
    return [np.ascontiguousarray(images[..., channel]) for channel in range(3)]


def _weights(height: int, width: int) -> np.ndarray:
    y, x = np.indices((height, width))
    border = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    return np.stack([np.ones(height * width), x.ravel(), y.ravel(), border.ravel()], axis=1)


def _columns(table: pa.Table, split: str) -> dict[str, Any]:
    rows = split_rows(table, split)
    return {"sha256": rows["sha256"], **{name: rows[name].to_numpy() for name in ("label", *numeric(table))}}


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
