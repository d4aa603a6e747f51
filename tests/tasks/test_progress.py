"""What a run reports while it works: to listeners, to the log, and as a note."""

import logging
from typing import Any
from uuid import UUID

import pytest

from tasks import progress
from tasks.progress import Bar, Event, listening, say

NOTE = UUID(int=1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """A run of Prefect as far as this module can see; the list gets every update of its note."""
    updates: list[dict[str, Any]] = []
    caplog.set_level(logging.INFO, "a run")
    monkeypatch.setattr(progress, "get_run_context", object)
    monkeypatch.setattr(progress, "get_run_logger", lambda: logging.getLogger("a run"))
    monkeypatch.setattr(progress, "create_progress_artifact", lambda *_, **__: NOTE)
    monkeypatch.setattr(
        progress, "update_progress_artifact", lambda note, **what: updates.append({"note": note, **what})
    )
    return updates


def test_listeners_get_every_event_while_they_listen() -> None:
    """Outside a run of Prefect, too, and no more after they have stopped."""
    events: list[Event] = []
    with listening(events.append):
        say("train", "epoch 1", 0.5)
        say("train", "a remark")
    say("train", "nobody listens")
    assert events == [Event("train", "epoch 1", 0.5), Event("train", "a remark", None)]


def test_a_listener_that_fails_has_stopped_listening() -> None:
    """An exception inside the block does not leave the listener behind."""
    events: list[Event] = []
    with pytest.raises(RuntimeError), listening(events.append):
        raise RuntimeError
    say("train", "nobody listens")
    assert events == []


def test_the_log_has_remarks_and_ends_but_no_mere_progress(
    run: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """A line per epoch would hide what matters."""
    say("train", "half done", 0.5)
    say("train", "done", 1.0)
    say("train", "a remark")
    assert [record.getMessage() for record in caplog.records] == ["train: done", "train: a remark"]


def test_a_note_is_updated_at_most_so_often_and_at_the_end(run: list[dict[str, Any]]) -> None:
    """Each update is a request to the server; the last one is always made."""
    bar = Bar("train", every_s=3600.0)
    for done in (0.0, 0.1, 0.2):
        bar(done, "working")
    bar(1.0, "done")
    assert [(update["note"], update["progress"]) for update in run][-1] == (NOTE, 100.0)
    assert len(run) <= 2
    assert run[-1]["description"] == "train: done"


def test_outside_a_run_there_is_no_note() -> None:
    """A test or a notebook needs no server."""
    events: list[Event] = []
    with listening(events.append):
        Bar("train")(1.0, "done")
    assert events == [Event("train", "done", 1.0)]
