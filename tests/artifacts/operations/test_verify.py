import shutil

import pytest

from artifacts.operations.verify import find_problems
from artifacts.registry import champions, ledger, versions
from artifacts.upkeep.repair import repair
from data.errors import Corrupt
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import DATASET
from tests.data import growing


def test_a_ledger_that_lost_lines_is_refused_and_not_repaired(two: Store) -> None:
    """The pointer remembers the newest move: a ledger that is too short for it is found. One line short is restored."""
    path = two.ledger(DATASET)
    content = path.read_bytes().splitlines(keepends=True)
    champions.rollback(two, DATASET, **nights.BY_ME)
    path.write_bytes(b"".join(content[:1]))
    for operation in (champions.champion, repair):
        with pytest.raises(Corrupt, match="disagree: line 3"):
            operation(two, DATASET)
    path.write_bytes(b"".join(content))
    assert nights.champion_id(two) == "mnist/1"
    assert [(found.serious, found.subject) for found in find_problems(two)] == [(False, "the ledger of mnist")]
    assert repair(two, DATASET) == ["wrote line 3, which only the pointer had, into the ledger"]
    assert len(ledger.read(two, DATASET)) == 3


def test_a_broken_ledger_stops_everything_that_relies_on_it(two: Store) -> None:
    """Nothing is promoted on top of a ledger that was changed."""
    path = two.ledger(DATASET)
    path.write_bytes(path.read_bytes().replace(b"schedule", b"somebody"))
    for operation in (champions.champion, repair):
        with pytest.raises(Corrupt, match="broken at line 1"):
            operation(two, DATASET)
    assert {found.subject for found in find_problems(two)} == {"the champion of mnist", "the ledger of mnist"}


@pytest.mark.fault("F-24", "F-49")
def test_verify_names_everything_that_is_wrong(two: Store) -> None:
    """Half versions, damaged files, debris and damaged published folders, each with what to do; all else is well."""
    assert find_problems(two) == []
    with two.ledger(DATASET).open("ab") as stream:
        stream.write(b"{")
    assert [(found.serious, found.problem) for found in find_problems(two)] == [
        (True, "it ends in 1 bytes of an unfinished line")
    ]
    assert "it ends in 1 bytes of an unfinished line" in repair(two, DATASET)[0]
    first = versions.find(two, "mnist/1")
    nights.flip(first.folder / "metrics.json")
    (two.versions(DATASET) / "3").mkdir()
    (two.versions(DATASET) / "notes").mkdir()
    (nights.candidate(two, "c", "run-c") / "extra").write_bytes(b"x")
    (two.models() / "Not A Name").mkdir()
    findings = {found.subject: found for found in find_problems(two)}
    assert "metrics.json has changed" in findings["mnist/1"].problem
    assert "expected a complete version" in findings["mnist/3"].problem
    assert "expected a complete version" in findings["mnist/notes"].problem
    assert "not a valid name of a dataset" in findings["models/Not A Name"].problem
    assert "extra was added" in findings[next(name for name in findings if name.startswith("trained/"))].problem
    assert len(findings) == 5
    assert all(found.hint and found.to_json()["subject"] == found.subject for found in findings.values())
    assert nights.champion_id(two) == "mnist/2"
    shutil.rmtree(first.folder)
    assert any("its folder is missing" in found.problem for found in find_problems(two))


def test_verify_hashes_shards_and_snapshots_and_misses_none(store: Store) -> None:
    """A damaged shard, a damaged snapshot, and a shard that is gone."""
    shards = growing.night(store, 1, {"train": 20, "validation": 3, "test": 10})
    first, second = growing.snapshot(store, shards), growing.snapshot(store, shards[:1])
    assert find_problems(store) == []
    nights.flip(store.shard(shards[0].digest) / "images.parquet")
    shutil.rmtree(store.shard(shards[1].digest))
    nights.flip(store.snapshot(second.digest) / "shards.parquet")
    found = {one.subject: one.problem for one in find_problems(store)}
    assert found.keys() == {
        f"shards/{shards[0].digest}",
        f"shards/{shards[1].digest}",
        f"snapshots/{second.digest}",
    }
    assert "images.parquet has changed" in found[f"shards/{shards[0].digest}"]
    assert f"snapshot {first.digest[:12]}" in found[f"shards/{shards[1].digest}"]


def test_verify_reports_debris_as_harmless(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crashed run left behind is counted, and the next sweep removes it."""
    debris = two.scratch()
    debris.mkdir()
    tomorrow = debris.stat().st_mtime + 25 * 3600
    monkeypatch.setattr("time.time", lambda: tomorrow)
    assert [(found.subject, found.serious) for found in find_problems(two)] == [(f"tmp/{debris.name}", False)]
    assert two.sweep() == [debris]
    assert find_problems(two) == []
