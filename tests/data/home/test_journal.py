"""What the home knows about its runs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from artifacts.models.provenance import CHECKOUT
from data.errors import Conflict, Corrupt
from data.home import journal, locks
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
from tests import boxes

WORK = """
import sys, time
from pathlib import Path
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
journal.write(Store(Path(sys.argv[1])), Record(
    id=sys.argv[2], kind="train", run="r", dataset="mnist", process=Process.current(), began=journal.now()))
print("working", flush=True)
time.sleep(300)
"""
LOOK = """
import sys
from pathlib import Path
from data.home import journal
from data.home.store import Store
print([(one.lost, one.working) for one in journal.read(Store(Path(sys.argv[1])))])
"""
HERE = (sys.executable, "-c")


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


@contextmanager
def working(store: Store, id: str, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has recorded itself as a run that works; it is killed in the end."""
    run = subprocess.Popen(
        [*command, str(store.root), id], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, start_new_session=True
    )
    assert run.stdout
    assert run.stdout.readline() == "working\n"
    try:
        yield run
    finally:
        os.killpg(run.pid, 9)
        run.wait()
        run.stdout.close()


def only(store: Store) -> Record:
    """Return the only record."""
    (found,) = journal.read(store)
    return found


@pytest.mark.fault("F-17", "F-23")
def test_run_is_lost_as_soon_as_its_process_is_killed(store: Store) -> None:
    """The kernel releases its lock; the lock's file goes when the crash is recorded."""
    with working(store, "a1", [*HERE, WORK]):
        assert only(store).working
        assert not only(store).lost
    assert only(store).lost
    journal.end(store, only(store), "crashed", "it was killed")
    assert not store.lock_file("run-a1").exists()


@pytest.mark.parametrize("kind", [boxes.HOST, boxes.CONTAINER])
def test_run_in_a_container_is_alive_until_it_is_killed_wherever_one_looks_from(
    store: Store, kind: tuple[str, ...]
) -> None:
    """Neither host names nor process ids decide: the same answers from another container and from the host."""

    def seen() -> str:
        look = boxes.command(kind, "box-b", LOOK, str(store.root))
        return subprocess.run(look, capture_output=True, text=True, cwd=CHECKOUT, check=True).stdout.strip()

    with working(store, "a1", boxes.command(kind, "box-a", WORK)):
        assert seen() == "[(False, True)]"
        assert only(store).working
    deadline = time.monotonic() + 30
    while not only(store).lost and time.monotonic() < deadline:
        time.sleep(0.05)  # the box ends after the process that started it
    assert seen() == "[(True, False)]"


def test_run_of_another_machine_is_given_up_after_a_stated_silence(store: Store) -> None:
    """Its lock may not be visible here, or outlive it: until then it is neither lost nor certainly working."""
    one = journal.write(store, record())
    path = store.journal(one.id)
    value = json.loads(path.read_bytes())
    value["process"].update(host="elsewhere", boot="another")
    path.write_text(json.dumps(value))
    assert not only(store).lost
    assert not only(store).working
    early, late = (time.time() - journal.SILENCE.total_seconds() + s for s in (60, -60))
    os.utime(store.lock_file(f"run-{one.id}"), (early, early))
    assert not only(store).lost
    os.utime(store.lock_file(f"run-{one.id}"), (late, late))
    assert only(store).lost
    locks.touch()  # as the run does every half minute
    assert not only(store).lost


def test_run_of_another_machine_that_earlier_code_started_is_given_up_after_a_day() -> None:
    """It holds no lock and shows no sign of life; no night takes that long."""
    elsewhere = replace(Process.current(), host="elsewhere", boot="another", namespace="")
    began = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    assert not record(process=elsewhere).lost
    assert record(process=elsewhere, began=began).lost
    assert not record(process=Process.current(), began=began).lost


@pytest.mark.fault("F-20")
def test_same_run_is_not_executed_twice(store: Store) -> None:
    """A second process is refused as long as the first one lives."""
    with working(store, "a1", [*HERE, WORK]), pytest.raises(Conflict, match="already executed"):
        journal.write(store, record(id="a1"))
    assert journal.write(store, record(id="a1")).locked


def test_lock_of_a_run_ends_with_its_record(store: Store) -> None:
    """A run that says how it ended leaves nothing in locks/."""
    one = journal.write(store, record())
    assert store.lock_file(f"run-{one.id}").exists()
    journal.end(store, one, "finished")
    assert not store.lock_file(f"run-{one.id}").exists()
    assert not only(store).lost


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema": 99}', b'{"schema": 1, "id": "b2", "from_the_future": 1}', b"\xff"]
)
def test_file_that_is_no_record_is_named_and_hides_no_other(store: Store, content: bytes) -> None:
    """Cut short, damaged or written by newer code: the others are read, and the night begins."""
    one = journal.write(store, record())
    store.journal("b2").write_bytes(content)
    assert journal.read(store) == [one]
    (error,) = journal.damaged(store)
    assert "b2.json" in error.problem
    with pytest.raises(Corrupt, match="not a record of a run"):
        journal.find(store, "b2")
    journal.prune(store)


@pytest.mark.fault("F-44")
def test_record_of_earlier_code_is_read(store: Store) -> None:
    """It has no lock and no namespace; its process decides."""
    one = journal.write(store, record(state="finished"))
    value = json.loads(store.journal(one.id).read_bytes())
    del value["locked"], value["process"]["namespace"]
    value["state"] = "running"
    store.journal(one.id).write_text(json.dumps(value))
    assert not only(store).lost
    value["process"]["started"] = "1"
    store.journal(one.id).write_text(json.dumps(value))
    assert only(store).lost


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
