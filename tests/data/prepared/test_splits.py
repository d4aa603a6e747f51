"""The validation split depends on the images and on nothing else."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadInput
from data.prepared.splits import training_order, validation_mask

# (content, label): few distinct contents, so that duplicates and conflicting labels happen often.
ROWS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4)), min_size=1, max_size=150)
DISTINCT = st.integers(min_value=1, max_value=300)


def hashed(contents: list[int]) -> np.ndarray:
    """Return the SHA-256 of each number, uint8 of shape (n, 32)."""
    digests = b"".join(hashlib.sha256(str(content).encode()).digest() for content in contents)
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def split(rows: list[tuple[int, int]], fraction: float = 1 / 12) -> np.ndarray:
    """Return the mask of (content, label) rows."""
    return validation_mask(np.array([label for _, label in rows]), hashed([content for content, _ in rows]), fraction)


def test_sixty_thousand_images_give_five_thousand_to_validate_on() -> None:
    """Each class gives one in twelve, to the nearest image."""
    labels = np.arange(60_000) % 10
    mask = validation_mask(labels, hashed(list(range(60_000))))
    assert mask.sum() == 5_000
    assert np.bincount(labels[mask]).tolist() == [500] * 10


@given(DISTINCT, st.floats(0.02, 0.98))
def test_each_class_gives_its_share_to_the_nearest_image(n: int, fraction: float) -> None:
    """Without duplicates a class of n images gives round(n * fraction), and at least one to either side."""
    taken = split([(content, 0) for content in range(n)], fraction).sum()
    if n == 1:
        assert taken == 0
    else:
        assert 1 <= taken <= n - 1
        assert abs(taken - n * fraction) <= 0.5 or taken in (1, n - 1)


@given(ROWS)
def test_equal_images_stay_on_one_side(rows: list[tuple[int, int]]) -> None:
    """No image is trained on and validated on, not even under two labels."""
    mask = split(rows)
    validated = {content for (content, _), chosen in zip(rows, mask, strict=True) if chosen}
    trained = {content for (content, _), chosen in zip(rows, mask, strict=True) if not chosen}
    assert not validated & trained
    assert trained


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_has_no_say(rows: list[tuple[int, int]], random: object) -> None:
    """Shuffled rows keep their sides."""
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert (split([rows[i] for i in order]) == split(rows)[order]).all()


@given(DISTINCT, st.integers(1, 40), st.floats(0.05, 0.5))
def test_new_rows_move_few_old_ones(n: int, added: int, fraction: float) -> None:
    """Adding m images moves at most m of the old ones, and those that come to validation are its share of m."""
    before = split([(content, 0) for content in range(n)], fraction)
    after = split([(content, 0) for content in range(n + added)], fraction)[:n]
    assert (before & ~after).sum() <= added
    assert (~before & after).sum() <= np.ceil(added * fraction) + 1


@given(ROWS, ROWS)
def test_a_class_does_not_disturb_another(rows: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    """Rows of a new class with new contents leave the other classes as they were."""
    new = [(content + 1000, 9) for content, _ in others]
    assert (split(rows + new)[: len(rows)] == split(rows)).all()


def test_no_rows_give_an_empty_mask() -> None:
    """An empty split is an empty mask, not an error."""
    mask = validation_mask(np.zeros(0, np.int64), np.zeros((0, 32), np.uint8))
    assert mask.shape == (0,)
    assert mask.dtype == bool


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_outside_zero_to_one_is_refused(fraction: float) -> None:
    """Nothing to train on or to validate on is a mistake."""
    with pytest.raises(BadInput, match="between 0 and 1"):
        split([(0, 0), (1, 0)], fraction)


def test_hashes_of_another_shape_are_refused() -> None:
    """Hexadecimal or shortened hashes are not mistaken for content hashes."""
    with pytest.raises(BadInput, match=r"\(n, 32\)"):
        validation_mask(np.zeros(3, np.int64), np.zeros((3, 16), np.uint8))


# -- the order of the training images ------------------------------------------------------------------------------


def test_images_that_are_mixed_stay_in_their_order() -> None:
    """MNIST is trained in the order of its file, as it always was."""
    labels = np.random.default_rng(0).integers(0, 10, 5_000)
    rows = np.flatnonzero(labels != 3)
    assert (training_order(rows, labels, hashed(list(range(5_000)))) == rows).all()


@pytest.mark.parametrize("n_classes", [2, 10, 100])
def test_images_that_come_class_by_class_are_mixed(n_classes: int) -> None:
    """A folder is read class by class; whatever part of the training one looks at then holds all classes alike."""
    labels = np.sort(np.arange(6_000) % n_classes)
    rows = np.arange(6_000)
    order = training_order(rows, labels, hashed(list(range(6_000))))
    assert (np.sort(order) == rows).all()
    for part in np.array_split(labels[order], 4):
        counts = np.bincount(part, minlength=n_classes)
        assert abs(counts - 1_500 / n_classes).max() < 5 * np.sqrt(1_500 / n_classes)


def test_the_order_does_not_depend_on_the_order_of_the_file() -> None:
    """The same images, whichever class comes first, are written in the same order."""
    labels, hashes = np.repeat(np.arange(3), 100), hashed(list(range(300)))
    one = hashes[training_order(np.arange(300), labels, hashes)]
    other = hashes[::-1][training_order(np.arange(300), labels[::-1], hashes[::-1])]
    assert (one == other).all()


@pytest.mark.parametrize("labels", [[], [4], [4, 4, 4], [0, 1], [0, 1, 0, 1]])
def test_few_images_or_one_class_have_an_order(labels: list[int]) -> None:
    """Nothing, one image, one class, or two in turn stay as they are."""
    rows = np.arange(len(labels))
    assert training_order(rows, np.array(labels, np.int64), hashed(list(rows))).tolist() == rows.tolist()
