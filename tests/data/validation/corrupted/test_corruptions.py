"""Corruptions corrupt what they say, and their summaries are what a fresh look would give."""

from dataclasses import fields

import numpy as np
import pytest

from data.builtin import DATASETS
from data.dataset import RawData
from data.home.store import Store
from data.sources.source import download, read_raw
from data.statistics.summary import summarise
from data.validation.corrupted.corruptions import CORRUPTIONS, Corruption, summarise_again

SAMPLE = DATASETS["mnist-sample"]
EACH = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=[corruption.name for corruption in CORRUPTIONS])


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> RawData:
    """The bundled sample, made read-only."""
    store = Store(tmp_path_factory.mktemp("raw") / "home")
    data = read_raw(store, SAMPLE, download(store, SAMPLE))
    for field in fields(data):
        getattr(data, field.name).flags.writeable = False
    return data


def same(one: RawData, other: RawData) -> bool:
    """Whether all four arrays are equal."""
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))


@EACH
def test_a_corruption_changes_something_and_always_the_same(raw: RawData, corruption: Corruption) -> None:
    """The genuine arrays are read-only here, so that a corruption of them in place would fail."""
    assert not same(corruption.apply(raw), raw)
    assert same(corruption.apply(raw), corruption.apply(raw))


@EACH
def test_looking_at_what_changed_is_as_good_as_looking_at_all(raw: RawData, corruption: Corruption) -> None:
    """The quick summary of a corrupted copy equals the thorough one, row by row."""
    corrupted = corruption.apply(raw)
    assert summarise_again(raw, corrupted, summarise(raw)).equals(summarise(corrupted))


def test_rows_in_another_order_are_summarised_right(raw: RawData) -> None:
    """Also when nearly every image moved and some are missing, no statistic of the old place is kept."""
    order = np.random.default_rng(0).permutation(len(raw.train_images))[:-100]
    moved = RawData(raw.train_images[order], raw.train_labels[order], raw.test_images, raw.test_labels)
    assert summarise_again(raw, moved, summarise(raw)).equals(summarise(moved))


def test_names_are_unique() -> None:
    """The catch table has one row per name."""
    assert len({corruption.name for corruption in CORRUPTIONS}) == len(CORRUPTIONS)


def test_counts_are_kept_where_that_is_the_point(raw: RawData) -> None:
    """Permuted labels keep every class's number, so that counting alone cannot notice them."""
    for name in ("labels permuted", "labels shifted", "10 % labels permuted", "1 % labels permuted"):
        corrupted = next(corruption for corruption in CORRUPTIONS if corruption.name == name).apply(raw)
        assert np.array_equal(np.bincount(corrupted.train_labels), np.bincount(raw.train_labels))
