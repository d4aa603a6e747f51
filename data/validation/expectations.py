"""Check that the data looks like the known data, and that what checks it would notice if it did not.

What is expected: suites.py. Great Expectations, which is asked: engine.py. What it must catch: corruptions.py.
"""

from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from data.dataset import Dataset, RawData, RawRef
from data.errors import Broken, DataRefused
from data.home.files import storage_errors
from data.home.store import Store
from data.inspection.contact_sheet import SHEET, contact_sheet
from data.snapshots.snapshot import SnapshotRef
from data.sources.source import read_raw
from data.statistics import facts
from data.statistics.summary import summarise
from data.validation import snapshots
from data.validation.corrupted.corruptions import CORRUPTIONS, Copy, summarise_again
from data.validation.corrupted.sampling import sample_of
from data.validation.drifting import Compared, compare
from data.validation.engine import Engine, met, one_at_a_time
from data.validation.failures import failure_of, malformed
from data.validation.results import Catch, Failure, ValidationRef, ValidationResult, as_markdown, read
from data.validation.snapshots import Material
from data.validation.suites import SUITE, suites
from data.values import canonical_json, digest_of, plain

UNPINNED = (
    "no statistics of the genuine images are pinned: training and test images were compared with each other, "
    "with wide tolerances"
)


def check(store: Store, dataset: Dataset, raw_ref: RawRef) -> ValidationRef:
    """Validate the raw data, test the suite on corrupted copies, and keep the result.

    An earlier result for the same data, expectations and suite is used again if it is undamaged. Of a dataset that
    grows, what is new is validated, and a sample of the rest (`data.validation.snapshots`), and the whole is compared
    with the last accepted snapshot (`data.validation.drifting`).

    Args:
        store: where the raw data lies and the result goes.
        dataset: the row with the expected shapes and statistics.
        raw_ref: the data, as `data.sources.source.download` returned it, or its snapshot.

    Raises:
        DataRefused: the data failed; the message names expectations, values and rows, and where the result is kept.
        Broken: Great Expectations failed, or the suite did not catch a corruption that it should have caught.
        Corrupt: the raw data changed since it was downloaded.
        StorageFailed: the home cannot be written.
    """
    address = {
        "suite": SUITE,
        "great_expectations": version("great-expectations"),
        "dataset": _expected_row(dataset),
        "raw": raw_ref.digest,
        **_circumstances(store, dataset, raw_ref),
    }
    ref = ValidationRef(dataset.name, digest_of(address))
    folder = store.validation(ref.digest)
    if store.intact(folder) is None:
        found = _material(store, dataset, raw_ref)
        with store.publish(folder) as draft:
            # a folder each night: the Data Docs are megabytes, and validation.md says the same
            docs = draft.path / "data-docs" if dataset.growth is None else None
            result = validate(found.row, found.table, docs, found.sample[1])
            since = _since_the_last_night(store, dataset, raw_ref)
            result = _with_drift(replace(result, notes=(*result.notes, *found.notes)), since)
            contact_sheet(draft.path / SHEET, *found.sheet)
            catches = _catches(found, store.scratch().parent) if result.success else ()
            _require_caught(dataset, catches)
            catches += since.catches  # what the rules for drift miss is told, and ends no night
            kept = plain({**vars(result), "catches": catches})
            (draft.path / "result.json").write_bytes(canonical_json(kept))
            (draft.path / "validation.md").write_text(as_markdown(dataset.title, result, catches), encoding="utf-8")
            draft.meta.update({key: value for key, value in kept.items() if key != "details"})
            draft.meta.update(dataset=dataset.name, raw=raw_ref.digest)
    verdict, _ = read(store, ref.digest)
    if not verdict.success:
        raise _refusal(dataset, verdict, folder)
    if dataset.growth is not None:
        snapshots.accept(store, SnapshotRef(dataset.name, raw_ref.digest))
    return ref


def _circumstances(store: Store, dataset: Dataset, raw_ref: RawRef) -> dict[str, Any]:
    """Return what else decides the result of a dataset that grows: whether a person accepted the snapshot."""
    if dataset.growth is None or not snapshots.trusted(store, SnapshotRef(dataset.name, raw_ref.digest)):
        return {}
    return {"accepted by hand": True}


def _expected_row(dataset: Dataset) -> dict[str, Any]:
    """Return what of a row decides what is expected: of one that grows, nothing that each night changes."""
    if dataset.growth is None:
        return asdict(dataset)
    return {
        **asdict(replace(dataset, n_train=0, n_test=0, snapshot="", origin=None)),
        "growth": {"drift": dataset.growth.drift},
    }


def _material(store: Store, dataset: Dataset, raw_ref: RawRef) -> Material:
    if dataset.growth is not None:
        return snapshots.material(store, dataset, SnapshotRef(dataset.name, raw_ref.digest))
    raw = read_raw(store, dataset, raw_ref)
    table = _summary(store, dataset, raw)
    return Material(dataset, table, (dataset, raw, table), (dataset, raw))


def _catches(found: Material, scratch: Path) -> tuple[Catch, ...]:
    catches, n = catch_table(*found.sample, scratch), len(found.sample[2])
    return tuple(replace(one, sampled=one.sampled or n) for one in catches) if n < len(found.table) else catches


def _since_the_last_night(store: Store, dataset: Dataset, raw_ref: RawRef) -> Compared:
    return compare(store, dataset, SnapshotRef(dataset.name, raw_ref.digest)) if dataset.growth else Compared()


def _with_drift(result: ValidationResult, since: Compared) -> ValidationResult:
    """Add what shifted: what ends the night is a failure, and the rest is told."""
    refused = [one for one in since.findings if one.refuses]
    failures = [Failure(one.rule, "drift", f"no such change; {one.remedy}", one.sentence) for one in refused]
    return replace(
        result,
        success=result.success and not refused,
        checks=result.checks + len(since.findings),
        failures=(*result.failures, *failures),
        shifts=since.shifts,
    )


def _summary(store: Store, dataset: Dataset, raw: RawData) -> pa.Table:
    scratch = store.scratch().parent
    with storage_errors(scratch):
        return summarise(raw, dataset.ground, scratch)


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
    wrong = malformed(dataset, table)
    if wrong:
        return ValidationResult(False, 1, wrong)
    with one_at_a_time():
        engine = Engine(documented=docs is not None)
        result = _judge(engine, dataset, table, raw)
        if docs:
            engine.write_docs(docs)
    return result


def _judge(
    engine: Engine, dataset: Dataset, table: pa.Table, raw: RawData | None, *, until_one_fails: bool = False
) -> ValidationResult:
    """Run the suites on a well-formed table, all of them or as far as the first that fails."""
    checks, failures, details = 0, list[Failure](), dict[str, Any]()
    notes = [UNPINNED] if dataset.reference is None else []
    for suite in suites(dataset, table, raw):
        result = engine.run(suite)
        checks += len(result.results)
        failures += [failure_of(suite, one) for one in result.results if not met(one)]
        notes += suite.notes
        if not until_one_fails:
            details[suite.name] = result.to_json_dict()
        if failures and (until_one_fails or suite.name == "table"):
            break  # a malformed table cannot be compared with anything
    return ValidationResult(checks > 0 and not failures, checks, tuple(failures), tuple(notes), details=details)


def catch_table(
    dataset: Dataset, raw: RawData, table: pa.Table | None = None, scratch: Path | None = None
) -> tuple[Catch, ...]:
    """Run the suite on corrupted copies of the data, and record which it catches.

    Args:
        dataset: the row with the expected shapes and statistics.
        raw: genuine data.
        table: its summary; computed if not given.
        scratch: a folder for the images of a sample; None keeps them in memory.

    Returns:
        One catch per corruption, of the data or of a sample of large data (`sample_of`); `by` lists the failures of the
        first suite that refused it.

    Raises:
        Broken: Great Expectations failed.
        OSError: `scratch` cannot be written.
    """
    table = summarise(raw, dataset.ground) if table is None else table
    caught = []
    with one_at_a_time():
        engine = Engine()
        n, (dataset, raw, table) = len(table), _tested_on(engine, dataset, raw, table, scratch)
        sampled = len(table) if len(table) < n else 0
        for corruption in CORRUPTIONS:
            corrupted = corruption.apply(raw)
            again = summarise_again(raw, corrupted, table, dataset.ground)
            failures = _judge(engine, dataset, again, corrupted, until_one_fails=True).failures
            by = tuple(f"{failure.subject}: {failure.expectation}" for failure in failures)
            visible = bool(failures) or (
                not again.equals(table)  # permuting equal labels, for example, changes nothing
                and corruption.visible(Copy(dataset, facts.expected_of(dataset, table), again))
            )
            caught.append(Catch(corruption.name, corruption.what, bool(failures), by, visible, sampled))
    return tuple(caught)


def _tested_on(
    engine: Engine, dataset: Dataset, raw: RawData, table: pa.Table, scratch: Path | None
) -> tuple[Dataset, RawData, pa.Table]:
    """Return a sample of large data; all of it, if the sample itself would be refused: then it could show nothing."""
    sample = sample_of(dataset, raw, table, scratch)
    if sample[1] is raw or _judge(engine, sample[0], sample[2], sample[1], until_one_fails=True).success:
        return sample
    return dataset, raw, table


def _refusal(dataset: Dataset, result: ValidationResult, folder: Path) -> DataRefused:
    listed = "".join(f"\n  {failure}{failure.where()}" for failure in result.failures)
    return DataRefused(
        f"{dataset.title} failed {len(result.failures)} of {result.checks} expectations:{listed}",
        f"the full result is in {folder / 'validation.md'}; nothing was trained",
        folder.name,
    )


def _require_caught(dataset: Dataset, catches: tuple[Catch, ...]) -> None:
    missed = ", ".join(catch.corruption for catch in catches if not catch.ok)
    if missed:
        raise Broken(
            f"the validation of {dataset.title} did not catch corrupted data in its self-test: {missed}",
            "its verdict on the genuine data is not reliable until the suite is fixed; nothing was trained",
        )
