"""The validation split and the order of the training images, both decided by the images' content."""

import numpy as np

from data.errors import BadInput

MIXED = 0.8  # share of the neighbours that a random order would make differ; MNIST's has 1.00, Fashion-MNIST's 0.99


def validation_mask(labels: np.ndarray, hashes: np.ndarray, fraction: float = 1 / 12) -> np.ndarray:
    """Choose the images to validate on: per class, those with the smallest content hashes.

    The split depends on neither seeds nor the order of the rows, so it is the same in every run. Adding m distinct
    images moves at most m of the old ones off the validation side. Images with equal content stay on one side,
    also when their labels differ; a class with two or more distinct images has some on both sides.

    Args:
        labels: class of each image, integers of shape (n,).
        hashes: content hash of each image, uint8 of shape (n, 32).
        fraction: wanted share of each class, in (0, 1); 1/12 of 60,000 gives 55,000 + 5,000.

    Returns:
        Boolean array of shape (n,), true for the validation side. Each class has the number of images nearest to its
        share that whole groups of equal images allow.

    Raises:
        BadInput: the shapes do not fit, or `fraction` is outside (0, 1).
    """
    if labels.ndim != 1 or hashes.shape != (len(labels), 32) or hashes.dtype != np.uint8:
        raise BadInput(
            f"expected labels of shape (n,) and uint8 hashes of shape (n, 32), "
            f"got labels {labels.shape} and {hashes.dtype} hashes {hashes.shape}",
            "pass what data.statistics.summary.image_hashes returns",
        )
    if not 0 < fraction < 1:
        raise BadInput(f"expected a validation share between 0 and 1, got {fraction}", "use for example 1/12")
    if len(labels) == 0:
        return np.zeros(0, dtype=bool)
    # Fixed width on both sides: a comparison of S32 is a comparison of the 32 bytes.
    content = np.ascontiguousarray(hashes).view("S32").reshape(-1)
    _, group = np.unique(content, return_inverse=True)  # numbered in the order of the hashes
    sizes = np.bincount(group)
    group_labels = np.full(len(sizes), np.iinfo(np.int64).max)
    np.minimum.at(group_labels, group, labels.astype(np.int64))
    chosen = np.zeros(len(sizes), dtype=bool)
    for label in np.unique(group_labels):
        members = np.flatnonzero(group_labels == label)
        chosen[members[: _count(sizes[members], fraction)]] = True
    return chosen[group]


def training_order(rows: np.ndarray, labels: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the rows of the training images in the order in which they are written: mixed.

    A folder is read class by class. What does not fit into memory is trained chunk by chunk, and a chunk must not hold
    one class alone: six kinds of photographs got 53 % in such chunks and 90 % in mixed ones. Rows that are mixed
    already, as MNIST's are, stay as they are; others are ordered by their content hashes, whatever order they came in.

    Args:
        rows: positions in `labels` and `hashes`, ascending, of shape (m,).
        labels: class of each image, integers of shape (n,).
        hashes: content hash of each image, uint8 of shape (n, 32).
    """
    if is_mixed(labels[rows]):
        return rows
    content = np.ascontiguousarray(hashes[rows]).view("S32").reshape(-1)
    return np.asarray(rows[np.argsort(content, kind="stable")])


def is_mixed(labels: np.ndarray) -> bool:
    """Return whether neighbours differ nearly as often as in a random order of the same labels."""
    if len(labels) < 2:
        return True
    _, counts = np.unique(labels, return_counts=True)
    differ = 1.0 - float(((counts / len(labels)) ** 2).sum())
    return float((labels[1:] != labels[:-1]).mean()) >= MIXED * differ


def _count(sizes: np.ndarray, fraction: float) -> int:
    """Return how many leading groups of these sizes are nearest to the fraction, with some on both sides."""
    if len(sizes) == 1:
        return 0
    filled = np.cumsum(sizes)
    nearest = int(np.argmin(np.abs(filled - fraction * filled[-1]))) + 1
    return min(nearest, len(sizes) - 1)
