"""One row of statistics per image: the expectations check these instead of 47 million pixels.

Cost for 70,000 images of 28 × 28, on two cores: see docs/decisions/0002-downloads-and-identity.md.
"""

import hashlib
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.dataset import RawData, Reference

NUMERIC = ("mean", "std", "min", "max", "ink_fraction", "centre_x", "centre_y", "border_ink")
CHUNK = 1 << 21  # pixels converted to float64 at a time: 16 MB, near the size of the caches


def summarise(raw: RawData) -> pa.Table:
    """Return one row per image, training images first.

    Columns: `split` ("train" or "test"), `row` (int64, within the split), `label` (int64), the `NUMERIC` ones
    (float64), `sha256` (64 hexadecimal digits of the pixels). `mean`, `std`, `min` and `max` are of pixels scaled to
    [0, 1]; `ink_fraction` is the share of pixels that are not 0; `centre_x` and `centre_y` are the centre of mass in
    pixels from the left and the top, the middle of the image if it is blank; `border_ink` is the mean of the
    outermost pixels, scaled to [0, 1].
    """
    return pa.concat_tables(
        [
            summarise_images("train", raw.train_images, raw.train_labels),
            summarise_images("test", raw.test_images, raw.test_labels),
        ]
    )


def reference(raw: RawData, n_classes: int) -> Reference:
    """Return the statistics of genuine images, to be pinned in their row."""
    return reference_of(summarise(raw), n_classes)


def reference_of(table: pa.Table, n_classes: int) -> Reference:
    """Return the statistics of a summary table; equal tables give equal statistics on every machine."""
    train, test = (_columns(table, split) for split in ("train", "test"))
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
        train_bands={name: _band(train[name]) for name in NUMERIC},
        test_bands={name: _band(test[name]) for name in NUMERIC},
        train_classes={name: class_means(train[name], train["label"], n_classes) for name in NUMERIC},
        test_classes={name: class_means(test[name], test["label"], n_classes) for name in NUMERIC},
    )


def image_hashes(images: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of each image's pixels.

    Args:
        images: uint8, of shape (n, height, width).

    Returns:
        Strings of 64 hexadecimal digits, of shape (n,) and type `<U64`.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.array([hashlib.sha256(row.data).hexdigest() for row in rows], dtype="<U64")


def repeated(hashes: np.ndarray) -> np.ndarray:
    """Return which hashes occur more than once, as bool of shape (n,)."""
    numbers = pa.array(hashes).dictionary_encode().indices.to_numpy()  # a hash table: sorting strings takes seconds
    several: np.ndarray = np.bincount(numbers)[numbers] > 1
    return several


def shared(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which hashes occur among the others too, as bool of shape (n,)."""
    found: np.ndarray = np.asarray(pc.is_in(pa.array(hashes), pa.array(others)))
    return found


def summarise_images(name: str, images: np.ndarray, labels: np.ndarray) -> pa.Table:
    """Return the rows of one split, or of any images of it: no row depends on another, except for its number."""
    n = len(images)
    columns = {
        "split": np.full(n, name),
        "row": np.arange(n, dtype=np.int64),
        "label": labels.astype(np.int64),
        **_statistics(images),
        "sha256": image_hashes(images),
    }
    return pa.table(columns)


def _statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    n, height, width = images.shape
    pixels = images.reshape(n, height * width)
    weights = _weights(height, width)
    sums = np.empty((n, weights.shape[1]))
    squares = np.empty(n)
    size = height * width
    step = max(CHUNK // size, 1)
    for start in range(0, n, step):
        chunk = pixels[start : start + step].astype(np.float64)  # sums of integers below 2^53 are exact
        sums[start : start + step] = chunk @ weights
        squares[start : start + step] = np.einsum("ij,ij->i", chunk, chunk)
    total, x, y, border = sums.T
    blank = total == 0
    return {
        "mean": total / (255 * size),
        "std": np.sqrt(np.maximum(size * squares - total * total, 0)) / (255 * size),
        "min": pixels.min(axis=1) / 255,
        "max": pixels.max(axis=1) / 255,
        "ink_fraction": np.count_nonzero(pixels, axis=1) / size,
        "centre_x": np.where(blank, (width - 1) / 2, x / np.where(blank, 1, total)),
        "centre_y": np.where(blank, (height - 1) / 2, y / np.where(blank, 1, total)),
        "border_ink": border / (255 * weights[:, 3].sum()),
    }


def _weights(height: int, width: int) -> np.ndarray:
    y, x = np.indices((height, width))
    border = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    return np.stack([np.ones(height * width), x.ravel(), y.ravel(), border.ravel()], axis=1)


def _columns(table: pa.Table, split: str) -> dict[str, np.ndarray]:
    rows = table.filter(pc.equal(table["split"], split))
    return {name: rows[name].to_numpy() for name in ("label", "sha256", *NUMERIC)}


def _counts(labels: np.ndarray, n_classes: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(labels, minlength=n_classes))


def _pixels(columns: dict[str, np.ndarray]) -> tuple[float, float]:
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
