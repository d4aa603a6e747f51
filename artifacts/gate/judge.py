"""Whether tonight's model may replace the champion.

`judge` takes what was measured (`Evidence`) and what is required (`Policy`) and returns a `Decision`: PROMOTE, HOLD
(within the noise, or no comparison is possible) or REJECT (a requirement is not met, or worse than the champion), with
the rule that decided, the numbers, and what would have changed it. The rules, in order, are the table RULES in
artifacts/gate/rules.py. Which error is controlled, and how nights and seeds of one recipe count together:
docs/decisions/0006-gate.md.
"""

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from artifacts.evaluation.metrics import wilson
from artifacts.gate.classes import NewClass, added, new_classes, on_known_classes
from artifacts.gate.comparison import compare, on_the_same_images
from artifacts.gate.decision import Check, Decision, Mode, Share, Verdict
from artifacts.gate.evidence import Champion, Evidence, Labels
from artifacts.gate.growing.lineage import compare_growing
from artifacts.gate.paired_tests import Bools, pool
from artifacts.gate.policy import Policy
from artifacts.gate.resolution import limits
from artifacts.gate.rules import RULES, Case, Sentences, few
from data.errors import BadInput


def judge(evidence: Evidence, policy: Policy, mode: Mode = "normal", force_reason: str = "") -> Decision:
    """Decide whether tonight's candidate replaces the champion.

    Args:
        evidence: what was measured.
        policy: what is required.
        mode: "force" promotes whatever meets the requirements; "dry-run" decides as "normal" does, and the caller
            changes nothing and writes nothing.
        force_reason: why a person forces the promotion; only for "force".

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
    """Compute the checks and, where candidate and champion can be compared, the comparison."""
    candidate, champion = evidence.candidate, evidence.champion
    right = _right(candidate.predicted, evidence.labels)
    case = Case(evidence, policy, mode, force_reason, _share(candidate.name, right), _checks(evidence, policy, right))
    scored = candidate.finite and 0 < right.size == evidence.n_expected
    if not scored or champion is None or champion.predicted is None or champion.predicted.size != right.size:
        return case
    if names := added(champion, evidence.class_names):
        return _with_new_classes(case, champion, new_classes(names, evidence, right))
    if champion.class_names != evidence.class_names:
        return case
    theirs = _right(champion.predicted, evidence.labels)
    tonight = [right, *(_right(predicted, evidence.labels) for predicted in evidence.siblings)]
    if evidence.growing:
        paired, budget, look = compare_growing(evidence, evidence.growing, policy, champion, tonight, theirs)
    else:
        paired, budget, look = compare(evidence, policy, champion, tonight, theirs)
    return replace(case, champion=_share(champion.version, theirs), paired=paired, budget=budget, look=look)


def _with_new_classes(case: Case, champion: Champion, new: tuple[NewClass, ...]) -> Case:
    """Compare on the classes that both know; nothing is spent, because nothing is said to be better."""
    evidence, champion = on_known_classes(case.evidence, champion)
    if not evidence.labels.size or champion.predicted is None:
        return case
    right, theirs = _right(evidence.candidate.predicted, evidence.labels), _right(champion.predicted, evidence.labels)
    pooled = pool(right[None], theirs, 0.0)
    return replace(
        case,
        champion=_share(champion.version, theirs),
        on_known=_share(case.candidate.name, right),
        new_classes=new,
        paired=on_the_same_images(evidence, case.policy, right, theirs, pooled=pooled, level=0.0),
    )


def _right(predicted: Labels, labels: Labels) -> Bools:
    """Which images were classified correctly, bool (n,); of shape (0,) if not every image was classified."""
    return predicted == labels if predicted.shape == labels.shape else np.zeros(0, np.bool_)


def _share(name: str, right: Bools) -> Share:
    correct, n = int(right.sum()), right.size
    low, high = wilson(correct, n) if n else (0.0, 1.0)
    return Share(name, correct, n, low, high)


def _mean(right: Bools) -> float:
    return float(right.mean()) if right.size else math.nan


def _checks(evidence: Evidence, policy: Policy, right: Bools) -> tuple[Check, ...]:
    """Every requirement with the value measured."""
    candidate, labels = evidence.candidate, evidence.labels[: right.size]
    checked = _with_images(evidence) if policy.min_recall > 0 else ()
    recalls = {evidence.class_names[index]: _mean(right[labels == index]) for index in checked}
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


def _with_images(evidence: Evidence) -> tuple[int, ...]:
    """Return the labels of the classes with test images: a recall of nothing cannot be required."""
    counts = np.bincount(evidence.labels, minlength=len(evidence.class_names))
    return tuple(np.flatnonzero(counts[: len(evidence.class_names)]).tolist())


def _check(name: str, sign: Literal[">=", "<="], limit: float, got: float) -> Check:
    """Check one requirement; NaN or infinite means not measured, which does not pass."""
    if not math.isfinite(got):
        return Check(name, sign, limit, None, False)
    return Check(name, sign, limit, got, got >= limit if sign == ">=" else got <= limit)


def _notes(case: Case, rule: str) -> tuple[str, ...]:
    """Sentences that the reason does not contain."""
    notes, champion = [], case.evidence.champion
    n = case.candidate.n
    if case.paired and case.paired.pooled_images:
        new = n - case.paired.pooled_images
        notes += [f"{new:,} of the {n:,} test images arrived after the champion's first comparison."] if new else []
    elif case.paired and champion and champion.test_digest != case.evidence.test_digest:
        notes.append(
            f"The test set has changed since {champion.version} was promoted: both models were scored on tonight's "
            "images, and evidence from other images was not used."
        )
    unmeasured = set(range(len(case.evidence.class_names))).difference(_with_images(case.evidence))
    if unmeasured and case.policy.min_recall > 0:
        names = few([case.evidence.class_names[index] for index in sorted(unmeasured)])
        notes.append(
            f"The recall of {names} is not measured, because there are no test images: nothing is required of it."
        )
    if rule == "first-night":
        notes += filter(None, [limits(case.candidate.n, case.candidate.n - case.candidate.correct, case.policy)])
    if rule == "forced" and champion:
        without = judge(case.evidence, case.policy)
        notes.append(f"Without force: {without.verdict}, {without.reason}.")
    return tuple(notes)
