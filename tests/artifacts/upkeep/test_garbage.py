"""What `gc` removes, and above all what it does not."""

import os
import shutil
import time
from pathlib import Path

import pytest

from artifacts.operations.verify import check_home
from artifacts.registry import champions
from artifacts.upkeep import garbage, pins
from artifacts.upkeep.garbage import Retention
from data.errors import BadInput, Broken, Corrupt, UnknownName
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
from data.values import digest_of
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import DATASET

NOTHING_KEPT = Retention(keep=0, days=0, horizon=1)


def published(store: Store, kind: str, name: str, age_days: float = 100, **meta: object) -> Path:
    """A published folder of an age."""
    folder = store.root / kind / name
    with store.publish(folder) as draft:
        (draft.path / "content").write_bytes(b"x" * 1000)
        draft.meta.update(meta)
    return aged(folder, age_days)


def aged(path: Path, days: float) -> Path:
    """Make a path look as old as that."""
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


def removable(store: Store, retention: Retention = NOTHING_KEPT) -> set[str]:
    """What may be removed, as paths below the home."""
    return {item.path.relative_to(store.root).as_posix() for item in garbage.find(store, retention)}


def night_on(store: Store, label: str, prepared: str) -> None:
    """A night that promotes, on prepared data of its own."""
    published(store, "prepared", prepared, validation=digest_of(["validation", prepared]))
    published(store, "validations", digest_of(["validation", prepared]))
    folder = nights.candidate(store, label, f"run-{label}")
    aged(folder, 100)
    published(store, "runs", f"run-{label}")
    origin = nights.provenance(label, f"run-{label}", prepared_digest=prepared)
    nights.promote(store, nights.register(store, label, provenance=origin))


@pytest.fixture
def three(store: Store) -> Store:
    """Three champions one after the other, each on prepared data of its own, long ago."""
    for label in "abc":
        night_on(store, label, digest_of(label))
    return store


def test_what_the_champion_and_those_within_the_horizon_need_stays(three: Store) -> None:
    """Their prepared data, validations and reports; older ones may go, and candidates, which the versions have."""
    gone = removable(three)
    assert f"prepared/{digest_of('a')}" in gone
    assert f"validations/{digest_of(['validation', digest_of('a')])}" in gone
    assert "runs/run-a" in gone
    kept = {f"prepared/{digest_of(label)}" for label in "bc"} | {"runs/run-b", "runs/run-c"}
    kept |= {f"validations/{digest_of(['validation', digest_of(label)])}" for label in "bc"}
    assert not kept & gone
    assert {name.partition("/")[0] for name in gone} == {"prepared", "validations", "runs", "trained"}


def test_after_a_rollback_the_data_of_the_version_before_stay(three: Store) -> None:
    """A barred champion is no target any more; the one before it is."""
    champions.rollback(three, DATASET, **nights.BY_ME)
    assert not {f"prepared/{digest_of(label)}" for label in "ab"} & removable(three)


def test_a_pinned_version_keeps_what_it_was_made_from(three: Store) -> None:
    """Until it is unpinned; a version that is not there, or not pinned, is refused."""
    pins.pin(three, "mnist/1", **nights.BY_ME)
    assert pins.pinned(three, DATASET) == {1: nights.BY_ME}
    assert not {f"prepared/{digest_of('a')}", "runs/run-a"} & removable(three)
    pins.unpin(three, "mnist/1")
    assert f"prepared/{digest_of('a')}" in removable(three)
    with pytest.raises(BadInput, match="mnist/1 is not pinned"):
        pins.unpin(three, "mnist/1")
    with pytest.raises(UnknownName):
        pins.pin(three, "mnist/9", **nights.BY_ME)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"schema": 2}', b'{"schema": 1, "versions": {"x": 1}}'])
def test_nothing_is_removed_while_it_is_not_known_what_is_needed(three: Store, content: bytes) -> None:
    """A list of pins, a ledger or a version that cannot be read stops it."""
    three.write_bytes(three.pins(DATASET), content)
    with pytest.raises(Corrupt, match=r"pins\.json"):
        garbage.find(three, NOTHING_KEPT)
    three.pins(DATASET).unlink()
    three.champion(DATASET).write_bytes(b"junk")
    with pytest.raises(Corrupt, match=r"champion\.json"):
        garbage.find(three, NOTHING_KEPT)


def test_a_version_whose_folder_is_gone_keeps_its_data_all_the_same(three: Store) -> None:
    """The ledger knows them; nothing else stops because of it."""
    shutil.rmtree(three.versions(DATASET) / "2")
    gone = removable(three)
    assert f"prepared/{digest_of('b')}" not in gone
    assert f"prepared/{digest_of('a')}" in gone


def test_negative_numbers_are_refused() -> None:
    """They would keep nothing."""
    for name in ("keep", "days", "gigabytes", "horizon"):
        with pytest.raises(BadInput, match=f"--{name} is -1"):
            Retention(**{name: -1})


def test_the_newest_and_the_young_stay(store: Store) -> None:
    """By number and by age; a limit of bytes overrides both, but not for what was made today."""
    for age in (0.5, 10, 20, 40, 50):
        published(store, "runs", f"night-{age:g}", age)
    assert removable(store, Retention(keep=0, days=15)) == {"runs/night-20", "runs/night-40", "runs/night-50"}
    assert removable(store, Retention(keep=4, days=15)) == {"runs/night-50"}
    assert removable(store, Retention(keep=5, days=15)) == set()
    assert removable(store, Retention(keep=5, days=15, gigabytes=1e-9)) == {
        f"runs/night-{age}" for age in (10, 20, 40, 50)
    }


@pytest.mark.fault("F-39")
def test_a_clock_that_was_set_back_removes_nothing(store: Store) -> None:
    """What seems to come from the future is new."""
    published(store, "runs", "night", -400)
    assert removable(store) == set()


def test_what_is_listed_is_removed_and_the_home_is_sound(three: Store) -> None:
    """The list has the bytes; nothing else has changed, and verify finds nothing."""
    items = garbage.find(three, NOTHING_KEPT)
    assert all(item.bytes > 1000 for item in items if item.kind != "trained")
    before = nights.tree(three.models())
    assert garbage.remove(three, items) == sum(item.bytes for item in items)
    assert not any(item.path.exists() for item in items)
    assert nights.tree(three.models()) == before
    assert check_home(three).findings == ()
    assert garbage.find(three, NOTHING_KEPT) == []


def test_nothing_is_removed_while_a_run_is_under_way(three: Store) -> None:
    """Neither a night, which holds a lock, nor a training alone, which has an active record."""
    items = garbage.find(three, NOTHING_KEPT)
    with three.lock(f"night-{DATASET}"), pytest.raises(Broken, match="a night of mnist is under way"):
        garbage.remove(three, items)
    record = Record(
        id="abc-0000", kind="train", run="t", dataset=DATASET, process=Process.current(), began=journal.now()
    )
    journal.write(three, record)
    with pytest.raises(Broken, match="t is under way"):
        garbage.remove(three, items)
    assert all(item.path.exists() for item in items)
    journal.end(three, record, "finished")


def test_long_logs_lose_their_older_half_and_their_writer_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their writer goes on: it appends, and need not be told."""
    monkeypatch.setattr(garbage, "LOG_BYTES", 1000)
    log = store.root / "server" / "server.log"
    log.parent.mkdir(parents=True)
    with log.open("ab", buffering=0) as writer:
        writer.write(b"o" * 1500 + b"n" * 500)
        items = garbage.find(store, Retention())
        assert [(item.kind, item.bytes) for item in items] == [("logs", 1500)]
        garbage.remove(store, items)
        writer.write(b"!")
    assert log.read_bytes() == b"n" * 500 + b"!"


def test_quarantine_and_records_of_trainings_are_removed_by_age(store: Store) -> None:
    """Records of nights stay."""
    for kind in ("train", "retrain"):
        name = f"{kind.count('e')}-0000"
        begun = Record(id=name, kind=kind, run=kind, dataset=DATASET, process=Process.current(), began=journal.now())
        journal.end(store, journal.write(store, begun), "finished")
        aged(store.journal(name), 100)
    bad = store.quarantine(DATASET, "ledger.jsonl")
    store.write_bytes(bad, b"x")
    aged(bad, 100)
    assert removable(store, Retention(keep=0)) == {"journal/0-0000.json", bad.relative_to(store.root).as_posix()}
