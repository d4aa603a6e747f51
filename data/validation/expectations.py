"""Check that the data looks like the known data, with Great Expectations, which only this module imports.

Five suites, written in Python so that they are reviewed like code: `table` (columns, rows, nothing empty), `train` and
`test` (one row per image), `classes` (one row per split and class, across splits), and `rules` (a column per rule that
holds whatever was pinned). What is expected, and why these tolerances: docs/decisions/0003-validation.md and 0016.
Great Expectations is imported inside functions: it takes 7 s.
"""

import contextlib
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.dataset import Dataset, RawData, RawRef
from data.errors import Broken, DataRefused
from data.home.store import Store
from data.inspection.contact_sheet import SHEET, contact_sheet
from data.inspection.findings import measures
from data.inspection.rules import Measured
from data.sources.source import read_raw
from data.statistics import facts
from data.statistics.summary import COLOUR, NUMERIC, numeric, summarise
from data.validation.corruptions import CORRUPTIONS, Copy, summarise_again
from data.validation.results import MAX_ROWS, Catch, Failure, ValidationRef, ValidationResult, as_markdown, read
from data.values import canonical_json, digest_of, plain

SUITE = 2  # raise it when a change may give another result for the same data
COLUMNS = {
    "split": pa.string(),
    "row": pa.int64(),
    "label": pa.int64(),
    **dict.fromkeys(NUMERIC, pa.float64()),
    "sha256": pa.binary(32),
}
IN_COLOUR = {**COLUMNS, **dict.fromkeys(COLOUR, pa.float64())}
_ONE_AT_A_TIME = threading.Lock()  # Great Expectations' context is global to the process


def check(store: Store, dataset: Dataset, raw_ref: RawRef) -> ValidationRef:
    """Validate the raw data, test the suite on corrupted copies, and keep the result.

    An earlier result for the same data, expectations and suite is used again if it is undamaged.

    Args:
        store: where the raw data lies and the result goes.
        dataset: the row with the expected shapes and statistics.
        raw_ref: the data, as `data.sources.source.download` returned it.

    Raises:
        DataRefused: the data failed; the message names expectations, values and rows, and where the result is kept.
        Broken: Great Expectations failed, or the suite did not catch a corruption that it should have caught.
        Corrupt: the raw data changed since it was downloaded.
        StorageFailed: the home cannot be written.
    """
    address = {
        "suite": SUITE,
        "great_expectations": version("great-expectations"),
        "dataset": asdict(dataset),
        "raw": raw_ref.digest,
    }
    ref = ValidationRef(dataset.name, digest_of(address))
    folder = store.validation(ref.digest)
    if store.intact(folder) is None:
        raw = read_raw(store, dataset, raw_ref)
        table = summarise(raw, dataset.ground)
        with store.publish(folder) as draft:
            result = validate(dataset, table, draft.path / "data-docs", raw)
            contact_sheet(draft.path / SHEET, dataset, raw)
            catches = catch_table(dataset, raw, table) if result.success else ()
            _require_caught(dataset, catches)
            found = plain({**vars(result), "catches": catches})
            (draft.path / "result.json").write_bytes(canonical_json(found))
            (draft.path / "validation.md").write_text(as_markdown(dataset.title, result, catches), encoding="utf-8")
            draft.meta.update({key: value for key, value in found.items() if key != "details"})
            draft.meta.update(dataset=dataset.name, raw=raw_ref.digest)
    kept, _ = read(store, ref.digest)
    if not kept.success:
        raise _refusal(dataset, kept, folder)
    return ref


def validate(
    dataset: Dataset, table: pa.Table, docs: Path | None = None, raw: RawData | None = None
) -> ValidationResult:
    """Compare a summary table with the statistics of the dataset.

    Args:
        dataset: the row with the expected shapes and statistics.
        table: as `data.statistics.summary.summarise` returned it.
        docs: folder to write the Data Docs to; it must not exist. None for no docs.
        raw: the images; without them the splits are compared by their statistics only.

    Returns:
        The result; a failure if the table is empty or malformed, or a column is empty.

    Raises:
        Broken: Great Expectations failed; the data was neither accepted nor refused.
    """
    malformed = _malformed(dataset, table)
    if malformed:
        return ValidationResult(False, 1, malformed)
    with _ONE_AT_A_TIME, _errors_of_the_library():
        suites = _Suites(dataset, documented=docs is not None)
        result = suites.judge(table, raw)
        if docs:
            suites.write_docs(docs)
    return result


UNPINNED = (
    "no statistics of the genuine images are pinned: training and test images were compared with each other, "
    "with wide tolerances"
)


def catch_table(dataset: Dataset, raw: RawData, table: pa.Table | None = None) -> tuple[Catch, ...]:
    """Run the suite on corrupted copies of the data, and record which it catches.

    Args:
        dataset: the row with the expected shapes and statistics.
        raw: genuine data.
        table: its summary; computed if not given.

    Returns:
        One catch per corruption; `by` lists the failures of the first suite that refused it.

    Raises:
        Broken: Great Expectations failed.
    """
    table = summarise(raw, dataset.ground) if table is None else table
    caught = []
    with _ONE_AT_A_TIME, _errors_of_the_library():
        suites = _Suites(dataset)
        for corruption in CORRUPTIONS:
            corrupted = corruption.apply(raw)
            again = summarise_again(raw, corrupted, table, dataset.ground)
            failures = suites.judge(again, corrupted, until_one_fails=True).failures
            by = tuple(f"{failure.subject}: {failure.expectation}" for failure in failures)
            visible = bool(failures) or (
                not again.equals(table)  # permuting equal labels, for example, changes nothing
                and corruption.visible(Copy(dataset, facts.expected_of(dataset, table), again))
            )
            caught.append(Catch(corruption.name, corruption.what, bool(failures), by, visible))
    return tuple(caught)


def columns(dataset: Dataset) -> dict[str, pa.DataType]:
    """Return the columns of the dataset's summary table, and their types."""
    return COLUMNS if dataset.channels == 1 else IN_COLOUR


# -- the suites ---------------------------------------------------------------------------------------------------


def _table_suite(dataset: Dataset) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectTableRowCountToEqual(value=dataset.n_train + dataset.n_test),
        gxe.ExpectTableColumnsToMatchSet(column_set=list(columns(dataset)), exact_match=True),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in columns(dataset)),
        gxe.ExpectColumnValuesToBeInSet(column="split", value_set=list(facts.SPLITS)),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="split", min_value=2, max_value=2),
        gxe.ExpectColumnValuesToBeInSet(column="label", value_set=list(range(dataset.n_classes))),
    ]


def _split_suite(dataset: Dataset, expected: facts.Expected, split: str) -> list[Any]:
    from great_expectations import expectations as gxe

    n = dataset.n_train if split == "train" else dataset.n_test
    reference, tolerance = expected.reference, expected.tolerance
    mean, std = getattr(reference, f"{split}_mean"), getattr(reference, f"{split}_std")
    bands = getattr(reference, f"{split}_bands")
    suite = [
        gxe.ExpectTableRowCountToEqual(value=n),
        gxe.ExpectColumnValuesToBeUnique(column="row"),
        gxe.ExpectColumnValuesToBeBetween(column="row", min_value=0, max_value=n - 1),
        gxe.ExpectColumnSumToBeBetween(column="repeated", max_value=getattr(reference, f"{split}_duplicates")),
        *(
            _near(gxe, column, value, tolerance.pixels)
            for column, value in (("mean", mean), ("square", mean**2 + std**2))
        ),
    ]
    if split == "test":
        suite.append(gxe.ExpectColumnSumToBeBetween(column="shared", max_value=reference.shared))
    for name, (_, low, high) in bands.items():
        inside = 1 - tolerance.outside
        suite.append(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, mostly=inside))
    return suite


def _classes_suite(expected: facts.Expected, names: Sequence[str]) -> list[Any]:
    from great_expectations import expectations as gxe

    share, shift = expected.tolerance.share, expected.tolerance.shift
    return [
        gxe.ExpectColumnValuesToBeBetween(column="share", min_value=-share, max_value=share),
        *(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-shift, max_value=shift) for name in names),
    ]


def _rules_suite(found: Sequence[Measured]) -> list[Any]:
    from great_expectations import expectations as gxe

    return [gxe.ExpectColumnValuesToBeBetween(column=one.rule, max_value=one.allowed) for one in found]


def _near(gxe: Any, column: str, value: float, tolerance: float) -> Any:
    return gxe.ExpectColumnMeanToBeBetween(column=column, min_value=value - tolerance, max_value=value + tolerance)


# -- running them -------------------------------------------------------------------------------------------------


class _Suites:
    """The suites of one dataset in one ephemeral context: nothing on disk."""

    def __init__(self, dataset: Dataset, *, documented: bool = False) -> None:
        import great_expectations as gx

        self.dataset, self.documented = dataset, documented
        self.context = gx.get_context(mode="ephemeral")
        self.context.variables.progress_bars = {"globally": False}
        self.source = self.context.data_sources.add_pandas("nightshift")

    def judge(self, table: pa.Table, raw: RawData | None = None, *, until_one_fails: bool = False) -> ValidationResult:
        """Run the suites on a well-formed table, all of them or as far as the first that fails."""
        checks, failures, details = 0, list[Failure](), dict[str, Any]()
        notes = [UNPINNED] if self.dataset.reference is None else []
        for name, frame, expectations, sentences in self._parts(table, raw, notes):
            result = self._run(name, frame, expectations)
            if len(result.results) != len(expectations):
                raise RuntimeError(f"{len(expectations)} expectations gave {len(result.results)} results")
            checks += len(result.results)
            failures += [_failure(name, frame, one, sentences) for one in result.results if not _met(one)]
            if not until_one_fails:
                details[name] = result.to_json_dict()
            if failures and (until_one_fails or name == "table"):
                break  # a malformed table cannot be compared with anything
        return ValidationResult(checks > 0 and not failures, checks, tuple(failures), tuple(notes), details)

    def _parts(
        self, table: pa.Table, raw: RawData | None, notes: list[str]
    ) -> Iterator[tuple[str, Any, list[Any], dict[str, str]]]:
        """Yield each suite's name, the frame it looks at, its expectations, and sentences for what fails.

        Nothing is computed too early, and only one frame is in memory at a time.
        """
        yield "table", _frame(table), _table_suite(self.dataset), {}
        expected, names = facts.expected_of(self.dataset, table), numeric(table)
        classes = facts.of_classes(table, expected, self.dataset.n_classes).to_pandas()
        yield "classes", classes, _classes_suite(expected, names), {}
        parts = facts.of_images(table)
        for split in facts.SPLITS:
            yield split, parts.pop(split).to_pandas(), _split_suite(self.dataset, expected, split), {}
        found = measures(self.dataset, table, raw)
        demanded = [one for one in found if one.nightly and math.isfinite(one.allowed)]
        told = [one for one in found if one.found > one.notable and not (one in demanded and one.found > one.allowed)]
        notes += [one.sentence for one in told]
        frame = pa.table({one.rule: [float(one.found)] for one in demanded}).to_pandas()
        yield "rules", frame, _rules_suite(demanded), {one.rule: one.sentence for one in demanded}

    def _run(self, name: str, frame: Any, expectations: list[Any]) -> Any:
        import great_expectations as gx

        suite = gx.ExpectationSuite(name, expectations=expectations)
        if name in (asset.name for asset in self.source.assets):
            batch = self.source.get_asset(name).get_batch_definition("tonight")
        else:
            batch = self.source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("tonight")
        if not self.documented:  # storing results for the Data Docs takes half of the time
            return batch.get_batch({"dataframe": frame}).validate(suite, result_format="BASIC")
        definition = gx.ValidationDefinition(name=name, data=batch, suite=self.context.suites.add(suite))
        definition = self.context.validation_definitions.add(definition)
        return definition.run(batch_parameters={"dataframe": frame}, result_format="BASIC")

    def write_docs(self, folder: Path) -> None:
        """Render the results as Data Docs."""
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.absolute())}
        index = {"class_name": "DefaultSiteIndexBuilder"}
        site = {"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": backend}
        self.context.add_data_docs_site(site_name="kept", site_config=site)
        self.context.build_data_docs(site_names=["kept"])


def _met(result: Any) -> bool:
    raised = _raised(result.exception_info)
    if raised:
        raise RuntimeError(f"{result.expectation_config.type}: {raised}")
    return bool(result.success)


def _raised(info: Any) -> str:
    """Return the first exception's message in an exception_info, which may nest one per metric."""
    if not isinstance(info, dict):
        return ""
    if info.get("raised_exception"):
        return str(info.get("exception_message") or "an exception without a message")
    return next(filter(None, map(_raised, info.values())), "")


@contextlib.contextmanager
def _errors_of_the_library() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise  # the Data Docs could not be written: the store reports that
    except Exception as error:  # whatever it is, it is no verdict on the data
        logging.getLogger(__name__).debug("Great Expectations failed", exc_info=True)
        raise Broken(
            f"Great Expectations {_version()} failed while checking the data: {type(error).__name__}: {error}",
            "the data was neither accepted nor refused; is the installation complete? 'make setup' repairs it",
        ) from error


def _version() -> str:
    try:
        return version("great-expectations")
    except ImportError:
        return "(not installed)"


# -- failures -----------------------------------------------------------------------------------------------------


def _frame(table: pa.Table) -> Any:
    """Return a summary as a pandas frame; of a hash only whether it is there, as each would take 90 bytes."""
    there = np.where(pc.is_valid(table["sha256"]).to_numpy(), 1.0, np.nan)
    return table.set_column(table.schema.get_field_index("sha256"), "sha256", pa.array(there)).to_pandas()


def _malformed(dataset: Dataset, table: pa.Table) -> tuple[Failure, ...]:
    found, wanted = {field.name: field.type for field in table.schema}, columns(dataset)
    wrong = {name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)}
    return tuple(
        Failure(
            "arrow_schema", f"table.{name}", str(wanted.get(name, "no such column")), str(found.get(name, "nothing"))
        )
        for name in sorted(wrong)
    )


def _failure(suite: str, frame: Any, result: Any, sentences: dict[str, str]) -> Failure:
    kind, kwargs = result.expectation_config.type, result.expectation_config.kwargs
    column = kwargs.get("column")
    return Failure(
        expectation=kind,
        subject=f"{suite}.{column}" if column else suite,
        expected=_wanted(kind, kwargs),
        observed=sentences.get(column, _observed(result.result)) if column else _observed(result.result),
        rows=_rows(kind, kwargs, frame),
    )


def _wanted(kind: str, kwargs: dict[str, Any]) -> str:
    if "value_set" in kwargs:
        values = [str(value) for value in kwargs["value_set"]]
        return f"one of {', '.join(values)}" if len(values) <= 10 else f"one of {values[0]} ... {values[-1]}"
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        return str(kwargs.get("value", kwargs.get("column_set", kind.removeprefix("expect_").replace("_", " "))))
    bounds = f"at most {high:.6g}" if low is None else f"{low:.6g} to {high:.6g}"
    return f"{bounds} in at least {kwargs['mostly']:.1%} of the rows" if kwargs.get("mostly", 1) != 1 else bounds


def _observed(result: dict[str, Any]) -> str:
    if result.get("observed_value") is not None:
        value = result["observed_value"]
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    examples = ", ".join(str(value)[:12] for value in result.get("partial_unexpected_list", [])[:5])
    return f"{result.get('unexpected_count')} of {result.get('element_count')} rows differ: {examples}"


def _rows(kind: str, kwargs: dict[str, Any], frame: Any) -> tuple[dict[str, Any], ...]:
    """Return the failing rows, by column; Great Expectations returns their values, but not their row numbers."""
    column = kwargs.get("column")
    if column is None or "split" not in frame.columns:
        return ()
    values = frame[column]
    failing = {
        "expect_column_values_to_not_be_null": values.isna,
        "expect_column_values_to_be_unique": lambda: values.duplicated(keep=False),
        "expect_column_values_to_be_in_set": lambda: ~values.isin(kwargs["value_set"]),
        "expect_column_values_to_be_between": lambda: ~values.between(*_bounds(kwargs)),
        "expect_column_sum_to_be_between": lambda: values > 0,
    }.get(kind)
    if failing is None:
        return ()
    shown = [name for name in ("split", "row", "label", "images") if name in frame.columns and name != column]
    rows: list[dict[str, Any]] = frame.loc[failing(), [*shown, column]].head(MAX_ROWS).to_dict("records")
    return tuple(plain(row) for row in rows)


def _bounds(kwargs: dict[str, Any]) -> tuple[float, float]:
    return kwargs.get("min_value", -math.inf), kwargs.get("max_value", math.inf)


def _refusal(dataset: Dataset, result: ValidationResult, folder: Path) -> DataRefused:
    listed = "".join(f"\n  {failure}{failure.where()}" for failure in result.failures)
    return DataRefused(
        f"{dataset.title} failed {len(result.failures)} of {result.checks} expectations:{listed}",
        f"the full result is in {folder / 'validation.md'}; nothing was trained",
    )


def _require_caught(dataset: Dataset, catches: tuple[Catch, ...]) -> None:
    missed = ", ".join(catch.corruption for catch in catches if not catch.ok)
    if missed:
        raise Broken(
            f"the validation of {dataset.title} did not catch corrupted data in its self-test: {missed}",
            "its verdict on the genuine data is not reliable until the suite is fixed; nothing was trained",
        )
