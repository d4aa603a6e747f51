"""Copies are found by the whole hash, whatever their number."""

from collections import Counter

import numpy as np
import pytest

from data.statistics.copies import find_copies


def _plainly(digests: np.ndarray, train: np.ndarray, labels: np.ndarray) -> dict[str, list[int]]:
    """Return what `find_copies` returns, by dictionaries."""
    keys = [row.tobytes() for row in digests]
    sides = {side: Counter(key for key, one in zip(keys, train, strict=True) if one == side) for side in (True, False)}
    of = {key: {label for other, label in zip(keys, labels, strict=True) if other == key} for key in keys}
    return {
        "repeated": [sides[side][key] > 1 for key, side in zip(keys, train, strict=True)],
        "shared": [sides[not side][key] > 0 for key, side in zip(keys, train, strict=True)],
        "two_labels": [len(of[key]) > 1 for key in keys],
        "number": [keys.index(key) for key in keys],
    }


@pytest.mark.parametrize("distinct", [1, 3, 40, 10_000])
def test_copies_are_those_that_a_dictionary_finds(distinct: int) -> None:
    """All one image, many copies, some, hardly any: each number is right."""
    rng = np.random.default_rng(distinct)
    digests = rng.integers(0, 256, (distinct, 32), np.uint8)[rng.integers(0, distinct, 200)]
    train, labels = rng.random(200) < 0.7, rng.integers(0, 3, 200)
    found = find_copies(digests, train, labels)
    assert {name: values.tolist() for name, values in found.items()} == _plainly(digests, train, labels)


def test_hashes_that_begin_alike_are_no_copies() -> None:
    """Only the first 8 bytes are sorted; all 32 decide, the last one, and zeros at the end, too."""
    digests = np.zeros((5, 32), np.uint8)
    digests[1, 31], digests[2, 8], digests[4, 31] = 1, 1, 1
    found = find_copies(digests, np.array([True, True, True, False, False]), np.arange(5))
    assert found["number"].tolist() == [0, 1, 2, 0, 1]
    assert found["shared"].tolist() == [True, True, False, True, True]
    assert not found["repeated"].any()


def test_no_images_have_no_copies() -> None:
    """Empty arrays are no trouble."""
    found = find_copies(np.zeros((0, 32), np.uint8), np.zeros(0, bool), np.zeros(0, np.int64))
    assert all(len(values) == 0 for values in found.values())
