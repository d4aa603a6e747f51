"""Which images occur more than once: from their hashes, in little more memory than two numbers per image."""

import numpy as np


def find_copies(digests: np.ndarray, train: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return which images occur more than once.

    Args:
        digests: SHA-256 of each image, uint8 of shape (n, 32).
        train: which images are training images, bool of shape (n,).
        labels: class of each image, integers of shape (n,).

    Returns:
        Arrays of shape (n,). `repeated`, `shared`, `two_labels` (bool): the same pixels occur again in the same split,
        in the other split, under another label. `number` (int32): the row of the first image with the same pixels.
    """
    rows, first = _groups(digests)
    number = np.arange(len(digests), dtype=np.int32)
    number[rows] = first
    train, labels = train[rows], labels[rows]
    in_train, in_test = _count(first[train], first), _count(first[~train], first)
    found = {
        "repeated": np.where(train, in_train, in_test) > 1,
        "shared": np.where(train, in_test, in_train) > 0,
        "two_labels": _mixed(first, labels),
    }
    return {name: _spread(mask, rows, len(digests)) for name, mask in found.items()} | {"number": number}


def _groups(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows whose hash occurs more than once, ascending, and the first row of each one's hash.

    Sorted are the first 8 bytes only; the few rows that share these are then compared as a whole.
    """
    starts = np.ascontiguousarray(digests[:, :8]).view(np.uint64).reshape(-1)
    in_order = np.sort(starts)
    several = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    del in_order
    rows = np.flatnonzero(_among(starts, several))
    # of fixed width on both sides: a comparison of S32 is a comparison of the 32 bytes
    whole = np.ascontiguousarray(digests[rows]).view("S32").reshape(-1)
    _, first, group, counts = np.unique(whole, return_index=True, return_inverse=True, return_counts=True)
    again = counts[group] > 1
    return rows[again], rows[first[group]][again]


def _among(values: np.ndarray, few: np.ndarray) -> np.ndarray:
    if not len(few):
        return np.zeros(len(values), bool)
    at = np.searchsorted(few, values)
    at[at == len(few)] = 0
    found: np.ndarray = few[at] == values
    return found


def _count(some: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return how many of `some` are equal to each of `groups`."""
    in_order = np.sort(some)
    found: np.ndarray = np.searchsorted(in_order, groups, "right") - np.searchsorted(in_order, groups, "left")
    return found


def _mixed(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which rows belong to a group with more than one label."""
    order = np.lexsort((labels, groups))
    groups_, labels_ = groups[order], labels[order]
    change = (groups_[1:] == groups_[:-1]) & (labels_[1:] != labels_[:-1])
    return _among(groups, np.unique(groups_[1:][change]))


def _spread(mask: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    found = np.zeros(n, bool)
    found[rows] = mask
    return found
