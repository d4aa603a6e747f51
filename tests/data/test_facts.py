"""Splits and classes are compared with what is known of them, in units that mean the same everywhere."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from data import facts
from data.builtin import DATASETS
from data.dataset import Dataset, RawData
from data.summary import NUMERIC, reference, summarise

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
    classes = facts.of_classes(facts.of_images(table), facts.expected_of(dataset, table), 2)
    assert classes["images"].to_pylist() == [60] * 4
    for name in ("share", *NUMERIC):
        assert np.abs(classes[name].to_numpy()).max() < 1e-5


def test_a_class_that_grows_shows_by_how_much(dataset: Dataset, raw: RawData) -> None:
    """Half of one class under the other's name is -50 % and +50 %."""
    labels = raw.train_labels.copy()
    labels[:60] = 1
    table = summarise(replace(raw, train_labels=labels))
    classes = facts.of_classes(facts.of_images(table), facts.expected_of(dataset, table), 2)
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


def test_the_signal_of_the_classes_is_what_labels_can_lose(dataset: Dataset, raw: RawData) -> None:
    """Dark and bright are well apart; the same images under random labels are not."""
    assert dataset.reference
    assert facts.class_signal(dataset.reference, "train") > 1
    shuffled = replace(raw, train_labels=np.random.default_rng(0).permutation(raw.train_labels))
    assert facts.class_signal(reference(shuffled, 2), "train") < 0.5
