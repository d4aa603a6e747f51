"""Large data is tested on a sample that is data of the same kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.builtin import DATASETS
from data.dataset import RawData
from data.home.store import Store
from data.sources.source import download, read_raw
from data.statistics.summary import reference, summarise
from data.validation import expectations
from data.validation.corrupted import sampling
from data.validation.corrupted.corruptions import CORRUPTIONS
from data.validation.corrupted.sampling import sample_of
from data.validation.results import ValidationResult, as_markdown

SAMPLE = DATASETS["mnist-sample"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> RawData:
    """The bundled sample."""
    store = Store(tmp_path_factory.mktemp("raw") / "home")
    return read_raw(store, SAMPLE, download(store, SAMPLE))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call everything above 1,000 images large."""
    monkeypatch.setattr(sampling, "WHOLE", 1000)
    monkeypatch.setattr(sampling, "MOST", {"train": 700, "test": 300})


@pytest.mark.usefixtures("small")
def test_a_sample_is_a_dataset_whose_summary_and_statistics_are_its_own(raw: RawData) -> None:
    """What was taken from the whole summary is what its images give; the same images each time."""
    row, some, table = sample_of(SAMPLE, raw, summarise(raw))
    assert (row.n_train, row.n_test, len(table)) == (700, 300, 1000)
    assert table.equals(summarise(some))
    assert row.reference == reference(some, row.n_classes)
    assert sample_of(SAMPLE, raw, summarise(raw))[2].equals(table)


@pytest.mark.usefixtures("small")
def test_a_sample_in_files_is_the_one_in_memory(tmp_path: Path, raw: RawData) -> None:
    """The files have no names, and the images are the same."""
    kept = sample_of(SAMPLE, raw, summarise(raw), tmp_path)[1]
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(kept.train_images, sample_of(SAMPLE, raw, summarise(raw))[1].train_images)


@pytest.mark.usefixtures("small")
def test_of_large_images_a_sample_has_fewer(raw: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written for the self-test is bounded in bytes, too."""
    monkeypatch.setattr(sampling, "MOST_BYTES", 500 * 28 * 28)
    row, _, _ = sample_of(SAMPLE, raw, summarise(raw))
    assert (row.n_train, row.n_test) == (350, 150)


def test_data_that_is_not_large_is_used_whole(raw: RawData) -> None:
    """MNIST's 70,000 images, and the bundled sample's, stay what they are."""
    table = summarise(raw)
    assert sample_of(SAMPLE, raw, table) == (SAMPLE, raw, table)


@pytest.mark.usefixtures("small")
def test_statistics_that_were_not_pinned_are_not_pinned_for_the_sample(raw: RawData) -> None:
    """The splits of the sample are compared with each other, as those of the whole are."""
    assert sample_of(replace(SAMPLE, reference=None), raw, summarise(raw))[0].reference is None


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_every_corruption_of_a_sample_is_caught_and_the_page_says_that_it_is_one(raw: RawData) -> None:
    """As on the whole data, but for the 1 % of wrong labels that statistics hardly see."""
    catches = expectations.catch_table(SAMPLE, raw)
    assert len(catches) == len(CORRUPTIONS)
    assert {catch.sampled for catch in catches} == {1000}
    assert all(catch.caught for catch in catches if not catch.corruption.startswith("1 %"))
    page = as_markdown("x", ValidationResult(True, 60, ()), catches)
    assert "Copies of 1,000 images, drawn at random." in page


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_sample_that_would_be_refused_shows_nothing(raw: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every copy of it would be refused, whatever the suites notice: then all images are used."""
    monkeypatch.setattr(expectations, "CORRUPTIONS", CORRUPTIONS[:1])
    monkeypatch.setattr(sampling, "_pinned", lambda row, _table: replace(row.reference, train_mean=0.9))
    (catch,) = expectations.catch_table(SAMPLE, raw)
    assert catch.sampled == 0
    assert catch.caught


@pytest.mark.slow
def test_what_is_kept_is_the_same_from_files_and_from_memory(tmp_path: Path, raw: RawData) -> None:
    """A summary whose columns lie in files gives the verdict that one in memory gives."""
    table = summarise(raw, scratch=tmp_path)
    assert table.equals(summarise(raw))
    assert vars(expectations.validate(SAMPLE, table))["failures"] == ()
