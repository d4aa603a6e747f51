"""What earlier nights did is known by their records, and counts only where it still holds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data import catalogue
from data.growth import Growth
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
from flows.runs import due

CHAMPION = "mnist/3"
ASKED = due.asked_for(due.candidates(["tiny", "mlp"], 0, 2), {})


def night(store: Store, hours_ago: float = 1.0, **result: Any) -> None:
    """Record a night that ended some hours ago."""
    ended = (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat(timespec="seconds")
    about: dict[str, Any] = {"id": "a", "kind": "retrain", "run": "r", "dataset": "mnist", "state": "finished"}
    journal.write(store, Record(**about, process=Process.current(), began=ended, ended=ended, result=result))


def test_seeds_are_counted_from_the_first() -> None:
    """Every recipe is trained with every seed."""
    assert [(one.recipe, one.seed) for one in due.candidates(["tiny", "mlp"], 4, 2)] == [
        ("tiny", 4),
        ("tiny", 5),
        ("mlp", 4),
        ("mlp", 5),
    ]


def test_a_night_that_was_asked_for_the_same_is_found(store: Store) -> None:
    """Unless the data may have grown since."""
    row = catalogue.get(store, "mnist")
    assert not due.done_before(store, row, ASKED)
    night(store, asked=ASKED, snapshot="")
    assert due.done_before(store, row, ASKED)
    assert not due.done_before(store, row, due.asked_for(due.candidates(["tiny"], 0, 1), {}))
    assert not due.done_before(store, row.__class__(**{**vars(row), "growth": Growth()}), ASKED)


def test_answers_of_a_champion_hold_for_less_than_a_day(store: Store) -> None:
    """A nightly run loads it again."""
    assert not due.answered_lately(store, "mnist", CHAMPION)
    night(store, 20.1, answered=due.answered(CHAMPION))
    assert not due.answered_lately(store, "mnist", CHAMPION)
    night(store, 19.9, answered=due.answered(CHAMPION))
    assert due.answered_lately(store, "mnist", CHAMPION)
    assert not due.answered_lately(store, "mnist", "mnist/2")
    assert not due.answered_lately(store, "fashion-mnist", CHAMPION)


def test_a_clock_that_was_set_back_proves_nothing(store: Store) -> None:
    """An answer that is still to come does not count."""
    night(store, -1.0, answered=due.answered(CHAMPION))
    assert not due.answered_lately(store, "mnist", CHAMPION)


@pytest.mark.parametrize("what", ["node", "library_versions"])
def test_answers_elsewhere_prove_nothing_here(store: Store, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Another host may compute differently, and so may another library."""
    night(store, answered=due.answered(CHAMPION))
    assert due.answered_lately(store, "mnist", CHAMPION)
    monkeypatch.setattr(due, what, lambda *_: "other")
    assert not due.answered_lately(store, "mnist", CHAMPION)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty home."""
    return Store(tmp_path / "home")
