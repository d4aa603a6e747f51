"""What surrounds the gate's decision: the fresh process, the gate's own test, a night on which nothing has changed."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.evaluation.test_set import TestSet
from artifacts.gate.evidence import Scored
from artifacts.gate.judge import judge
from artifacts.gate.policy import Policy
from artifacts.judging import verdict
from artifacts.judging.scoring import Scores
from artifacts.registry import ledger
from artifacts.serving.check import Budgets, InfraResult, judged
from data import catalogue
from data.errors import Broken
from data.home.store import Store
from tests.artifacts.gate.gate_cases import EVIDENCE, FORCE, POLICY, candidate

SLOW = InfraResult(False, "", "ab", 1.2, 812.0, None, 1e-7, True, 64)
LENIENT = Policy(min_accuracy=0.0, min_recall=0.0, max_lost=1.0, max_lost_per_class=1.0)


def shown(title: str) -> str:
    """What the runbook shows under a title."""
    found = re.search(rf"\*\*{title}\*\*[^\n]*\n\n```\n(.*?)\n```", Path("docs/runbook.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_a_model_that_a_fresh_process_cannot_use_is_rejected() -> None:
    """Whatever the gate says, and by force as well; the runbook shows the message as printed."""
    result = judged(replace(SLOW, latency_ms=2.1, argmax_equal=False), 1_000_000, verdict.budgets(POLICY))
    for how in ({}, FORCE):
        decision = verdict.reject_unless_served(judge(EVIDENCE, POLICY, **how), result)  # type: ignore[arg-type]
        assert (decision.verdict, decision.rule) == ("REJECT", "does-not-serve")
        assert "\n".join((str(decision).splitlines()[0], str(decision).splitlines()[-1])) == shown("It does not serve")
    passed = judged(replace(SLOW, latency_ms=2.1), 1_000_000, verdict.budgets(POLICY))
    assert verdict.reject_unless_served(judge(EVIDENCE, POLICY), passed) == judge(EVIDENCE, POLICY)


def test_a_requirement_that_is_not_met_is_named_even_if_the_model_does_not_serve_either() -> None:
    """A model that is too slow fails the policy's own requirement, which says more than that it does not serve."""
    slow = judge(replace(EVIDENCE, candidate=candidate(31, 12, latency_ms=812.0)), POLICY)
    result = judged(SLOW, 1_000_000, verdict.budgets(POLICY))
    assert not result.passed
    assert verdict.reject_unless_served(slow, result) == slow
    assert "milliseconds per image is 812, required is <= 200" in slow.reason


def test_the_fresh_process_has_the_budgets_of_the_policy() -> None:
    """Whoever allows a slower or larger model by hand is not refused by a second, hidden limit."""
    allowed = verdict.budgets(Policy(max_latency_ms=1000.0, max_megabytes=500.0))
    assert judged(replace(SLOW, max_abs_diff=0.0), 500_000_000, allowed).passed
    assert not judged(replace(SLOW, max_abs_diff=0.0), 500_000_000, verdict.budgets(POLICY)).passed
    assert allowed.load_s == Budgets().load_s


def gate_tested(labels: Any, policy: Policy) -> Any:
    """Put the gate to its test on a night with these labels, whose candidate is always right."""
    tests = TestSet(np.zeros((len(labels), 28, 28), np.uint8), labels, "digest")
    scores = Scores(Scored("cnn-seed0", labels), np.zeros((len(labels), 10), np.float32))
    return verdict.require_self_test(
        catalogue.get(Store(Path("nowhere")), "mnist"), tests, scores.scored.predicted, None, policy
    )


def test_a_gate_that_fails_its_own_test_stops_the_night() -> None:
    """Two images and no requirements: the canary cannot be told from the champion, and nothing may be decided."""
    assert [test.passed for test in gate_tested(np.arange(500) % 10, LENIENT)] == [True] * 4
    with pytest.raises(Broken, match="the gate failed its self-test") as broken:
        gate_tested(np.array([0, 1]), LENIENT)
    assert str(broken.value) == shown("The gate failed its self-test")


def test_a_night_on_which_nothing_has_changed_says_so() -> None:
    """Whether the model is champion or was held, the message says since when and why; the runbook shows both."""
    when = {"who": "schedule", "when": datetime(2026, 11, 20, 3, 30, tzinfo=UTC)}
    promoted = ledger.following((), action="promote", why="better", to_version="mnist/3", **when)  # type: ignore[arg-type]
    held = judge(replace(EVIDENCE, candidate=candidate(24, 15)), POLICY)
    hold = ledger.following((), action="hold", why=held.reason, from_version="mnist/3", **when)  # type: ignore[arg-type]
    for earlier, result in ((promoted, "promoted"), (hold, "held")):
        printed = f"NOT PROMOTED (UNCHANGED): {verdict.unchanged_message(earlier)}"
        assert printed == shown(f"Nothing has changed since it was {result}")
