"""One night per dataset at a time, and a record of each, however it ends."""

from queue import Queue
from threading import Thread
from uuid import uuid4

import pytest

from data.errors import TrainingFailed
from data.home import journal
from data.home.journal import Record
from data.home.store import Store
from flows.runs import queueing
from flows.runs import record as records
from tasks.progress import listening
from tests.data.home.test_journal import record

PATIENCE_S = 300.0


@pytest.mark.fault("F-22")
def test_second_night_of_a_dataset_waits_and_says_for_whom(store: Store) -> None:
    """It goes on when the first one has ended; a night of another dataset does not wait."""
    first = journal.write(store, record(run="first", dataset="mnist"))
    second, other = record(run="second", dataset="mnist"), record(run="other", dataset="fashion-mnist")
    heard: Queue[str] = Queue()
    began: Queue[Record] = Queue()

    def night(mine: Record) -> None:
        with queueing.one_night_at_a_time(store, mine) as now:
            began.put(now)

    with listening(lambda event: heard.put(event.text)), queueing.one_night_at_a_time(store, first):
        waiting = Thread(target=night, args=(second,))
        waiting.start()
        assert heard.get(timeout=PATIENCE_S) == "waiting for first: one night of mnist at a time"
        night(other)
        assert began.get(timeout=PATIENCE_S).run == "other"
        assert began.empty()
    assert began.get(timeout=PATIENCE_S).run == "second"
    waiting.join(PATIENCE_S)
    assert [one.state for one in journal.read(store) if one.run == "second"] == ["running"]


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (TrainingFailed("no loss", "fix it"), "failed", "no loss\n  -> fix it"),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt: "),
    ],
)
def test_record_says_how_a_run_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: BaseException, state: str, reason: str
) -> None:
    """An exception is recorded as failed, an interrupt as cancelled, each with its reason."""
    run = str(uuid4())
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", run)

    def night() -> None:
        with records.recorded(store, "retrain", "a-night", "mnist") as mine:
            assert journal.find(store, run) == mine
            raise error

    with pytest.raises(type(error)):
        night()
    ended = journal.find(store, run)
    assert ended
    assert (ended.state, ended.reason) == (state, reason)
    assert ended.ended
