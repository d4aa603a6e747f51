"""Genuine data passes, damaged data does not, and a broken validator is neither."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data.builtin import DATASETS
from data.dataset import Dataset, RawData, RawRef
from data.errors import Broken, DataRefused
from data.home.store import Store
from data.sources.source import download, read_raw
from data.statistics.image_statistics import NUMERIC
from data.statistics.summary import reference, summarise
from data.validation import expectations
from data.validation.corrupted.corruptions import CORRUPTIONS, Corruption
from data.validation.engine import Engine
from data.validation.expectations import catch_table, check, validate
from data.validation.results import MAX_ROWS, Catch, as_markdown
from data.validation.suites import COLUMNS

pytestmark = pytest.mark.slow

SAMPLE = DATASETS["mnist-sample"]
UNPINNED = replace(SAMPLE, reference=None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RawRef]:
    """A home that holds the bundled sample."""
    store = Store(tmp_path_factory.mktemp("raw") / "home")
    return store, download(store, SAMPLE)


@pytest.fixture(scope="module")
def raw(home: tuple[Store, RawRef]) -> RawData:
    """The bundled sample."""
    return read_raw(home[0], SAMPLE, home[1])


@pytest.fixture(scope="module")
def table(raw: RawData) -> pa.Table:
    """Its summary."""
    return summarise(raw)


@pytest.fixture(scope="module")
def catches(raw: RawData, table: pa.Table) -> dict[str, Catch]:
    """Its catch table by name."""
    return {catch.corruption: catch for catch in catch_table(SAMPLE, raw, table)}


def column(table: pa.Table, name: str, values: Any) -> pa.Table:
    """Return the table with other values in a column."""
    at = table.schema.get_field_index(name)
    return table.set_column(at, name, pa.array(values, table.schema.field(name).type))


def failed(table: pa.Table, dataset: Dataset = SAMPLE) -> set[str]:
    """Return the subjects of what failed, and insist that something did."""
    result = validate(dataset, table)
    assert not result.success
    assert result.failures
    return {failure.subject for failure in result.failures}


# -- genuine data --------------------------------------------------------------------------------------------------


def test_the_sample_meets_what_is_pinned(table: pa.Table) -> None:
    """Every suite was run, with dozens of expectations, and none failed."""
    result = validate(SAMPLE, table)
    assert result.success, result.failures
    assert result.checks > 50
    assert set(result.details) == {"table", "train", "test", "classes", "rules"}
    assert result.notes == ()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_official_files_meet_what_is_pinned(name: str, mirror: Path, store: Store) -> None:
    """Tolerances that refuse genuine files would stop every night."""
    dataset = DATASETS[name]
    genuine = summarise(read_raw(store, dataset, download(store, dataset, (str(mirror),))))
    result = validate(dataset, genuine)
    assert result.success, result.failures
    assert validate(replace(dataset, reference=None), genuine).success


# -- damaged tables (F-32) -----------------------------------------------------------------------------------------


@pytest.mark.fault("F-32")
def test_an_empty_table_fails(table: pa.Table) -> None:
    """Nothing to complain about is not the same as nothing wrong."""
    assert "table" in failed(table.slice(0, 0))


def test_an_empty_split_fails(table: pa.Table, raw: RawData) -> None:
    """All of train and none of test is not a dataset, pinned or not."""
    train = table.slice(0, len(raw.train_images))
    assert "table.split" in failed(train)
    assert "table.split" in failed(train, UNPINNED)


@pytest.mark.fault("F-32")
@pytest.mark.parametrize("name", list(COLUMNS))
def test_a_column_without_values_fails(table: pa.Table, name: str) -> None:
    """A column of nulls, or of NaN, fails by its name."""
    assert f"table.{name}" in failed(column(table, name, [None] * len(table)))
    if name in NUMERIC:
        assert f"table.{name}" in failed(column(table, name, [float("nan")] * len(table)))


@pytest.mark.fault("F-32")
def test_a_single_nan_fails(table: pa.Table) -> None:
    """One image without a mean is one too many."""
    assert "table.mean" in failed(column(table, "mean", [float("nan"), *table["mean"].to_pylist()[1:]]))


def test_infinite_values_fail(table: pa.Table) -> None:
    """Infinity is inside no band."""
    assert "train.std" in failed(column(table, "std", [float("inf")] * len(table)))


@pytest.mark.fault("F-32")
def test_a_missing_added_or_retyped_column_fails(table: pa.Table) -> None:
    """The Arrow schema is compared before anything looks at values."""
    assert failed(table.drop_columns(["mean"])) == {"table.mean"}
    assert failed(table.append_column("extra", table["mean"])) == {"table.extra"}
    assert failed(table.set_column(2, "label", table["label"].cast(pa.float64()))) == {"table.label"}


def test_repeated_rows_fail(table: pa.Table) -> None:
    """A row number that occurs twice is noticed even if the number of rows is right."""
    assert "train.row" in failed(column(table, "row", [1, *table["row"].to_pylist()[1:]]))


def test_at_most_twenty_offending_rows_are_named(table: pa.Table) -> None:
    """The right rows are shown, the first ones, and no more than can be read."""
    labels = table["label"].to_numpy().copy()
    labels[100:150] = 77
    (failure,) = validate(SAMPLE, column(table, "label", labels)).failures
    assert len(failure.rows) == MAX_ROWS
    assert failure.rows[0] == {"split": "train", "row": 100, "label": 77}
    assert "train row 100, train row 101" in failure.where()


# -- corrupted data (F-30, F-31) -----------------------------------------------------------------------------------


@pytest.mark.fault("F-30", "F-31")
@pytest.mark.parametrize("name", [corruption.name for corruption in CORRUPTIONS if corruption.name[:3] != "1 %"])
def test_each_corruption_is_caught(catches: dict[str, Catch], name: str) -> None:
    """The suite refuses every corrupted copy and says by which expectation."""
    assert catches[name].caught
    assert catches[name].by
    assert catches[name].expected


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("labels permuted", "classes.mean"),
        ("labels shifted", "classes.mean"),
        ("one label for all", "classes.share"),
        ("label out of range", "table.label"),
        ("a class missing", "classes.share"),
        ("truncated split", "table"),
        ("duplicated images", "train.repeated"),
        ("test leaked into train", "test.shared"),
    ],
)
def test_a_corruption_is_caught_for_the_right_reason(catches: dict[str, Catch], name: str, subject: str) -> None:
    """What fails is what was damaged."""
    assert subject in {by.split(":")[0] for by in catches[name].by}


@pytest.mark.fault("F-30")
def test_one_percent_of_wrong_labels_is_left_to_the_metric_gate(catches: dict[str, Catch]) -> None:
    """Statistics cannot see it, the table says so, and that is no failure of the self-test."""
    catch = catches["1 % labels permuted"]
    assert not catch.caught
    assert not catch.expected
    assert catch.ok
    assert "left to the metric gate" in as_markdown("x", validate(SAMPLE, pa.table({})), (catch,))


def test_without_pinned_statistics_the_splits_vouch_for_each_other(raw: RawData, table: pa.Table) -> None:
    """KMNIST's case: genuine data passes with a note, and permuted labels are still caught."""
    widely = {catch.corruption: catch for catch in catch_table(UNPINNED, raw, table)}
    assert widely["labels permuted"].caught
    assert widely["labels shifted"].caught
    assert widely["pixels inverted"].caught
    assert "no statistics of the genuine images are pinned" in validate(UNPINNED, table).notes[0]


def test_images_that_say_nothing_about_their_labels_are_not_held_against_the_suite() -> None:
    """In pure noise wrong labels are hardly visible: the catch table says so instead of stopping the night."""
    rng = np.random.default_rng(0)
    n = 1500
    noise = RawData(
        rng.integers(0, 256, (n, 6, 6), np.uint8),
        rng.integers(0, 2, n),
        rng.integers(0, 256, (n, 6, 6), np.uint8),
        rng.integers(0, 2, n),
    )
    dataset = replace(
        SAMPLE, height=6, width=6, n_train=n, n_test=n, class_names=("a", "b"), reference=reference(noise, 2)
    )
    assert validate(dataset, summarise(noise)).success
    caught = {catch.corruption: catch for catch in catch_table(dataset, noise)}
    assert not caught["1 % labels permuted"].expected
    assert all(catch.ok for catch in caught.values()), [catch for catch in caught.values() if not catch.ok]


@pytest.mark.parametrize("kind", ["thin", "one class", "sorted"])
def test_an_odd_dataset_of_a_user_is_not_held_against_the_suite(kind: str) -> None:
    """Tiny, thin, sorted or one-sided: it meets what was pinned, and what cannot be seen is not demanded."""
    rng = np.random.default_rng(1)
    shape = (1, 9) if kind == "thin" else (5, 4)
    labels = {"one class": np.zeros(40, np.int64), "sorted": np.sort(np.arange(40) % 3)}.get(kind, np.arange(40) % 3)
    images = rng.integers(0, 256, (60, *shape), np.uint8)
    odd = RawData(images[:40], labels, images[40:], labels[:20])
    row = replace(SAMPLE, height=shape[0], width=shape[1], n_train=40, n_test=20, class_names=("a", "b", "c"))
    row = replace(row, reference=reference(odd, 3))
    assert validate(row, summarise(odd)).success
    assert all(catch.ok for catch in catch_table(row, odd))


# -- a broken validator (F-33) -------------------------------------------------------------------------------------


def test_an_exception_in_one_expectation_is_not_a_verdict(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Great Expectations swallows into exception_info comes out as Broken, never as refused or passed."""
    from great_expectations import expectations as gxe

    def boom(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(gxe.ExpectColumnValuesToBeUnique, "_validate", boom)
    with pytest.raises(Broken, match="boom") as broken:
        validate(SAMPLE, table)
    assert not isinstance(broken.value, DataRefused)


@pytest.mark.fault("F-33")
def test_an_exception_in_great_expectations_is_not_a_verdict(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that raises is Broken, too."""
    import great_expectations as gx

    def boom(*_: object, **__: object) -> None:
        raise RuntimeError("context lost")

    monkeypatch.setattr(gx, "get_context", boom)
    with pytest.raises(Broken, match="context lost"):
        validate(SAMPLE, table)


@pytest.mark.fault("F-33")
def test_a_missing_library_is_not_a_verdict(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Great Expectations data is neither accepted nor refused, and the message says what to do."""
    monkeypatch.setitem(sys.modules, "great_expectations", None)
    with pytest.raises(Broken, match="make setup"):
        validate(SAMPLE, table)


def test_lost_results_are_not_a_verdict(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """If expectations vanish on the way, the rest does not count as all."""
    original: Callable[..., Any] = Engine._run

    def lossy(self: Any, *arguments: Any) -> Any:
        result = original(self, *arguments)
        del result.results[0]
        return result

    monkeypatch.setattr(Engine, "_run", lossy)
    with pytest.raises(Broken, match="gave"):
        validate(SAMPLE, table)


# -- what is kept --------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test the suite against one corruption only, for speed."""
    monkeypatch.setattr(expectations, "CORRUPTIONS", CORRUPTIONS[:1])


@pytest.mark.usefixtures("quick")
def test_the_result_is_kept_and_used_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Result, page, and Data Docs lie under the content address; the second night does not even look at the data."""
    raw_ref = download(store, SAMPLE)
    ref = check(store, SAMPLE, raw_ref)
    folder = store.validation(ref.digest)
    assert json.loads((folder / "result.json").read_text())["success"] is True
    assert "MNIST" in (folder / "validation.md").read_text()
    assert (folder / "data-docs" / "index.html").is_file()
    assert store.meta(folder)["catches"][0]["caught"] is True
    assert store.meta(folder)["raw"] == raw_ref.digest
    monkeypatch.setattr(expectations, "read_raw", lambda *_: pytest.fail("read again"))
    assert check(store, SAMPLE, raw_ref) == ref


@pytest.mark.usefixtures("quick")
def test_a_damaged_result_is_made_anew(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A forged or rotten result is not believed."""
    raw_ref = download(store, SAMPLE)
    ref = check(store, SAMPLE, raw_ref)
    (store.validation(ref.digest) / "result.json").write_text("{}")
    with caplog.at_level(logging.WARNING):
        assert check(store, SAMPLE, raw_ref) == ref
    assert "result.json has changed" in caplog.text
    store.verify(store.validation(ref.digest))


@pytest.mark.usefixtures("quick")
def test_data_that_is_not_as_expected_is_refused_each_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names expectations, values and rows; the result is kept; the next night refuses from memory."""
    assert SAMPLE.reference
    other = replace(SAMPLE.reference, train_counts=SAMPLE.reference.train_counts[::-1])
    strict = replace(SAMPLE, reference=other)
    raw_ref = download(store, SAMPLE)
    with pytest.raises(DataRefused) as refused:
        check(store, strict, raw_ref)
    message = str(refused.value)
    assert "classes.share: expect_column_values_to_be_between: expected -0.02 to 0.02, got" in message
    assert "train class 1" in message
    assert "validation.md" in message
    assert "**refused**" in next(store.root.glob("validations/*/validation.md")).read_text()
    monkeypatch.setattr(expectations, "read_raw", lambda *_: pytest.fail("read again"))
    with pytest.raises(DataRefused) as again:
        check(store, strict, raw_ref)
    assert str(again.value) == message


@pytest.mark.fault("F-31")
def test_a_suite_that_misses_a_corruption_stops_the_night(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A validator that lets damage through is broken; nothing is published that could be used again."""

    def touch(raw: RawData) -> RawData:
        images = raw.train_images.copy()
        images[0, 14, 14] ^= 1
        return replace(raw, train_images=images)

    monkeypatch.setattr(expectations, "CORRUPTIONS", (Corruption("a single bit", "one grey value by one", touch),))
    with pytest.raises(Broken, match="did not catch corrupted data in its self-test: a single bit"):
        check(store, SAMPLE, download(store, SAMPLE))
    assert not list(store.root.glob("validations/*"))
