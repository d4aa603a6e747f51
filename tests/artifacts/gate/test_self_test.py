import numpy as np
import pytest

from artifacts.gate.policy import Policy
from artifacts.gate.self_test import SelfTest, self_test
from tests.artifacts.gate.gate_cases import (
    CHAMPION,
    LABELS,
    NAMES,
    POLICY,
    N,
    answers,
)


def test_the_gate_passes_its_own_tests() -> None:
    """Champion against itself, handfuls of better answers on both sides of the level, and a canary."""
    canary = np.zeros_like(LABELS)
    assert CHAMPION.predicted is not None
    assert self_test(LABELS, CHAMPION.predicted, canary, NAMES, POLICY) == (
        SelfTest("the champion against itself", "HOLD", "HOLD", True),
        SelfTest("a copy of the champion with 8 more right answers", "HOLD", "HOLD", True),
        SelfTest("a copy of the champion with 9 more right answers", "PROMOTE", "PROMOTE", True),
        SelfTest("a canary that gives shuffled labels", "REJECT", "REJECT", True),
    )


@pytest.mark.parametrize("mistakes", [0, 1, 8, 500, 6000, 10_000])
@pytest.mark.parametrize(
    "policy",
    [
        POLICY,
        Policy(promote_when="not-worse", min_shifted=0.9, min_noisy=0.9, min_rotated=0.9),
        Policy(max_lost=0.0, max_lost_per_class=0.0, yearly_errors=0.001),
        Policy(max_megabytes=0.001, max_latency_ms=0.001),
        Policy(min_accuracy=0.0, min_recall=0.0, max_lost=1.0, max_lost_per_class=1.0, promote_when="not-worse"),
    ],
)
def test_the_self_test_works_with_any_champion_and_policy(mistakes: int, policy: Policy) -> None:
    """Perfect and useless champions, and strict and lenient policies, are tested all the same."""
    results = self_test(LABELS, answers(range(mistakes)), np.full_like(LABELS, 3), NAMES, policy)
    assert [result.passed for result in results] == [True] * 4


def test_the_self_test_of_a_tiny_test_set_expects_no_promotion() -> None:
    """With fewer images than the level needs, even a perfect copy must be held."""
    labels = np.array([0, 1, 0, 1])
    results = self_test(labels, labels, 1 - labels, ("a", "b"), Policy())
    assert [result.got for result in results] == ["HOLD", "HOLD", "HOLD", "REJECT"]
    assert all(result.passed for result in results)


def test_the_self_test_notices_a_canary_that_is_let_through() -> None:
    """A canary that knows the labels fails the self-test: that is what it is for."""
    assert CHAMPION.predicted is not None
    results = self_test(LABELS, CHAMPION.predicted, LABELS.copy(), NAMES, POLICY)
    assert results[-1] == SelfTest("a canary that gives shuffled labels", "REJECT", "HOLD", False)


def test_the_canary_is_judged_by_the_policy_of_the_night() -> None:
    """A canary that beats a useless champion is still rejected by the floors."""
    results = self_test(LABELS, answers(range(N)), answers(range(5000)), NAMES, POLICY)
    assert results[-1].got == "REJECT"
