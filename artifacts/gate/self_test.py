"""The gate's self-test: every night it judges models whose verdict is known."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from artifacts.gate.decision import Verdict
from artifacts.gate.evidence import Champion, Evidence, Labels, Scored
from artifacts.gate.judge import judge
from artifacts.gate.paired_tests import fewest_gained
from artifacts.gate.policy import Policy


@dataclass(frozen=True)
class SelfTest:
    """One case of the self-test.

    Args:
        name: what is judged, such as "the champion against itself".
        expected: the verdict that the gate must give.
        got: the verdict it gave.
        passed: whether the two are equal.
    """

    name: str
    expected: Verdict
    got: Verdict
    passed: bool


def self_test(
    labels: Labels, champion: Labels, canary: Labels, class_names: tuple[str, ...], policy: Policy
) -> tuple[SelfTest, ...]:
    """Judge models whose verdict is known; if one verdict is wrong, the gate must not decide anything.

    Args:
        labels: tonight's test labels, int64 of shape (n,).
        champion: the champion's predictions, int64 of shape (n,); the candidate's before the first promotion.
        canary: the labels in random order, int64 of shape (n,): predictions that are independent of the images.
        class_names: the names of the classes, by label.
        policy: tonight's policy.
    """
    results = []
    for name, expected, candidate, base, rules in _cases(labels, champion, canary, policy):
        scored = Scored("self-test", candidate, megabytes=0.0, latency_ms=0.0, robustness=policy.perturbations())
        against = Champion("self-test", base, class_names, "self-test")
        evidence = Evidence(
            "self-test", labels, class_names, labels.size, "self-test", "2000-01-01", scored, "self-test", against
        )
        got = judge(evidence, rules).verdict
        results.append(SelfTest(name, expected, got, got == expected))
    return tuple(results)


def _cases(
    labels: Labels, champion: Labels, canary: Labels, policy: Policy
) -> Iterator[tuple[str, Verdict, Labels, Labels, Policy]]:
    """Yield name, expected verdict, candidate's and champion's predictions, and the policy to judge them by."""
    # without requirements, only the comparison is tested: an old champion may no longer meet them
    lenient = replace(policy, min_accuracy=0.0, min_recall=0.0, promote_when="better")
    yield "the champion against itself", "HOLD", champion, champion, lenient
    # k discordant images, all gained, have the two-sided p-value 2 ** (1 - k)
    enough = fewest_gained(policy.yearly_errors)
    for k in (enough - 1, enough):
        better, base = _better_by(labels, champion, k)
        verdict: Verdict = "PROMOTE" if enough <= min(k, labels.size) else "HOLD"
        yield f"a copy of the champion with {k} more right answers", verdict, better, base, lenient
    # against the truth, not the champion: without requirements, whatever is no worse than a poor champion may pass
    yield "a canary that gives shuffled labels", "REJECT", canary, labels, policy


def _better_by(labels: Labels, predicted: Labels, k: int) -> tuple[Labels, Labels]:
    """Return predictions of two models that differ in k images, which only the first gets right.

    Where the champion has fewer than k wrong predictions, correct ones of its copy are made wrong instead.
    """
    wrong = np.flatnonzero(predicted != labels)[:k]
    better, base = predicted.copy(), predicted.copy()
    better[wrong] = labels[wrong]
    broken = np.flatnonzero(predicted == labels)[: k - wrong.size]
    base[broken] = ~labels[broken]  # no class at all
    return better, base
