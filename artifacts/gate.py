"""May tonight's model replace the champion? Pure arithmetic: no Keras, no Prefect, no files, no clock.

`judge` takes what was measured (`Evidence`) and what is demanded (`Policy`) and returns a `Decision`: PROMOTE, HOLD
(inside the noise, or no comparison is possible) or REJECT (below a floor, or worse), with the rule that decided, the
numbers, and what would have changed it. The rules, in order, are the table RULES in artifacts/rules.py. Which error
is controlled, and how nights and seeds of one recipe count together: docs/decisions/0006.

`self_test` asks the gate every night what it would say to three models whose verdict is known.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from artifacts.comparison import compare
from artifacts.decision import Check, Decision, Mode, Share, Verdict
from artifacts.evidence import Champion, Evidence, Labels, Look, Scored
from artifacts.metrics import wilson
from artifacts.paired import Bools, spent
from artifacts.policy import Policy, policy_for
from artifacts.rules import RULES, Case, Sentences
from data.errors import BadInput

# what callers need, in one place
__all__ = [
    "Champion",
    "Decision",
    "Evidence",
    "Look",
    "Policy",
    "Scored",
    "SelfTest",
    "judge",
    "policy_for",
    "self_test",
]


def judge(evidence: Evidence, policy: Policy, mode: Mode = "normal", force_reason: str = "") -> Decision:
    """Decide whether tonight's candidate replaces the champion.

    Args:
        evidence: what was measured.
        policy: what is demanded.
        mode: "force" promotes whatever meets the demands; "dry-run" decides as "normal" does, and the caller changes
            nothing and writes nothing.
        force_reason: why, for "force".

    Raises:
        BadInput: a forced promotion without a reason.
    """
    if mode == "force" and not force_reason.strip():
        raise BadInput("a forced promotion needs a reason, and none was given", "say why in one sentence")
    case = _case(evidence, policy, mode, force_reason.strip())
    verdict, rule, (reason, would_change) = _first_that_applies(case)
    return Decision(
        verdict=verdict,
        rule=rule,
        reason=reason,
        would_change=would_change,
        candidate=case.candidate,
        policy=policy,
        mode=mode,
        force_reason=case.force_reason,
        notes=_notes(case, rule),
        champion=case.champion,
        checks=case.checks,
        paired=case.paired,
        budget=case.budget,
        look=case.look,
    )


def _first_that_applies(case: Case) -> tuple[Verdict, str, Sentences]:
    return next((verdict, rule, found) for verdict, rule, applies in RULES if (found := applies(case)))


def _case(evidence: Evidence, policy: Policy, mode: Mode, force_reason: str) -> Case:
    """Work out the numbers, as far as there are any."""
    candidate, champion = evidence.candidate, evidence.champion
    right = _right(candidate.predicted, evidence.labels)
    case = Case(evidence, policy, mode, force_reason, _share(candidate.name, right), _checks(evidence, policy, right))
    scored = candidate.finite and 0 < right.size == evidence.n_expected
    if not scored or champion is None or champion.predicted is None or champion.class_names != evidence.class_names:
        return case
    champion_right = _right(champion.predicted, evidence.labels)
    if champion_right.size != right.size:
        return case
    tonight = [right, *(_right(predicted, evidence.labels) for predicted in evidence.siblings)]
    paired, budget, look = compare(evidence, policy, champion, tonight, champion_right)
    return replace(case, champion=_share(champion.version, champion_right), paired=paired, budget=budget, look=look)


def _right(predicted: Labels, labels: Labels) -> Bools:
    """Which images were answered rightly; none at all if not every image was answered."""
    return predicted == labels if predicted.shape == labels.shape else np.zeros(0, np.bool_)


def _share(name: str, right: Bools) -> Share:
    correct, n = int(right.sum()), right.size
    low, high = wilson(correct, n) if n else (0.0, 1.0)
    return Share(name, correct, n, low, high)


def _mean(right: Bools) -> float:
    return float(right.mean()) if right.size else math.nan


def _checks(evidence: Evidence, policy: Policy, right: Bools) -> tuple[Check, ...]:
    """Every absolute demand, what was measured beside what was asked for."""
    candidate, labels = evidence.candidate, evidence.labels[: right.size]
    asked = evidence.class_names if policy.min_recall > 0 else ()
    recalls = {name: _mean(right[labels == index]) for index, name in enumerate(asked)}
    return (
        _check("accuracy", ">=", policy.min_accuracy, _mean(right)),
        *(_check(f"recall of {name}", ">=", policy.min_recall, recall) for name, recall in recalls.items()),
        *(
            _check(f"accuracy on {name} images", ">=", limit, candidate.robustness.get(name, math.nan))
            for name, limit in policy.perturbations().items()
        ),
        _check("megabytes", "<=", policy.max_megabytes, candidate.megabytes),
        _check("milliseconds per image", "<=", policy.max_latency_ms, candidate.latency_ms),
    )


def _check(name: str, sign: Literal[">=", "<="], limit: float, got: float) -> Check:
    """One demand; what is NaN or infinite was not measured, and does not pass."""
    if not math.isfinite(got):
        return Check(name, sign, limit, None, False)
    return Check(name, sign, limit, got, got >= limit if sign == ">=" else got <= limit)


def _notes(case: Case, rule: str) -> tuple[str, ...]:
    """What must be known besides the reason."""
    notes, champion = [], case.evidence.champion
    if case.paired and champion and champion.test_digest != case.evidence.test_digest:
        notes.append(
            f"The test set has changed since {champion.version} was promoted: both models were scored on tonight's "
            "images, and evidence from other images was not counted."
        )
    if rule == "forced" and champion:
        without = judge(case.evidence, case.policy)
        notes.append(f"Without force: {without.verdict}, {without.reason}.")
    return tuple(notes)


# -- the gate tests itself --------------------------------------------------------------------------------------------


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
