"""How far two splits may differ by chance alone, when a hash decided which image is in which.

Data that grows starts small: of thirty test images in ten classes, some class has one. What is demanded of two splits
that are compared with each other is therefore widened by what chance explains.
"""

import math
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from data.statistics.summary import digests_of, split_mask, split_rows

ERRORS = 6.0  # standard errors that count as chance, as in `data.inspection.witness`


def drawn_by_hash(table: pa.Table) -> bool:
    """Whether the first bytes of the images' hashes decided their split; else the source has a test split of its own.

    Args:
        table: a summary, or some rows of one, whose images are as they were when they were first seen.
    """
    first = np.ascontiguousarray(digests_of(table)[:, :8]).view(">u8").reshape(-1)
    train = split_mask(table, "train")
    if train.all() or not train.any():
        return True
    return bool(first[~train].max() < first[train].min())


def of_pixels(table: pa.Table) -> float:
    """Return how far the means of all pixels, and of their squares, may differ between the splits by chance."""
    parts = [split_rows(table, split) for split in ("train", "test")]
    means = [part["mean"].to_numpy() for part in parts]
    squares = [part["std"].to_numpy() ** 2 + mean**2 for part, mean in zip(parts, means, strict=True)]
    return ERRORS * max(_error(*means), _error(*squares))


def of_bands(table: pa.Table) -> float:
    """Return which share of a split's images may lie outside the other's band by chance, beyond the tolerated share.

    The band of few images lies between the least and the greatest value: about 2 / n of other images lie outside.
    """
    fewest = min(len(split_rows(table, split)) for split in ("train", "test"))
    return min(2 * ERRORS / max(fewest, 1) + ERRORS * math.sqrt(0.1 / max(fewest, 1)), 0.9)


def of_shares(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how far the share of each class may differ between two splits by chance.

    Args:
        images: number of images of each class in one split.
        others: the same in the other.
    """
    n, m = images.sum(), others.sum()
    together = (images + others) / (n + m)
    apart: np.ndarray = ERRORS * np.sqrt(together * (1 - together) * (1 / n + 1 / m))
    return apart


def of_means(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how far the mean of a class may differ by chance, in standard deviations; arguments as `of_shares`."""
    apart: np.ndarray = ERRORS * np.sqrt(1 / np.maximum(images, 1) + 1 / np.maximum(others, 1))
    return apart


def spread(values: np.ndarray, band: float, others: int) -> float:
    """Return the standard deviation of one image, of which one of the splits may have too few to tell.

    Args:
        values: a statistic of the images of one split.
        band: distance between the 0.1 % and the 99.9 % quantile in the other split; its range, if that has few images.
        others: their number.
    """
    expected = 2 * NormalDist().inv_cdf((others - 0.375) / (others + 0.25)) if others > 1 else 6.0
    return max(float(values.std()), band / min(max(expected, 1.0), 6.0))


def beyond(values: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Return what chance leaves of differences, with their sign."""
    left: np.ndarray = np.sign(values) * np.maximum(np.abs(values) - chance, 0)
    return left


def _error(one: np.ndarray, other: np.ndarray) -> float:
    """Return the standard error of the difference of two means."""
    if not len(one) or not len(other):
        return 0.0
    spread = float(np.concatenate([one, other]).std())
    return spread * math.sqrt(1 / len(one) + 1 / len(other))
