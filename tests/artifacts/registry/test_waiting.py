"""Versions that wait for a person: what ends a waiting, and who is refused."""

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from artifacts.registry import bars, champions, ledger, versions, waiting
from artifacts.registry.ledger import Entry
from data.errors import BadInput, Conflict, Corrupt
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.invariants import assert_clean, assert_hold
from tests.artifacts.registry.nights import BY_ME, DATASET

LATER = datetime.now(UTC) + timedelta(days=15)


def approve(store: Store, name: str, **changes: Any) -> Entry:
    """Approve with the newest generation and the night's decision."""
    token = champions.generation(store, DATASET)
    values = {"decision": nights.decision(), "generation": token, **BY_ME}
    return waiting.approve(store, versions.find(store, name), **values | changes)


def actions(store: Store) -> list[str]:
    """What the ledger has, in order."""
    return [entry.action for entry in ledger.read(store, DATASET)]


def now_waiting(store: Store, when: datetime | None = None) -> str | None:
    """What waits."""
    found = waiting.current(champions.history(store, DATASET), when)
    return found.version if found else None


def test_what_waits_is_stored_and_the_champion_stays(store: Store) -> None:
    """A line with the decision, no move of the pointer, and every invariant as before."""
    nights.night(store, "a")
    version = nights.waits(store, "b")
    assert now_waiting(store) == version.id == "mnist/2"
    assert nights.champion_id(store) == "mnist/1"
    entry = champions.history(store, DATASET)[-1]
    assert (entry.action, entry.verdict, entry.from_version, entry.generation) == ("wait", "PROMOTE", "mnist/1", None)
    assert entry.digests["manifest"] == version.manifest_digest
    assert_hold(store, ("mnist/1",))
    assert_clean(store)


def test_an_approved_version_is_champion_and_waits_no_longer(store: Store) -> None:
    """One line, which names the one it answers; a second approver is given the same line."""
    nights.waits(store, "a")
    entry = approve(store, "mnist/1", why="looked at its mistakes")
    assert (entry.action, entry.who, entry.generation) == ("promote", "me", 1)
    assert entry.digests["answers"] == ledger.read(store, DATASET)[0].hash
    assert approve(store, "mnist/1", generation=0, who="somebody else") == entry
    assert now_waiting(store) is None
    assert actions(store) == ["wait", "promote"]
    assert_hold(store, ("mnist/1",))


def test_of_two_approvers_at_once_one_promotes(store: Store) -> None:
    """The other one gets the same line, so that there is one promotion."""
    nights.waits(store, "a")
    children = []
    for who in ("ada", "grace"):
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if approve(store, "mnist/1", generation=0, who=who) else 1)
            except BaseException:  # noqa: BLE001  (the child must never return into pytest)
                os._exit(3)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
    assert actions(store) == ["wait", "promote"]


def test_an_approval_of_an_old_comparison_is_refused(store: Store) -> None:
    """The champion has changed since: the caller has to compare with the new one."""
    nights.night(store, "a")
    nights.waits(store, "b")
    token = champions.generation(store, DATASET)
    nights.night(store, "c")
    with pytest.raises(Conflict, match="mnist/2 was compared with the champion of generation 1"):
        approve(store, "mnist/2", generation=token)
    assert now_waiting(store) == "mnist/2"
    assert nights.champion_id(store) == "mnist/3"


def test_a_sleeper_that_wakes_up_cannot_approve_over_a_newer_champion(store: Store) -> None:
    """An approver stopped between comparison and promotion, and woken late, is fenced off."""
    nights.night(store, "a")
    nights.waits(store, "b")
    pid = os.fork()
    if pid == 0:
        try:
            token = champions.generation(store, DATASET)
            os.kill(os.getpid(), signal.SIGSTOP)
            approve(store, "mnist/2", generation=token)
        except Conflict:
            os._exit(7)
        except BaseException:  # noqa: BLE001  (the child must never return into pytest)
            os._exit(3)
        os._exit(0)
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    nights.night(store, "c")
    os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert nights.champion_id(store) == "mnist/3"


def test_a_declined_version_is_refused_with_who_and_why(store: Store) -> None:
    """Declining twice changes nothing twice."""
    nights.waits(store, "a")
    line = waiting.decline(store, "mnist/1", who="ada", why="confuses 4 and 9")
    assert waiting.decline(store, "mnist/1", who="ada", why="confuses 4 and 9") == line
    with pytest.raises(BadInput, match=r"mnist/1 was declined by ada on .*: confuses 4 and 9"):
        approve(store, "mnist/1")
    assert actions(store) == ["wait", "decline"]
    assert nights.champion_id(store) is None


def test_a_waiting_expires_and_the_ledger_says_so(store: Store) -> None:
    """After the policy's days it cannot be approved, and the next night writes the line once."""
    decision = nights.decision(policy={"approval_days": 10})
    nights.waits(store, "a", decision=decision, when=datetime(2026, 11, 1, tzinfo=UTC))
    early, late = (datetime(2026, 11, day, tzinfo=UTC) for day in (10, 11))
    assert now_waiting(store, early) == "mnist/1"
    assert now_waiting(store, late) is None
    with pytest.raises(BadInput, match="mnist/1 has waited for approval, and expired on 2026-11-11 00:00 UTC"):
        approve(store, "mnist/1", when=late)
    assert waiting.expire(store, DATASET, who="schedule", when=early) is None
    line = waiting.expire(store, DATASET, who="schedule", when=late)
    assert line is not None
    assert line.why == "nobody approved or declined it within 10 days"
    assert waiting.expire(store, DATASET, who="schedule", when=late) is None
    assert actions(store) == ["wait", "expire"]


def test_a_later_candidate_takes_the_place_of_what_waits(store: Store) -> None:
    """One waits at a time; the earlier one is refused with the name of the later one."""
    nights.waits(store, "a")
    nights.waits(store, "b")
    assert now_waiting(store) == "mnist/2"
    with pytest.raises(BadInput, match="mnist/1 no longer waits: mnist/2 took its place"):
        approve(store, "mnist/1")


def test_a_barred_or_damaged_version_is_not_approved(store: Store) -> None:
    """Nothing moves; what is damaged can still be declined."""
    version = nights.waits(store, "a")
    bars.bar(store, version.id, who="ada", why="trained on mislabelled data")
    with pytest.raises(BadInput, match=r"mnist/1 is barred since .* by ada: trained on mislabelled data"):
        approve(store, version.id)
    bars.lift(store, version.id, who="ada", why="the labels were right")
    nights.flip(version.model)
    with pytest.raises(Corrupt, match=r"model.keras has changed"):
        approve(store, version.id)
    assert nights.champion_id(store) is None
    waiting.decline(store, version.id, who="ada", why="damaged")
    assert now_waiting(store) is None


def test_what_never_waited_or_is_unknown_is_refused(store: Store) -> None:
    """A version that was promoted by itself does not wait, and a name that is none is no version."""
    nights.night(store, "a")
    nights.night(store, "b")
    with pytest.raises(BadInput, match="mnist/1 does not wait for approval"):
        approve(store, "mnist/1")
    with pytest.raises(BadInput, match=r"'\.\./1' is not a version"):
        waiting.decline(store, "../1", **BY_ME)


def test_what_loses_on_approval_waits_no_longer(store: Store) -> None:
    """The gate's new verdict is in the ledger, once."""
    nights.night(store, "a")
    version = nights.waits(store, "b")
    held = nights.decision("HOLD", reason="within the noise")
    line = waiting.lose(store, version, decision=held, generation=1, who="ada", why="within the noise")
    assert (line.action, line.to_version, line.run_id) == ("hold", None, version.run_id)
    with pytest.raises(BadInput, match=r"mnist/2 was judged again on approval on .*, and lost: within the noise"):
        approve(store, version.id)


def test_a_rollback_does_not_go_to_what_waits(store: Store) -> None:
    """It was never champion, so going back to it is not what is meant."""
    nights.night(store, "a")
    nights.waits(store, "b")
    with pytest.raises(BadInput, match="mnist/2 was never champion: it waited for a person's approval"):
        champions.rollback(store, DATASET, to="mnist/2", **BY_ME)


def test_the_look_of_a_night_counts_whether_or_not_a_person_approves(store: Store) -> None:
    """It is counted when it waits; an approval adds none, and then the look has promoted."""
    look = {"when": "2026-11-20", "spent": 0.01}
    nights.waits(store, "a", decision=nights.decision(look=look))
    assert ledger.looks(champions.history(store, DATASET)) == ({**look, "promoted": False},)
    approve(store, "mnist/1")
    assert ledger.looks(champions.history(store, DATASET)) == ({**look, "promoted": True},)
    test_digest = champions.history(store, DATASET)[0].digests["test"]
    assert len(ledger.decided(champions.history(store, DATASET), test_digest)) == 1
