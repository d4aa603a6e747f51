import dataclasses
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import artifacts.gate.decision
import artifacts.gate.evidence
import artifacts.gate.judge
import artifacts.gate.paired_tests
import artifacts.gate.policy
import artifacts.gate.rules
import artifacts.gate.self_test
from artifacts.gate.decision import Share
from artifacts.gate.evidence import Champion, Scored
from artifacts.gate.judge import judge
from data.errors import BadInput
from tests.artifacts.gate.gate_cases import (
    CHAMPION,
    EVIDENCE,
    FORCE,
    LABELS,
    LOOK,
    NAMES,
    NIGHTS,
    POLICY,
    N,
    answers,
    candidate,
    right,
    wrong,
)


def test_the_numbers_of_a_comparison() -> None:
    """Accuracies, intervals, counts, gain and test are those of the two models, tonight's candidate first."""
    decision = judge(EVIDENCE, POLICY)
    assert decision.candidate == Share("cnn-seed1", 9961, N, decision.candidate.low, decision.candidate.high)
    assert decision.candidate.accuracy == 0.9961
    assert decision.candidate.low == pytest.approx(0.99467, abs=2e-5)
    assert decision.candidate.high == pytest.approx(0.99715, abs=2e-5)
    assert decision.champion is not None
    assert (decision.champion.name, decision.champion.correct) == ("mnist/3", 9942)
    assert decision.paired is not None
    assert (decision.paired.gained, decision.paired.lost) == (31, 12)
    assert decision.paired.pooled.gain == pytest.approx(0.0019)
    assert decision.paired.p_tonight == pytest.approx(0.0054016, rel=1e-4)
    assert decision.policy == POLICY
    assert decision.mode == "normal"
    assert decision.notes == ()


def test_a_dry_run_decides_the_same() -> None:
    """But for its mark, a dry run's decision is the one that would be taken."""
    assert replace(judge(EVIDENCE, POLICY, "dry-run"), mode="normal") == judge(EVIDENCE, POLICY)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_force_needs_a_reason(reason: str) -> None:
    """Nobody forces a promotion without saying why."""
    with pytest.raises(BadInput, match="needs a reason"):
        judge(EVIDENCE, POLICY, "force", reason)
    assert judge(EVIDENCE, POLICY, "force", " why not ").force_reason == "why not"
    with pytest.raises(BadInput) as refused:
        judge(EVIDENCE, POLICY, "force")
    assert refused.value.hint == "say why in one sentence"


def test_a_single_image_is_compared() -> None:
    """One test image is enough for a comparison, though never for a promotion."""
    one = np.array([0])
    evidence = replace(
        EVIDENCE,
        labels=one,
        n_expected=1,
        candidate=replace(candidate(0, 0), predicted=one),
        champion=replace(CHAMPION, predicted=one + 1),
    )
    decision = judge(evidence, replace(POLICY, min_recall=0.0))
    assert decision.rule == "inside-noise"
    assert decision.paired is not None
    assert (decision.paired.gained, decision.paired.lost, decision.paired.p_tonight) == (1, 0, 1.0)


def test_force_lifts_every_comparison_and_no_requirement() -> None:
    """Whatever the comparison says, force promotes; whatever requirement is not met, force does not."""
    for night in NIGHTS:
        forced = judge(night.evidence, night.policy, **FORCE)
        plain = judge(night.evidence, night.policy)
        if plain.rule in ("floor", "n-examples", "not-finite", "first-night"):
            assert (forced.verdict, forced.rule) == (plain.verdict, plain.rule)
        else:
            assert (forced.verdict, forced.rule) == ("PROMOTE", "forced")
            assert forced.notes[-1].startswith(f"Without force: {plain.verdict}, ")
    assert judge(replace(EVIDENCE, champion=None), POLICY, **FORCE).notes == ()


@pytest.mark.fault("F-35")
@pytest.mark.parametrize(
    ("changes", "policy", "failing"),
    [
        ({"megabytes": math.nan}, {}, "megabytes is not measured"),
        ({"megabytes": -math.inf}, {}, "megabytes is not measured"),
        ({"megabytes": 100.0}, {}, ""),
        ({"megabytes": 100.1}, {}, "megabytes is 100.1, required is <= 100"),
        ({"latency_ms": math.nan}, {}, "milliseconds per image is not measured"),
        ({"latency_ms": 200.5}, {}, "milliseconds per image is 200.5, required is <= 200"),
        ({"robustness": {}}, {"min_shifted": 0.8}, "accuracy on shifted images is not measured"),
        ({}, {"min_shifted": 0.81, "min_noisy": 0.98, "min_rotated": 0.97}, ""),
        ({"robustness": {"shifted": math.nan}}, {"min_shifted": 0.8}, "accuracy on shifted images is not measured"),
        ({"robustness": {"shifted": math.inf}}, {"min_shifted": 0.8}, "accuracy on shifted images is not measured"),
        ({"robustness": {"noisy": 0.7}}, {"min_noisy": 0.8}, "accuracy on noisy images is 0.7, required is >= 0.8"),
        ({"robustness": {"rotated": 0.8}}, {"min_rotated": 0.8}, ""),
        ({"robustness": {"rotated": 0.7}}, {"min_rotated": 0.8}, "accuracy on rotated images is 0.7"),
        ({"robustness": {"rotated": 0.0}}, {}, ""),
        ({}, {"min_accuracy": 0.9961}, ""),
        ({}, {"min_accuracy": 0.99611}, "accuracy is 0.9961, required is >= 0.99611"),
        ({}, {"min_recall": 0.995}, ""),
        ({}, {"min_recall": 0.9955}, "recall of 1 is 0.995, required is >= 0.9955"),
    ],
)
def test_requirements(changes: dict[str, Any], policy: dict[str, float], failing: str) -> None:
    """Each requirement holds at its limit, fails beyond it, and fails where nothing was measured."""
    relaxed = replace(POLICY, min_shifted=0.0, min_noisy=0.0, min_rotated=0.0)
    decision = judge(replace(EVIDENCE, candidate=candidate(31, 12, **changes)), replace(relaxed, **policy))
    assert (decision.rule == "floor") == bool(failing)
    assert failing in decision.reason


def test_of_a_class_without_test_images_nothing_is_required() -> None:
    """Its recall is not measured, which a note says; the other requirements stay, and no night ends as a REJECT."""
    decision = judge(replace(EVIDENCE, class_names=(*NAMES, "ten"), champion=None), POLICY)
    assert (decision.verdict, decision.rule) == ("PROMOTE", "first-night")
    assert [check.name for check in decision.checks if "recall" in check.name] == [f"recall of {n}" for n in NAMES]
    assert decision.notes == (
        "The recall of ten is not measured, because there are no test images: nothing is required of it.",
    )
    many = replace(EVIDENCE, class_names=(*NAMES, *(f"class {k}" for k in range(246))), champion=None)
    (note,) = judge(many, POLICY).notes
    assert note.startswith("The recall of class 0, class 1, class 2, class 3, class 4, class 5, and 240 more is not")
    assert judge(many, replace(POLICY, min_recall=0.0)).notes == ()


def test_a_recall_of_zero_is_not_asked_for() -> None:
    """Without a floor for recalls, a class without test images is no obstacle, and nothing is checked."""
    decision = judge(replace(EVIDENCE, class_names=(*NAMES, "ten"), champion=None), replace(POLICY, min_recall=0.0))
    assert decision.rule == "first-night"
    assert [check.name for check in decision.checks] == [
        "accuracy",
        "accuracy on shifted images",
        "accuracy on noisy images",
        "accuracy on rotated images",
        "megabytes",
        "milliseconds per image",
    ]


def test_no_test_images_at_all_is_rejected() -> None:
    """An empty test set that the catalogue knows as empty still proves nothing."""
    empty = np.zeros(0, np.int64)
    nothing = replace(EVIDENCE, labels=empty, n_expected=0, candidate=replace(candidate(0, 0), predicted=empty))
    decision = judge(replace(nothing, champion=replace(CHAMPION, predicted=empty)), POLICY)
    assert (decision.verdict, decision.rule) == ("REJECT", "floor")
    assert (decision.candidate.accuracy, decision.candidate.low, decision.candidate.high) == (0.0, 0.0, 1.0)


@pytest.mark.fault("F-36")
@pytest.mark.parametrize("n", [9984, 10_001])
def test_every_test_image_must_be_scored(n: int) -> None:
    """Fewer or more answers, labels, or images than the catalogue's are no evaluation."""
    labels = np.arange(n) % 10
    some = replace(candidate(0, 0), predicted=labels)
    for evidence in (
        replace(EVIDENCE, candidate=some),
        replace(EVIDENCE, candidate=some, labels=labels),
        replace(EVIDENCE, labels=labels),
        replace(EVIDENCE, n_expected=n),
    ):
        decision = judge(evidence, POLICY)
        assert (decision.verdict, decision.rule) == ("REJECT", "n-examples")
        assert decision.paired is decision.look is decision.budget is decision.champion is None
        if evidence.candidate.predicted.size != evidence.labels.size:
            assert decision.candidate.n == 0


def test_no_look_is_kept_where_nothing_was_compared() -> None:
    """First nights, unreadable champions, other classes and NaN leave the budget alone; floors do not hide a look."""
    for night in NIGHTS:
        decision = judge(night.evidence, night.policy, **night.how)
        compared = decision.look is not None
        with_new_classes = "a class was added" in night.title  # compared, but nothing is said to be better
        assert (compared or with_new_classes) == (decision.paired is not None)
        assert (compared or with_new_classes) == (decision.champion is not None)
        assert compared == (decision.budget is not None)
        expected = night.rule not in (
            "n-examples",
            "not-finite",
            "first-night",
            "champion-unreadable",
            "changed-classes",
            "new-class",
            "new-class-pending",
        )
        assert compared == (expected and "cannot be read" not in night.title)


def test_siblings_are_evidence_of_the_same_night() -> None:
    """Other seeds of tonight count as models of the recipe and are kept in the look, the candidate first."""
    decision = judge(replace(EVIDENCE, siblings=(answers(wrong(20, 9, 5000)),)), POLICY)
    assert decision.paired is not None
    assert decision.paired.pooled.models == 2
    assert decision.look is not None
    assert decision.look.rights == (right(31, 12), right(20, 9, 5000))


def test_what_travels_is_frozen() -> None:
    """No value type can be changed after the fact, and those with arrays are compared by identity."""
    for module in (
        artifacts.gate.decision,
        artifacts.gate.evidence,
        artifacts.gate.judge,
        artifacts.gate.paired_tests,
        artifacts.gate.policy,
        artifacts.gate.rules,
        artifacts.gate.self_test,
    ):
        for kind in vars(module).values():
            if dataclasses.is_dataclass(kind):
                assert kind.__dataclass_params__.frozen  # type: ignore[union-attr]
    assert len({EVIDENCE, replace(EVIDENCE), CHAMPION, replace(CHAMPION)}) == 4
    assert len({EVIDENCE.candidate, replace(EVIDENCE.candidate)}) == 2
    assert artifacts.gate.rules.Case.__eq__ is object.__eq__


def test_a_champion_is_loaded_unless_it_is_said_otherwise() -> None:
    """Whoever hands over answers need not say that there are some."""
    assert Champion("mnist/3", LABELS, NAMES, "test-set-1").state == "loaded"


def test_the_look_is_what_the_next_night_needs() -> None:
    """A look names the night, the test set, both sides, what it may spend and what it spent."""
    decision = judge(replace(EVIDENCE, looks=(LOOK,)), POLICY)
    assert decision.look is not None
    assert decision.look == replace(LOOK, when="2026-11-20", rights=(right(31, 12),), spent=decision.look.spent)
    assert decision.budget is not None
    assert decision.budget.tonight == decision.look.spent
    assert isinstance(EVIDENCE.candidate, Scored)
