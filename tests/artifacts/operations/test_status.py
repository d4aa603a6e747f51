"""When somebody should look."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from artifacts.operations.status import Limits, find_alerts, notes
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
from tests.artifacts.registry import nights

NOW = datetime.now(UTC)


def night(store: Store, hours_ago: float, state: str = "finished", **more: object) -> Record:
    """Leave the record of a night that began so long ago and took an hour at most."""
    began = NOW - timedelta(hours=hours_ago)
    about = {"kind": "retrain", "run": f"night-{hours_ago:g}", "dataset": "mnist", "id": str(uuid4()), "state": state}
    times = {"began": began.isoformat(), "ended": began.isoformat() if state in ("finished", "failed") else ""}
    return journal.write(store, Record(**{**about, **times, "process": Process.current(), **more}))  # type: ignore[arg-type]


def problems(store: Store, **limits: int) -> list[str]:
    """Return what is wrong, in words."""
    return [str(alert) for alert in find_alerts(store, Limits(**limits), NOW)]


def test_home_without_a_night_wants_attention(store: Store) -> None:
    """A monitor must not be green because nothing was ever set up."""
    assert problems(store) == ["all: no run has ever started in this home"]


def test_all_is_well_after_a_night(store: Store) -> None:
    """One that was not promoted is no problem, and one that runs right now neither."""
    night(store, 24, promoted=True)
    night(store, 2)
    night(store, 0.1, state="running")
    assert problems(store) == []


@pytest.mark.parametrize("state", ["failed", "crashed"])
def test_last_night_that_failed_is_told_with_its_first_line(store: Store, state: str) -> None:
    """The first line of the reason, which says what happened; an earlier failure is history."""
    night(store, 10, state="failed", reason="old news")
    night(store, 5)
    assert problems(store) == []
    night(store, 2, state=state, reason="no mirror served it\n  -> try again")
    assert problems(store) == [f"mnist: the last run, night-2, {state}: no mirror served it"]


@pytest.mark.fault("F-47")
def test_night_whose_process_died_is_seen_without_a_server(store: Store) -> None:
    """Its record still says `running`; the kernel says otherwise."""
    night(store, 5)
    night(store, 2, state="running", process=replace(Process.current(), started="1"))
    (problem,) = problems(store)
    assert "the last run, night-2, crashed: process" in problem
    assert "exited without recording a result" in problem


def test_dry_runs_and_cancelled_nights_do_not_count(store: Store) -> None:
    """They neither succeed nor fail."""
    night(store, 40)
    night(store, 2, mode="dry-run")
    night(store, 1, state="cancelled")
    assert problems(store, success_hours=36) == ["mnist: the last run that finished did so 40 hours ago"]


def test_nights_in_vain_are_counted_since_the_last_promotion(store: Store) -> None:
    """The limit is reached by the very night."""
    night(store, 9, promoted=True)
    night(store, 8)
    night(store, 7)
    assert problems(store, not_promoted_nights=3) == []
    night(store, 6)
    assert problems(store, not_promoted_nights=3) == ["mnist: 3 consecutive runs without a promotion, the limit is 3"]


def test_nights_in_which_nothing_was_tried_are_not_in_vain(store: Store) -> None:
    """Data that did not change, or not enough, gave no other model that could have been promoted."""
    night(store, 9, promoted=True)
    for hours, verdict in ((8, "UNCHANGED"), (7, "POSTPONED"), (6, "UNCHANGED"), (5, "HOLD")):
        night(store, hours, verdict=verdict)
    assert problems(store, not_promoted_nights=2) == []
    assert problems(store, not_promoted_nights=1) == ["mnist: 1 consecutive runs without a promotion, the limit is 1"]


def test_champion_does_not_age_where_nothing_ever_changes(store: Store) -> None:
    """A hundred nights on pinned data are no alarm, and are told in one sentence; one that tried something counts."""
    nights.promote(store, nights.register(store, "a"), when=NOW - timedelta(days=101))
    night(store, 24 * 101, verdict="PROMOTE", promoted=True)
    for days in range(100, 0, -1):
        night(store, 24 * days, verdict="UNCHANGED")
    assert problems(store) == []
    assert notes(store) == ["mnist: nothing has changed for 100 nights, so there was no other model to promote"]
    night(store, 2, verdict="HOLD")
    assert problems(store) == ["mnist: mnist/1 has been champion for 101 days, the limit is 90 days"]
    assert notes(store) == []


def test_record_that_cannot_be_read_is_an_alert(store: Store) -> None:
    """It could be the last night's."""
    night(store, 2)
    store.journal("b2").write_text("{")
    (problem,) = problems(store)
    assert "b2.json is not a record of a run" in problem


def test_no_success_is_measured_from_the_first_attempt(store: Store) -> None:
    """Nights that never come to their end raise two alerts: the last failure, and the drought."""
    night(store, 50, state="failed", reason="x")
    night(store, 2, state="failed", reason="y")
    assert len(problems(store)) == 2
    assert "no run has finished; the first started 50 hours ago" in problems(store)[1]


def test_champion_that_grows_old_is_told(store: Store) -> None:
    """Its age comes from the ledger, not from the journal."""
    nights.promote(store, nights.register(store, "a"), when=NOW - timedelta(days=91))
    night(store, 2)
    assert problems(store) == ["mnist: mnist/1 has been champion for 91 days, the limit is 90 days"]
    assert problems(store, champion_days=92) == []


def test_a_damaged_registry_is_an_alert_and_hides_none(store: Store) -> None:
    """Pointer and ledger of one dataset are gone: that is an alert, also where no night is on record."""
    nights.night(store, "a")
    night(store, 2, dataset="kmnist", state="failed", reason="no mirror served it")
    for path in (store.champion(nights.DATASET), store.ledger(nights.DATASET)):
        path.unlink()
    found = problems(store)
    assert any("kmnist" in alert and "no mirror served it" in alert for alert in found)
    assert any("neither a champion pointer nor a promotion" in alert for alert in found)
