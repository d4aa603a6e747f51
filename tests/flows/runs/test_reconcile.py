"""Runs that died where the server could not see it: in another container, on another host, or while it was down."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.states import Running

from data.home import journal
from data.home.processes import Process
from data.home.store import Store
from flows.runs import queueing, reconcile
from tests.data.home.test_journal import record
from tests.flows.live import Live


def dead_elsewhere(store: Store, id: str, **more: object) -> None:
    """Record a run of a container that is gone: the same kernel, other process ids, and nobody holds its lock."""
    one = journal.write(store, record(id=id, **more))
    path, lock = store.journal(id), store.lock_file(f"run-{id}")
    lock.unlink()  # this test process keeps the lock of a file that is no longer there
    value = json.loads(path.read_bytes())
    value["process"].update(host="box-a", namespace="pid:[1]")
    path.write_text(json.dumps(value))
    assert one.active


@pytest.fixture
def running(live: Live) -> Iterator[UUID]:
    """A night that the server believes to run, of which no process exists."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    night = live.start("retrain/manual", when=tomorrow, dataset="mnist-sample")
    with live.client() as client:
        client.set_flow_run_state(night, Running(), force=True)
    yield night
    live.store.journal(str(night)).unlink(missing_ok=True)


@pytest.mark.fault("F-16")
@pytest.mark.server
def test_run_of_a_container_that_is_gone_is_marked_as_crashed(live: Live, running: UUID) -> None:
    """The night that follows does it; nobody needs to know the container's name."""
    dead_elsewhere(live.store, str(running), run="a-night", dataset="mnist-sample")
    with live.client():
        (message,) = reconcile.reconcile(live.store)
    assert "(a-night) is marked as Crashed" in message
    assert "box-a exited without recording a result" in message
    assert live.run(running).state_name == "Crashed"
    found = journal.find(live.store, str(running))
    assert found
    assert found.state == "crashed"


@pytest.mark.fault("F-15")
@pytest.mark.server
def test_run_whose_end_the_server_has_missed_gives_its_slot_back(
    live: Live, running: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended while the server was down, so it would count as running for ever."""
    one = journal.write(live.store, record(id=str(running), dataset="mnist-sample"))
    journal.end(live.store, one, "failed", "the server was away")
    with live.client():
        assert reconcile.reconcile(live.store) == []  # it may be about to tell the server
        assert live.run(running).state_name == "Running"
        long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        ended = journal.find(live.store, str(running))
        assert ended
        journal.write(live.store, replace(ended, ended=long_ago))
        (message,) = reconcile.reconcile(live.store)
    assert "it ended (failed) without the server being told" in message
    assert live.run(running).state_name == "Crashed"


def test_run_that_ends_well_while_another_is_marked_is_not_taken_for_crashed(store: Store) -> None:
    """Marking takes seconds on a busy server; the result of a training that ended meanwhile was overwritten."""
    dead = replace(Process.current(), started="1")
    for name in ("a0", "b0"):
        journal.write(store, record(id=name, kind="train", process=dead))
    lost = reconcile._lost(store)
    assert next(lost).id == "a0"
    other = journal.find(store, "b0")
    assert other
    journal.end(store, other, "finished", result={"digest": "x"})
    assert list(lost) == []


def test_record_that_was_read_before_its_run_ended_is_not_lost_afterwards(store: Store) -> None:
    """Whether it was dead was seen at the moment of reading."""
    one = journal.write(store, record(id="a0"))
    (seen,) = journal.read(store)
    journal.end(store, one, "finished")
    assert not seen.lost


@pytest.mark.fault("F-46")
def test_night_is_not_folded_into_one_that_died(store: Store) -> None:
    """Its slot would be lost; a night that certainly works or has finished covers the slot."""
    slot = datetime(2026, 11, 20, tzinfo=UTC).isoformat()
    ours = record(id="a0", scheduled=True, deployment="d", slots=(slot,))
    dead_elsewhere(store, "b0", scheduled=True, deployment="d", slots=(slot,))
    queueing._end_if_covered(store, ours, ("running", "finished"))  # does not raise


def test_night_on_another_machine_covers_a_slot_only_once_it_has_finished(store: Store) -> None:
    """Whether it still works cannot be seen from here; its lock is waited for instead."""
    slot = datetime(2026, 11, 20, tzinfo=UTC).isoformat()
    journal.write(store, record(id="b0", scheduled=True, deployment="d", slots=(slot,)))
    value = json.loads(store.journal("b0").read_bytes())
    value["process"].update(host="elsewhere", boot="another")
    store.journal("b0").write_text(json.dumps(value))
    os.utime(store.lock_file("run-b0"))
    queueing._end_if_covered(store, record(id="a0", scheduled=True, deployment="d", slots=(slot,)), ("running",))
