"""Nights that ask a person, and the answers, on a home with trained candidates."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artifacts.evaluation.candidates import Trained
from artifacts.gate.policy import Policy
from artifacts.judging.verdict import Judged
from artifacts.models import bundle
from artifacts.operations import approval, status
from artifacts.registry import champions, ledger, versions, waiting
from artifacts.registry.ledger import Entry
from artifacts.serving import check
from artifacts.serving.check import InfraResult
from artifacts.upkeep.needed import needed
from data import catalogue
from data.errors import BadInput, Broken
from tasks.answer import answer
from tasks.decide import decide
from tasks.register import register
from tests.artifacts.registry import nights
from tests.artifacts.trained import LENIENT, SAMPLE, TrainedHome

ASK = replace(LENIENT, promotion="ask")
ASK_NOT_WORSE = replace(ASK, promote_when="not-worse", margin=0.2)


class Serving:
    """A fresh process that serves every model, without the process."""

    def __init__(self, home: TrainedHome) -> None:
        self.home, self.passed = home, True

    @contextmanager
    def start(self, budgets: object) -> Iterator["Serving"]:
        """Take the place of `start_infra_check`."""
        assert budgets
        yield self

    def finish(self, folder: Path) -> InfraResult:
        """Answer as `InfraCheck.finish` does."""
        model = self.home.store.files(folder)[bundle.MODEL]["sha256"]
        return InfraResult(self.passed, "reproduced 64 recorded answers", model, latency_ms=1.0)


@pytest.fixture
def serving(trained: TrainedHome, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """The serving check of the test."""
    made = Serving(trained)
    monkeypatch.setattr(check, "start_infra_check", made.start)
    return made


def night(home: TrainedHome, winner: int = 0, policy: Policy = ASK, run: str = "run-1", **changes: Any) -> Judged:
    """Decide about one candidate, and register the decision."""
    row, serving, mode = catalogue.get(home.store, SAMPLE), Serving(home), changes.pop("mode", "normal")
    finished: list[Trained] = [replace(home.trained[winner], **changes)]
    reason = "a test" if mode == "force" else ""
    given: Any = serving
    judged = decide.fn(home.store, row, home.prepared, finished, policy, mode, reason, given)
    register.fn(home.store, home.prepared, judged, run, "schedule")
    return judged


def give(home: TrainedHome, choice: str = "approve", name: str = SAMPLE, who: str = "ada") -> Entry:
    """Answer for what waits."""
    return answer.fn(home.store, name, choice, who, "looked at its mistakes")


def actions(home: TrainedHome) -> list[str]:
    """What the ledger has, in order."""
    return [entry.action for entry in champions.history(home.store, SAMPLE)]


def test_a_night_that_asks_stores_the_model_and_promotes_nothing(trained: TrainedHome) -> None:
    """The same night again says that it waits, and writes nothing; status names it, and its training is kept."""
    judged = night(trained)
    assert (judged.verdict, judged.decision.verdict, judged.decision.policy.promotion) == ("WAITING", "PROMOTE", "ask")
    assert champions.champion_id(trained.store, SAMPLE) is None
    assert [version.id for version in versions.versions(trained.store, SAMPLE)] == [f"{SAMPLE}/1"]
    before = nights.tree(trained.store.root)
    again = night(trained, run="run-2")
    assert again.verdict == "WAITING"
    assert f"; {SAMPLE}/1 waits for a person's approval until " in again.unchanged
    assert nights.tree(trained.store.root) == before
    (note,) = status.notes(trained.store)
    assert f"nightshift approve {SAMPLE}/1" in note
    assert {trained.refs[0].digest, trained.prepared.digest} <= needed(trained.store, 0).digests


def test_an_approved_model_is_champion_by_the_comparison_of_its_night(trained: TrainedHome, serving: Serving) -> None:
    """Against the same champion nothing is compared again; who approves last is told who did."""
    night(trained)
    entry = give(trained)
    assert (entry.action, entry.who, entry.why) == ("promote", "ada", "looked at its mistakes")
    assert entry.decision["rule"] == "first-night"
    assert champions.champion_id(trained.store, SAMPLE) == f"{SAMPLE}/1"
    late = approval.approve(trained.store, f"{SAMPLE}/1", who="grace", why="me, too")
    assert (late.new, late.entry) == (False, entry)
    assert late.sentence() == (
        f"{SAMPLE}/1 is champion already: promote by ada on {entry.when[:10]} (looked at its mistakes)"
    )
    assert night(trained, run="run-2").unchanged.startswith(f"this exact model is {SAMPLE}/1, champion since ")
    assert actions(trained) == ["wait", "promote"]


def test_a_declined_model_is_not_offered_again(trained: TrainedHome, serving: Serving) -> None:
    """The same night again says who declined it; by force it can still be promoted, with a reason."""
    night(trained)
    assert give(trained, "decline").action == "decline"
    again = night(trained, run="run-2")
    assert again.verdict == "UNCHANGED"
    assert f"{SAMPLE}/1 was declined by ada" in again.unchanged
    with pytest.raises(BadInput, match="was declined by ada on"):
        give(trained)
    forced = night(trained, run="run-3", mode="force")
    assert forced.verdict == "PROMOTE"
    assert champions.champion_id(trained.store, SAMPLE) == f"{SAMPLE}/2"


def test_against_another_champion_the_gate_decides_again_and_may_promote(
    trained: TrainedHome, serving: Serving
) -> None:
    """The look of the new comparison is in the ledger, and counts."""
    night(trained, policy=ASK_NOT_WORSE)
    trained.promote(1)
    entry = give(trained)
    assert (entry.action, entry.from_version, entry.to_version) == ("promote", f"{SAMPLE}/2", f"{SAMPLE}/1")
    assert entry.decision["champion"]["name"] == f"{SAMPLE}/2"
    (look,) = ledger.looks(champions.history(trained.store, SAMPLE))
    assert (look["champion"], look["promoted"]) == (f"{SAMPLE}/2", True)
    waits = champions.history(trained.store, SAMPLE)[0]
    assert look["recipe"] == waits.digests["recipe"]


def test_what_the_gate_no_longer_promotes_waits_no_longer(trained: TrainedHome, serving: Serving) -> None:
    """Asking again is refused, so that an approval gives no further tries."""
    night(trained)
    trained.promote(1)
    entry = give(trained)
    assert entry.action in ("hold", "reject")
    assert champions.champion_id(trained.store, SAMPLE) == f"{SAMPLE}/2"
    with pytest.raises(BadInput, match=r"was judged again on approval on .*, and lost"):
        give(trained)
    assert len(ledger.looks(champions.history(trained.store, SAMPLE))) == 1


def test_a_champion_that_changes_while_a_model_is_scored_is_what_it_is_compared_with(
    trained: TrainedHome, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loser of a race decides again: the other promotion stands, and the gate compares with it."""
    night(trained, policy=ASK_NOT_WORSE)
    genuine, calls = serving.finish, []

    def slow(folder: Path) -> InfraResult:
        if not calls:
            trained.promote(1)
        calls.append(folder)
        return genuine(folder)

    monkeypatch.setattr(serving, "finish", slow)
    entry = give(trained)
    assert len(calls) == 2
    assert (entry.from_version, entry.decision["champion"]["name"]) == (f"{SAMPLE}/2", f"{SAMPLE}/2")


def test_a_worse_candidate_does_not_take_the_place_of_what_waits(trained: TrainedHome) -> None:
    """By validation accuracy, on the same data; a better one does."""
    waits = night(trained).chosen
    worse = replace(waits.validation, accuracy=waits.validation.accuracy - 0.01)
    held = night(trained, 1, run="run-2", validation=worse)
    assert (held.decision.verdict, held.decision.rule) == ("HOLD", "a-better-one-waits")
    better = replace(waits.validation, accuracy=1.0)
    assert night(trained, 1, ASK_NOT_WORSE, run="run-3", validation=better).verdict == "WAITING"
    now = waiting.current(champions.history(trained.store, SAMPLE))
    assert now is not None
    assert now.version == f"{SAMPLE}/2"


def test_a_model_that_no_longer_serves_or_answers_as_recorded_is_not_approved(
    trained: TrainedHome, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, and it still waits."""
    night(trained)
    serving.passed = False
    with pytest.raises(BadInput, match=f"{SAMPLE}/1 fails the serving check"):
        give(trained)
    serving.passed = True
    monkeypatch.setattr(approval.scoring, "score_folder", lambda *_: _Turned(trained))
    with pytest.raises(Broken, match=r"the predictions of mnist-sample/1 for \d+ of \d+ test images are not those"):
        give(trained)
    assert actions(trained) == ["wait"]


class _Turned:
    """Predictions that are all wrong."""

    def __init__(self, home: TrainedHome) -> None:
        self.scored = self
        self.predicted = 9 - home.tests.labels


def test_the_automatic_policy_promotes_at_once_and_nothing_waits(trained: TrainedHome) -> None:
    """The default."""
    assert night(trained, policy=LENIENT).verdict == "PROMOTE"
    assert actions(trained) == ["promote"]
    with pytest.raises(BadInput, match=f"nothing of {SAMPLE} waits for approval"):
        approval.waits(trained.store, SAMPLE)
