"""Does the gate itself still work? Every night it is asked about models whose verdict is known."""

import math
from dataclasses import dataclass, replace

import numpy as np

from artifacts.gate.decision import Verdict
from artifacts.gate.evidence import Champion, Evidence, Labels, Scored
from artifacts.gate.judge import judge
from artifacts.gate.paired_tests import spent
from artifacts.gate.policy import Policy


@dataclass(frozen=True)
class SelfTest:
    """One question whose answer is known, and what the gate said."""

    name: str
    expected: Verdict
    got: Verdict
    passed: bool


def self_test(
    labels: Labels, champion: Labels, canary: Labels, class_names: tuple[str, ...], policy: Policy
) -> tuple[SelfTest, ...]:
    """Ask the gate about models whose verdict is known; a night on which one of these fails is broken.

    Args:
        labels: int64 of shape (n,), tonight's test labels.
        champion: int64 of shape (n,), the champion's predictions (the candidate's, on a first night).
        canary: int64 of shape (n,), the labels, shuffled: answers that know nothing of the images.
        class_names: what the labels mean.
        policy: tonight's.
    """
    # the demands are left aside where the comparison is to be tested: an old champion may no longer meet them
    lenient = replace(policy, min_accuracy=0.0, min_recall=0.0, promote_when="better")
    # k discordant images, all gained, have the two-sided p-value 2 ** (1 - k)
    enough = math.ceil(1 - math.log2(spent(policy.yearly_errors / 2, 1)))
    questions: list[tuple[str, Verdict, Labels, Labels, Policy]] = [
        ("the champion against itself", "HOLD", champion, champion, lenient)
    ]
    for k in (enough - 1, enough):
        better, base = _made_right(labels, champion, k)
        told: Verdict = "PROMOTE" if enough <= min(k, labels.size) else "HOLD"
        name = f"a copy of the champion with {k} more right answers"
        questions.append((name, told, better, base, lenient))
    # against the truth, not the champion: a policy without floors may let anything in that is no worse than a bad one
    questions.append(("a canary that gives shuffled labels", "REJECT", canary, labels, policy))
    results = []
    for name, expected, candidate, base, demands in questions:
        scored = Scored("self-test", candidate, megabytes=0.0, latency_ms=0.0, robustness=policy.perturbations())
        against = Champion("self-test", base, class_names, "self-test")
        evidence = Evidence(
            "self-test", labels, class_names, labels.size, "self-test", "2000-01-01", scored, "self-test", against
        )
        got = judge(evidence, demands).verdict
        results.append(SelfTest(name, expected, got, got == expected))
    return tuple(results)


def _made_right(labels: Labels, predicted: Labels, k: int) -> tuple[Labels, Labels]:
    """A pair of models that differ in k images, which only the first gets right.

    Where the champion has fewer than k wrong answers, right ones of its copy are made wrong instead.
    """
    wrong = np.flatnonzero(predicted != labels)[:k]
    better, base = predicted.copy(), predicted.copy()
    better[wrong] = labels[wrong]
    spoilt = np.flatnonzero(predicted == labels)[: k - wrong.size]
    base[spoilt] = ~labels[spoilt]  # no class at all
    return better, base
