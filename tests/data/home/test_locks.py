"""Waiting for a lock: reported once, bounded in time, and not at all where the lock is free."""

from contextlib import ExitStack

import pytest

from data.home.locks import wait_for
from data.home.store import Store


def test_a_free_lock_is_not_waited_for(store: Store) -> None:
    """Nothing is reported, and a timeout of zero is enough."""
    reports: list[str] = []
    with store.lock("one", timeout_s=0, on_wait=lambda: reports.append("waiting")):
        pass
    assert reports == []


def test_waiting_is_reported_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many attempts it takes until the holder releases it."""
    reports: list[str] = []
    with ExitStack() as holder:
        holder.enter_context(store.lock("one"))
        pauses = iter([lambda: None, lambda: None, holder.close])
        monkeypatch.setattr("data.home.locks.time.sleep", lambda _: next(pauses)())
        with store.lock("one", on_wait=lambda: reports.append("waiting")):
            assert next(pauses, None) is None
    assert reports == ["waiting"]


def test_waiting_ends_when_the_time_is_up(store: Store) -> None:
    """With an error that is no file's fault; a timeout in the past still tries once."""
    for timeout_s in (0.02, 0, -1):
        with store.lock("one"), pytest.raises(BlockingIOError), store.lock("one", timeout_s=timeout_s):
            pass
    with store.lock("one", timeout_s=-1):
        pass


def test_the_first_result_that_is_true_is_returned() -> None:
    """Such as the first GPU of several that is free."""
    results = iter([None, None, "gpu-1"])
    assert wait_for(lambda: next(results), poll_s=0.001) == "gpu-1"
