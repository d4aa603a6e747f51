"""Does tonight's data look like the data we know? Asked in Great Expectations, and only here.

Four suites, written in Python so that they are reviewed like code: `table` (columns, rows, nothing empty), `train` and
`test` (one row per image), `classes` (one row per split and class, across splits). What is expected, and why these
tolerances: docs/decisions/0003-validation.md. Great Expectations is imported when it is needed: it takes 7 s.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from data import facts
from data.corruptions import CORRUPTIONS, summarise_again
from data.dataset import Dataset, RawData, RawRef, to_json
from data.errors import Broken, DataRefused
from data.source import read_raw
from data.store import Store
from data.summary import NUMERIC, summarise
from data.validation import MAX_ROWS, Catch, Failure, ValidationRef, ValidationResult, as_markdown, plain
from data.values import canonical_json, digest_of

SUITE = 1  # raise it when the same data may be judged otherwise
COLUMNS = {
    "split": pa.string(),
    "row": pa.int64(),
    "label": pa.int64(),
    **dict.fromkeys(NUMERIC, pa.float64()),
    "sha256": pa.string(),
}
_ONE_AT_A_TIME = threading.Lock()  # Great Expectations' context is global to the process, and two at a time mix up


def check(store: Store, dataset: Dataset, raw_ref: RawRef) -> ValidationRef:
    """Validate the raw data, let the suite show that it notices corrupted data, and keep the result.

    What an earlier night found about the same data, expectations and suite is used again if it is undamaged.

    Args:
        store: where the raw data lies and the result goes.
        dataset: the row that says what to expect.
        raw_ref: the data, as `data.source.download` returned it.

    Raises:
        DataRefused: the data failed; the message names expectations, values and rows, and where the result is kept.
        Broken: Great Expectations failed, or the suite let a corruption pass that it should have seen.
        Corrupt: the raw data changed since it was downloaded.
        StorageFailed: the home cannot be written.
    """
    address = {
        "suite": SUITE,
        "great_expectations": version("great-expectations"),
        "dataset": to_json(dataset),
        "raw": raw_ref.digest,
    }
    ref = ValidationRef(dataset.name, digest_of(address))
    folder = store.validation(ref.digest)
    meta = store.intact(folder)
    if meta is None:
        raw = read_raw(store, dataset, raw_ref)
        table = summarise(raw)
        with store.publish(folder) as draft:
            result = validate(dataset, table, draft.path / "data-docs")
            catches = catch_table(dataset, raw, table) if result.success else ()
            _require_caught(dataset, catches)
            found = plain({**result.to_json(), "catches": [catch.to_json() for catch in catches]})
            (draft.path / "result.json").write_bytes(canonical_json(found))
            (draft.path / "validation.md").write_text(as_markdown(dataset.title, result, catches), encoding="utf-8")
            draft.meta.update({key: value for key, value in found.items() if key != "details"})
            draft.meta.update(dataset=dataset.name, raw=raw_ref.digest)
        meta = store.meta(folder)
    if meta["success"] is not True:
        raise _refusal(dataset, meta, folder)
    return ref


def validate(dataset: Dataset, table: pa.Table, docs: Path | None = None) -> ValidationResult:
    """Hold a summary table against what is known of the dataset.

    Args:
        dataset: the row that says what to expect.
        table: what `data.summary.summarise` returned.
        docs: folder to write the Data Docs to, if wanted; it must not exist.

    Returns:
        The result. It is no success if the table is empty or malformed, or a column is empty.

    Raises:
        Broken: Great Expectations failed, which says nothing about the data.
    """
    malformed = _malformed(table)
    if malformed:
        return ValidationResult(False, 1, malformed)
    with _ONE_AT_A_TIME, _explained():
        suites = _Suites(dataset, documented=docs is not None)
        result = suites.judge(table)
        if docs:
            suites.write_docs(docs)
    return result


UNPINNED = (
    "no statistics of the genuine images are pinned: training and test images were compared with each other, "
    "with wide tolerances, and duplicates were not limited"
)


def catch_table(dataset: Dataset, raw: RawData, table: pa.Table | None = None) -> tuple[Catch, ...]:
    """Run the suite on corrupted copies of the data, to see that it notices.

    Args:
        dataset: the row that says what to expect.
        raw: genuine data.
        table: its summary, if it is at hand.

    Returns:
        One catch per corruption; `by` names what failed in the first suite that refused it.

    Raises:
        Broken: Great Expectations failed.
    """
    table = summarise(raw) if table is None else table
    caught = []
    with _ONE_AT_A_TIME, _explained():
        suites = _Suites(dataset)
        for corruption in CORRUPTIONS:
            corrupted = summarise_again(raw, corruption.apply(raw), table)
            failures = suites.judge(corrupted, until_one_fails=True).failures
            by = tuple(f"{failure.subject}: {failure.expectation}" for failure in failures)
            # permuting equal labels, for example, changes nothing, and then there is nothing to see
            visible = not corrupted.equals(table) and corruption.visible(dataset, table)
            caught.append(Catch(corruption.name, corruption.what, bool(failures), by, visible))
    return tuple(caught)


# -- the suites ---------------------------------------------------------------------------------------------------


def _table_suite(dataset: Dataset) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectTableRowCountToEqual(value=dataset.n_train + dataset.n_test),
        gxe.ExpectTableColumnsToMatchSet(column_set=list(COLUMNS), exact_match=True),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in COLUMNS),
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
    for name in NUMERIC:
        _, low, high = bands[name]
        inside = 1 - tolerance.outside
        suite.append(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, mostly=inside))
    return suite


def _classes_suite(expected: facts.Expected) -> list[Any]:
    from great_expectations import expectations as gxe

    share, shift = expected.tolerance.share, expected.tolerance.shift
    return [
        gxe.ExpectColumnValuesToBeBetween(column="share", min_value=-share, max_value=share),
        *(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-shift, max_value=shift) for name in NUMERIC),
    ]


def _near(gxe: Any, column: str, value: float, tolerance: float) -> Any:
    return gxe.ExpectColumnMeanToBeBetween(column=column, min_value=value - tolerance, max_value=value + tolerance)


# -- running them -------------------------------------------------------------------------------------------------


class _Suites:
    """The suites of one dataset in one ephemeral context: nothing on disk, forgotten afterwards."""

    def __init__(self, dataset: Dataset, *, documented: bool = False) -> None:
        import great_expectations as gx

        self.dataset, self.documented = dataset, documented
        self.context = gx.get_context(mode="ephemeral")
        self.context.variables.progress_bars = {"globally": False}
        self.source = self.context.data_sources.add_pandas("nightshift")

    def judge(self, table: pa.Table, *, until_one_fails: bool = False) -> ValidationResult:
        """Run the suites on a well-formed table, all of them or as far as the first that fails."""
        checks, failures, details = 0, list[Failure](), dict[str, Any]()
        for name, part, expectations in self._parts(table):
            frame = part.to_pandas()
            result = self._run(name, frame, expectations)
            if len(result.results) != len(expectations):
                raise RuntimeError(f"{len(expectations)} expectations gave {len(result.results)} results")
            checks += len(result.results)
            failures += [_failure(name, frame, one) for one in result.results if not _met(one)]
            if not until_one_fails:
                details[name] = result.to_json_dict()
            if failures and (until_one_fails or name == "table"):
                break  # a table that is not in order cannot be compared with anything
        notes = (UNPINNED,) if self.dataset.reference is None else ()
        return ValidationResult(checks > 0 and not failures, checks, tuple(failures), notes, details)

    def _parts(self, table: pa.Table) -> Iterator[tuple[str, pa.Table, list[Any]]]:
        """Yield each suite's name, the table it looks at, and its expectations; nothing is computed too early."""
        yield "table", table, _table_suite(self.dataset)
        expected = facts.expected_of(self.dataset, table)
        parts = facts.of_images(table)
        yield "classes", facts.of_classes(parts, expected, self.dataset.n_classes), _classes_suite(expected)
        for split in facts.SPLITS:
            yield split, parts[split], _split_suite(self.dataset, expected, split)

    def _run(self, name: str, frame: Any, expectations: list[Any]) -> Any:
        import great_expectations as gx

        suite = gx.ExpectationSuite(name, expectations=expectations)
        if name in (asset.name for asset in self.source.assets):
            batch = self.source.get_asset(name).get_batch_definition("tonight")
        else:
            batch = self.source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("tonight")
        if not self.documented:  # what is stored for the Data Docs takes half of the time
            return batch.get_batch({"dataframe": frame}).validate(suite, result_format="BASIC")
        definition = gx.ValidationDefinition(name=name, data=batch, suite=self.context.suites.add(suite))
        definition = self.context.validation_definitions.add(definition)
        return definition.run(batch_parameters={"dataframe": frame}, result_format="BASIC")

    def write_docs(self, folder: Path) -> None:
        """Render what was found as Data Docs."""
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
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise  # the Data Docs could not be written: the store explains that
    except Exception as error:  # whatever it is, it says nothing about the data, and must not pass as a verdict
        logging.getLogger(__name__).debug("Great Expectations failed", exc_info=True)
        raise Broken(
            f"Great Expectations {_version()} failed while checking the data: {type(error).__name__}: {error}",
            "the data was neither accepted nor refused; is the installation complete? 'make setup' mends it",
        ) from error


def _version() -> str:
    try:
        return version("great-expectations")
    except ImportError:
        return "(not installed)"


# -- saying what is wrong -----------------------------------------------------------------------------------------


def _malformed(table: pa.Table) -> tuple[Failure, ...]:
    found = {field.name: field.type for field in table.schema}
    wrong = {name for name in COLUMNS.keys() | found.keys() if COLUMNS.get(name) != found.get(name)}
    return tuple(
        Failure(
            "arrow_schema", f"table.{name}", str(COLUMNS.get(name, "no such column")), str(found.get(name, "nothing"))
        )
        for name in sorted(wrong)
    )


def _failure(suite: str, frame: Any, result: Any) -> Failure:
    kind, kwargs = result.expectation_config.type, result.expectation_config.kwargs
    column = kwargs.get("column")
    return Failure(
        expectation=kind,
        subject=f"{suite}.{column}" if column else suite,
        expected=_wanted(kind, kwargs),
        observed=_observed(result.result),
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
    return f"{result.get('unexpected_count')} of {result.get('element_count')} rows otherwise: {examples}"


def _rows(kind: str, kwargs: dict[str, Any], frame: Any) -> tuple[dict[str, Any], ...]:
    """Return offending rows, looked for here: Great Expectations gives values, but not what they belong to."""
    column = kwargs.get("column")
    if column is None:
        return ()
    values = frame[column]
    offending = {
        "expect_column_values_to_not_be_null": values.isna,
        "expect_column_values_to_be_unique": lambda: values.duplicated(keep=False),
        "expect_column_values_to_be_in_set": lambda: ~values.isin(kwargs["value_set"]),
        "expect_column_values_to_be_between": lambda: ~values.between(kwargs["min_value"], kwargs["max_value"]),
        "expect_column_sum_to_be_between": lambda: values > 0,
    }.get(kind)
    if offending is None:
        return ()
    shown = [name for name in ("split", "row", "label", "images") if name in frame.columns and name != column]
    rows: list[dict[str, Any]] = frame.loc[offending(), [*shown, column]].head(MAX_ROWS).to_dict("records")
    return tuple(plain(row) for row in rows)


def _refusal(dataset: Dataset, meta: dict[str, Any], folder: Path) -> DataRefused:
    failures = [Failure(**{**failure, "rows": tuple(failure["rows"])}) for failure in meta["failures"]]
    listed = "".join(f"\n  {failure}{failure.where()}" for failure in failures)
    return DataRefused(
        f"{dataset.title} failed {len(failures)} of {meta['checks']} expectations:{listed}",
        f"the whole result is in {folder / 'validation.md'}; nothing was trained",
    )


def _require_caught(dataset: Dataset, catches: tuple[Catch, ...]) -> None:
    missed = ", ".join(catch.corruption for catch in catches if not catch.ok)
    if missed:
        raise Broken(
            f"the validation of {dataset.title} tested itself and did not notice: {missed}",
            "its verdict on the genuine data means nothing until the suite is mended; nothing was trained",
        )
