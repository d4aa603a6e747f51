"""Splits and classes are compared with what is known of them, in units that mean the same everywhere."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from data.builtin import DATASETS
from data.dataset import Dataset, RawData
from data.statistics import facts
from data.statistics.image_statistics import NUMERIC
from data.statistics.summary import reference, summarise

SAMPLE = DATASETS["mnist-sample"]


@pytest.fixture(scope="module")
def raw() -> RawData:
    """Two classes, dark and bright, 60 images each in either split."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 100, (240, 4, 4)) + 100 * np.tile(labels, 2)[:, None, None]
    return RawData(images[:120].astype(np.uint8), labels, images[120:].astype(np.uint8), labels)


@pytest.fixture(scope="module")
def table(raw: RawData) -> pa.Table:
    """Their summary."""
    return summarise(raw)


@pytest.fixture(scope="module")
def dataset(raw: RawData) -> Dataset:
    """A row with their statistics."""
    return replace(
        SAMPLE, height=4, width=4, n_train=120, n_test=120, class_names=("dark", "bright"), reference=reference(raw, 2)
    )


def test_genuine_classes_do_not_deviate_at_all(dataset: Dataset, table: pa.Table) -> None:
    """Measured against themselves all deviations are rounding."""
    classes = facts.of_classes(table, facts.expected_of(dataset, table), 2)
    assert classes["images"].to_pylist() == [60] * 4
    for name in ("share", *NUMERIC):
        assert np.abs(classes[name].to_numpy()).max() < 1e-5


def test_a_class_that_grows_shows_by_how_much(dataset: Dataset, raw: RawData) -> None:
    """Half of one class under the other's name is -50 % and +50 %."""
    labels = raw.train_labels.copy()
    labels[:60] = 1
    table = summarise(replace(raw, train_labels=labels))
    classes = facts.of_classes(table, facts.expected_of(dataset, table), 2)
    assert classes["share"].to_pylist() == pytest.approx([-0.5, 0.5, 0, 0])


def test_copies_are_marked(raw: RawData) -> None:
    """An image that occurs twice is repeated, one that occurs in the other split is shared."""
    images = raw.train_images.copy()
    images[1], images[2] = images[0], raw.test_images[5]
    parts = facts.of_images(summarise(replace(raw, train_images=images)))
    assert np.flatnonzero(parts["train"]["repeated"]).tolist() == [0, 1]
    assert np.flatnonzero(parts["train"]["shared"]).tolist() == [2]
    assert np.flatnonzero(parts["test"]["shared"]).tolist() == [5]


def test_without_pinned_statistics_each_split_expects_the_other(dataset: Dataset, table: pa.Table) -> None:
    """The train split is measured against test and the reverse, with wide tolerances."""
    expected = facts.expected_of(replace(dataset, reference=None), table)
    assert dataset.reference
    assert not expected.pinned
    assert expected.reference.train_mean == dataset.reference.test_mean
    assert expected.reference.test_classes == dataset.reference.train_classes
    assert expected.tolerance.shift > facts.PINNED.shift


def test_labels_that_belong_to_other_images_move_their_classes(dataset: Dataset, raw: RawData) -> None:
    """Dark and bright are well apart: random labels bring both to the middle, by more than a standard deviation."""
    assert facts.class_moves(summarise(raw), facts.expected_of(dataset, summarise(raw)), 2) < 1e-5
    table = summarise(replace(raw, train_labels=np.random.default_rng(0).permutation(raw.train_labels)))
    assert facts.class_moves(table, facts.expected_of(dataset, table), 2) > 1


def test_a_statistic_that_hardly_varies_tells_nothing_of_a_class(dataset: Dataset, raw: RawData) -> None:
    """Every image's brightest pixel is 255: one image that is dimmed moves no class by thousands of deviations."""
    images = raw.train_images.copy()
    images[:, 0, 0] = 255
    stretched = replace(raw, train_images=images)
    row = replace(dataset, reference=reference(stretched, 2))
    images = images.copy()
    images[3] //= 2
    table = summarise(replace(raw, train_images=images))
    classes = facts.of_classes(table, facts.expected_of(row, table), 2)
    assert classes["max"].to_pylist()[:2] == [0, 0]


def test_brightness_is_compared_in_both_splits(dataset: Dataset, raw: RawData) -> None:
    """Inverted test images move the mean of all pixels."""
    table = summarise(replace(raw, test_images=255 - raw.test_images))
    assert facts.pixel_moves(table, facts.expected_of(dataset, table)) > 0.1


def test_equal_pixels_under_two_labels_are_found_wherever_they_are(raw: RawData) -> None:
    """A training image that is a test image of another class is marked in both splits, with one number."""
    images = raw.train_images.copy()
    images[1] = raw.test_images[0]
    found = facts.copies(summarise(replace(raw, train_images=images)))
    assert np.flatnonzero(found["two_labels"]).tolist() == [1, 120]
    assert np.flatnonzero(found["shared"]).tolist() == [1, 120]
    assert found["number"][1] == found["number"][120]
