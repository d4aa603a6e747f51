"""What `verify` finds: each kind of thing in a home is damaged, and named, whatever else is wrong beside it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from artifacts.operations.verify import check_home, find_problems
from artifacts.registry import champions, versions
from artifacts.upkeep.findings import Finding
from data.builtin import DATASETS
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
from data.sources.source import HERE
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import DATASET


def found(store: Store) -> dict[str, Finding]:
    """The findings by subject."""
    return {one.subject: one for one in find_problems(store)}


def record(store: Store) -> Path:
    """A journal record; its file."""
    one = Record(
        id="abc-0000", kind="retrain", run="r", dataset=DATASET, process=Process.current(), began=journal.now()
    )
    journal.write(store, one)
    return store.journal(one.id)


def raw(store: Store) -> Path:
    """The raw files of the bundled sample; one of them."""
    target = store.raw("mnist-sample", "x").parent
    shutil.copytree(HERE / "samples" / "mnist-sample", target)
    return next(path for path in target.iterdir() if path.name.startswith("t10k-labels"))


def test_a_sound_home_says_what_was_checked_and_what_was_not(two: Store) -> None:
    """The sentence never says more than was done."""
    record(two)
    raw(two)
    (two.root / "server").mkdir()
    report = check_home(two)
    assert report.findings == ()
    assert report.counts == {
        "registries": 2,
        "versions": 2,
        "raw files": 4,
        "trained": 2,
        "journal records": 1,
    }
    assert report.sentence == (
        "checked 2 registries, 2 versions, 4 raw files, 2 trained, 1 journal records: no problem found; "
        "not checked: server"
    )


def test_an_empty_home_is_said_to_be_empty(store: Store) -> None:
    """Nothing was checked, so nothing is said to be well."""
    assert check_home(store).sentence == "checked an empty home: no problem found"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"schema": 1, "later": 2}', b"\xff", b"[" * 100_000])
def test_a_damaged_journal_record_is_named(two: Store, content: bytes) -> None:
    """Empty, torn, of another type, from other code: a finding with the file's name, and the rest is checked."""
    record(two).write_bytes(content)
    nights.flip(versions.find(two, "mnist/2").model)
    assert set(found(two)) == {"journal/abc-0000.json", "mnist/2"}


def test_damaged_raw_files_rows_schedules_and_runs_are_named(two: Store) -> None:
    """Everything that a night reads or a person looks at."""
    file = raw(two)
    file.write_bytes(file.read_bytes()[:-3])
    (two.root / "raw" / "gone").mkdir()
    two.write_bytes(two.dataset_rows() / "mine.json", b"{}")
    two.write_bytes(two.schedules() / "mine.json", b"nothing")
    with two.publish(two.run("night-1")) as draft:
        (draft.path / "report.md").write_text("all is well")
    (two.run("night-1") / "report.md").write_text("all is very well")
    problems = found(two)
    assert {name for name, one in problems.items() if one.serious} == {
        f"raw/mnist-sample/{file.name}",
        "datasets/mine.json",
        "schedules/mine.json",
        "runs/night-1",
    }
    assert not problems["raw/gone"].serious
    assert all(one.hint for one in problems.values())


def test_a_damaged_registry_hides_no_damage_of_another(two: Store) -> None:
    """A pointer with NaN in one dataset, a flipped bit in the champion of another: both are named."""
    shutil.copytree(two.models() / DATASET, two.models() / "kmnist")
    two.champion("kmnist").write_bytes(b'{"schema": 1, "event": NaN}')
    nights.flip(versions.find(two, "mnist/2").model)
    names = set(found(two))
    assert {"the champion of kmnist", "mnist/2"} <= names


@pytest.mark.fault("F-24")
def test_a_version_whose_manifest_lacks_what_belongs_there_is_named(two: Store) -> None:
    """A missing key is no traceback, here and for whoever lists the versions."""
    manifest = versions.find(two, "mnist/1").folder / "manifest.json"
    value = json.loads(manifest.read_bytes())
    for meta in ({}, [], {**value["meta"], "run_id": 7}):
        manifest.write_text(json.dumps(value | {"meta": meta}))
        assert "mnist/1" in found(two)
        assert [version.id for version in versions.versions(two, DATASET)] == ["mnist/2"]


def test_an_error_that_nobody_expected_is_a_finding(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens, the rest is checked."""
    first, real = versions.find(two, "mnist/1").folder, Store.verify

    def failing(store: Store, folder: Path) -> object:
        if folder == first:
            raise RuntimeError("surprise")
        return real(store, folder)

    monkeypatch.setattr(Store, "verify", failing)
    nights.flip(versions.find(two, "mnist/2").model)
    problems = found(two)
    assert "RuntimeError: surprise" in problems["mnist/1"].problem
    assert "model.keras has changed" in problems["mnist/2"].problem


@pytest.mark.fault("F-43")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_and_folders_that_may_not_be_read_are_named(two: Store) -> None:
    """And left alone by a repair: they may be whole."""
    closed = [two.champion(DATASET), versions.find(two, "mnist/1").folder, two.root / "trained"]
    for path in closed:
        path.chmod(0)
    try:
        assert {"the champion of mnist", "mnist/1", "trained/"} <= set(found(two))
    finally:
        for path in closed:
            path.chmod(0o755)


@pytest.mark.fault("F-49")
def test_a_disk_that_fails_while_it_is_read_is_a_finding(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO is not taken for damage that could be repaired."""
    first, real = versions.find(two, "mnist/1").model, Path.open

    def failing(path: Path, *arguments: object, **more: object) -> object:
        if path == first:
            raise OSError(5, "Input/output error")
        return real(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", failing)
    problem = found(two)["mnist/1"]
    assert "Input/output error" in problem.problem
    assert problem.hint == "check the disk and the permissions"


def test_a_ledger_that_was_cut_off_after_its_newest_move_is_found(two: Store) -> None:
    """The chain cannot show it, but each version remembers the newest line at its registration."""
    champions_line = two.ledger(DATASET).read_bytes()
    hold = {"decision": nights.decision("HOLD"), "provenance": nights.provenance("x", "run-x"), **nights.BY_ME}
    champions.record(two, DATASET, "hold", **hold)
    nights.register(two, "c")
    two.ledger(DATASET).write_bytes(champions_line)
    assert "when mnist/3 was registered it had 3 lines" in found(two)["the ledger of mnist"].problem


def test_every_built_in_dataset_can_be_checked(store: Store) -> None:
    """A folder with anything in it is compared with the row."""
    for name in DATASETS:
        folder = store.raw(name, "x").parent
        folder.mkdir(parents=True)
        for file in DATASETS[name].files.values():
            (folder / file.name).write_bytes(b"x")
    assert len([one for one in find_problems(store) if one.serious]) == 4 * len(DATASETS)
