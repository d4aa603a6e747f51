"""What the home knows about its runs."""

from dataclasses import replace
from uuid import uuid4

from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store


def record(**more: object) -> Record:
    """Return a record of a night that this process does."""
    about = {"kind": "retrain", "run": "a-night", "dataset": "mnist", "began": journal.now(), "id": str(uuid4())}
    return Record(**{**about, "process": Process.current(), **more})  # type: ignore[arg-type]


def test_record_comes_back_as_it_was_written(store: Store) -> None:
    """Every field survives the way to disk, and the last word counts."""
    one = journal.write(store, record(scheduled=True, slots=("2026-11-20T02:30:00+00:00",), deployment="d"))
    assert journal.find(store, one.id) == one
    ended = journal.end(store, one, "finished", "promoted it", verdict="PROMOTE", promoted=True, result={"digest": "x"})
    assert journal.find(store, one.id) == ended
    assert journal.read(store) == [ended]
    assert ended.ended
    assert journal.find(store, str(uuid4())) is None


def test_run_is_lost_only_if_it_is_active_and_its_process_gone(store: Store) -> None:
    """A run that said how it ended is not lost, and neither is one that still works."""
    dead = replace(Process.current(), started="1")
    assert record(process=dead).lost
    assert record(process=dead, state="waiting").lost
    assert not record().lost
    assert not record(process=dead, state="failed").lost


def test_old_trainings_are_forgotten_and_nights_are_not(store: Store) -> None:
    """Nights are kept for ever; an old training's record goes once it has ended."""
    old = "2020-01-01T00:00:00+00:00"
    kept = [record(began=old), record(began=old, kind="train"), record(kind="train", state="finished")]
    for one in (*kept, record(began=old, kind="train", state="finished")):
        journal.write(store, one)
    journal.prune(store)
    assert {one.id for one in journal.read(store)} == {one.id for one in kept}
