"""The nightly removal of what is no longer needed."""

from typing import Any

import pytest

from data.home.store import Store
from flows import clean_up
from flows.settings import Settings
from tasks import progress
from tests.artifacts.registry.nights import DATASET, night
from tests.artifacts.upkeep.test_garbage import published


def said(store: Store, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> list[str]:
    """Run the flow's function in a home, without a server; return what it said."""
    lines: list[str] = []
    monkeypatch.setattr(clean_up, "settings", lambda: Settings(home=store.root))
    with progress.listening(lambda event: lines.append(event.text)):
        clean_up.gc.fn(**parameters)
    return lines


def test_what_is_not_needed_is_removed_and_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing is named; a run that is under way makes it wait for another day."""
    night(store, "a")
    old = published(store, "runs", "night-1")
    with store.lock(f"night-{DATASET}"):
        lines = said(store, monkeypatch, keep=0)
    assert lines == ["a night of mnist is under way: nothing is removed today"]
    assert old.exists()
    lines = said(store, monkeypatch, keep=0)
    assert lines == [f"removed {old}", "1 things removed, 0.0 MB"]
    assert not old.exists()


def test_a_registry_that_cannot_be_read_is_a_failure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed is not known, so nothing is removed, and the run fails."""
    night(store, "a")
    old = published(store, "runs", "night-1")
    store.champion(DATASET).write_bytes(b"junk")
    monkeypatch.setattr(clean_up, "settings", lambda: Settings(home=store.root))
    failed = clean_up.gc.fn(keep=0)
    assert "champion.json" in failed.message
    assert old.exists()
