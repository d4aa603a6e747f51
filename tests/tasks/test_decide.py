"""Steps 7 and 8 on a home with trained candidates: the verdict, and what is written because of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from artifacts.gate.policy import Policy
from artifacts.judging.verdict import Judged
from artifacts.models import loading
from artifacts.models.bundle import MODEL
from artifacts.registry import champions, versions
from artifacts.serving.check import InfraResult
from data import catalogue
from data.errors import Broken
from tasks.decide import decide
from tasks.progress import Event, listening
from tasks.register import register
from tests.artifacts.registry import nights
from tests.artifacts.trained import LENIENT, SAMPLE, TrainedHome


class Serving:
    """A fresh process that serves every model, without the process."""

    def __init__(self, home: TrainedHome) -> None:
        self.home = home
        self.asked = 0

    def finish(self, folder: Path) -> InfraResult:
        """Answer as `InfraCheck.finish` does."""
        self.asked += 1
        return self.home.served(next(ref for ref in self.home.refs if ref.digest == folder.name))


def judged(home: TrainedHome, policy: Policy = LENIENT, mode: Any = "normal", reason: str = "") -> Judged:
    """Decide about the first candidate, with the second as its sibling."""
    serving: Any = Serving(home)
    row = catalogue.get(home.store, SAMPLE)
    return decide.fn(home.store, row, home.prepared, home.trained, policy, mode, reason, serving)


def test_a_promotion_is_registered_and_becomes_champion(trained: TrainedHome) -> None:
    """The first night's winner gets a version with the decision, its origin and the serving check beside it."""
    events: list[Event] = []
    with listening(events.append):
        verdict = judged(trained)
        origin = register.fn(trained.store, trained.prepared, verdict, "run-1", "schedule")
    assert (verdict.decision.verdict, verdict.decision.rule, verdict.generation) == ("PROMOTE", "first-night", 0)
    assert all(test.passed for test in verdict.self_tests)
    champion = champions.champion(trained.store, SAMPLE)
    assert champion is not None
    assert (champion.run_id, champion.provenance()) == ("run-1", origin)
    assert champion.document("decision.json")["rule"] == "first-night"
    assert champion.document("infra.json")["passed"]
    (entry,) = champions.history(trained.store, SAMPLE)
    assert (entry.who, entry.why) == ("schedule", verdict.decision.reason)
    assert events[-1].text == f"{SAMPLE}/1 is champion"
    assert [event.done for event in events if event.step == "decide"] == [0.05, 0.4, 0.6, 1.0]


def test_a_rejection_is_recorded_and_the_champion_stays(trained: TrainedHome) -> None:
    """The ledger has the decision; there is no version."""
    verdict = judged(trained, replace(LENIENT, min_accuracy=1.0))
    register.fn(trained.store, trained.prepared, verdict, "run-1", "schedule")
    (entry,) = champions.history(trained.store, SAMPLE)
    assert (entry.action, entry.run_id, entry.why) == ("reject", "run-1", verdict.decision.reason)
    assert versions.versions(trained.store, SAMPLE) == ()


def test_a_dry_run_writes_nothing(trained: TrainedHome) -> None:
    """It decides as usual, and the home stays as it is."""
    verdict = judged(trained, mode="dry-run")
    assert not verdict.answers, "the champion is another model, or none"
    before = nights.tree(trained.store.root)
    register.fn(trained.store, trained.prepared, verdict, "run-1", "schedule")
    assert verdict.decision.verdict == "PROMOTE"
    assert nights.tree(trained.store.root) == before


def test_the_same_model_again_is_recognised_and_not_judged_again(trained: TrainedHome) -> None:
    """The second night gives the first one's decision, serves nothing and writes nothing."""
    first = judged(trained)
    register.fn(trained.store, trained.prepared, first, "run-1", "schedule")
    before = nights.tree(trained.store.root)
    second = judged(trained)
    register.fn(trained.store, trained.prepared, second, "run-2", "schedule")
    assert second.unchanged.startswith(f"this exact model is {SAMPLE}/1, champion since ")
    assert (second.decision, second.infra) == (first.decision, None)
    assert nights.tree(trained.store.root) == before
    stricter = judged(trained, replace(LENIENT, min_recall=0.01))
    assert (stricter.unchanged, stricter.decision.rule) == ("", "identical")


def test_a_champion_that_answered_today_is_hashed_and_not_loaded(
    trained: TrainedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage is found all the same."""
    register.fn(trained.store, trained.prepared, judged(trained), "run-1", "schedule")
    monkeypatch.setattr(loading, "load_recorded", lambda *_: pytest.fail("a model was loaded"))
    row, serving = catalogue.get(trained.store, SAMPLE), cast(Any, Serving(trained))
    about = (trained.store, row, trained.prepared, trained.trained, LENIENT, "normal", "", serving)
    again = decide.fn(*about, answered_lately=True)
    assert again.unchanged.startswith(f"this exact model is {SAMPLE}/1, champion since ")
    assert again.unchanged.endswith(", and its files are those that were registered")
    assert not again.answers
    champion = champions.champion(trained.store, SAMPLE)
    assert champion is not None
    (champion.folder / MODEL).write_bytes(b"")
    with pytest.raises(Broken, match=f"{SAMPLE}/1 is champion, but"):
        decide.fn(*about, answered_lately=True)


def test_force_is_recorded_with_the_persons_reason(trained: TrainedHome) -> None:
    """A person's reason is in the ledger, not the gate's; the same model is judged again."""
    register.fn(trained.store, trained.prepared, judged(trained), "run-1", "schedule")
    forced = judged(trained, mode="force", reason="the scanner has changed")
    register.fn(trained.store, trained.prepared, forced, "run-2", "ada")
    newest = champions.history(trained.store, SAMPLE)[-1]
    assert (newest.action, newest.who, newest.why) == ("force", "ada", "the scanner has changed")
    assert newest.to_version == f"{SAMPLE}/2"


@pytest.mark.parametrize("passed", [True, False])
def test_a_model_that_does_not_serve_is_rejected(trained: TrainedHome, passed: bool) -> None:
    """The serving check can turn a promotion into a rejection."""
    serving: Any = Serving(trained)
    result = replace(trained.served(trained.refs[0]), passed=passed, message="it does not give the recorded answers")
    serving.finish = lambda _folder: result
    row = catalogue.get(trained.store, SAMPLE)
    verdict = decide.fn(trained.store, row, trained.prepared, trained.trained, LENIENT, "normal", "", serving)
    assert verdict.decision.rule == ("first-night" if passed else "does-not-serve")
