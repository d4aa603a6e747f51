"""What a test set can show is said on the first night."""

from dataclasses import replace

import numpy as np

from artifacts.gate.evidence import pack
from artifacts.gate.judge import judge
from artifacts.gate.paired_tests import fewest_gained
from artifacts.gate.policy import Policy, policy_for
from artifacts.gate.resolution import limits
from tests.artifacts.gate.gate_cases import LOOK, NIGHTS, SMALL, SMALL_POLICY, answers, small

BETTER = replace(SMALL_POLICY, promote_when="better")


def test_nine_images_are_needed_with_the_default_budget() -> None:
    """Nine gained and none lost is the smallest gain that one model shows; a smaller budget needs more."""
    assert fewest_gained(Policy().yearly_errors) == 9
    assert fewest_gained(0.001) == 22


def test_a_large_enough_test_set_is_not_commented() -> None:
    """Where a gain of a point can be shown, and the champion has errors enough, there is nothing to say."""
    assert limits(10_000, 58, Policy()) == ""
    assert limits(900, 9, Policy()) == ""
    assert limits(900, 8, Policy()).startswith("With 900 test images nothing below 1.00 points can be shown")
    assert limits(899, 9, Policy()).startswith("With 899 test images nothing below 1.00 points can be shown")


def test_a_champion_without_errors_is_not_to_be_beaten_by_more_seeds() -> None:
    """Nobody can be ahead of it: more images, or what is not worse."""
    text = limits(360, 0, BETTER)
    assert "this champion, with no errors, cannot be beaten" in text
    assert "(3,240 would do)" in text
    assert "--seeds" not in text
    assert "--promote-when not-worse --margin 0.025" in text


def test_a_tiny_test_set_is_described_within_its_bounds() -> None:
    """Four images show no gain below 100 points, and no margin beyond the largest is advised."""
    text = limits(4, 1, policy_for("tiny", (2, 2)))
    assert "nothing below 100.00 points" in text
    assert "with 1 error, " in text
    assert "--margin 0.2)" in text


def test_flawless_models_are_one_model() -> None:
    """Seeds that all get every image right are no more evidence than one of them: more seeds are not advised."""
    flawless = answers((), SMALL)
    decision = judge(small(0, siblings=(flawless,) * 8), BETTER)
    assert decision.rule == "inside-noise"
    assert decision.paired is not None
    assert decision.paired.pooled.models == 1
    assert "--seeds" not in limits(360, 6, BETTER) + decision.would_change


def test_being_ahead_is_not_enough_if_the_loss_is_not_ruled_out() -> None:
    """Ahead by one with many images exchanged says little: it is held, and the margin named."""
    champion = answers(range(36), SMALL)
    candidate = answers(range(36, 71), SMALL)
    evidence = small(0)
    assert evidence.champion is not None
    evidence = replace(
        evidence,
        candidate=replace(evidence.candidate, predicted=candidate),
        champion=replace(evidence.champion, predicted=champion),
    )
    policy = replace(SMALL_POLICY, max_lost=1.0, max_lost_per_class=1.0)
    decision = judge(evidence, policy)
    assert decision.rule == "inside-noise"
    assert "a loss of 2.50 points or more is not ruled out" in decision.would_change
    assert judge(evidence, replace(policy, margin=0.2)).rule == "ahead"


def test_each_promotion_by_being_ahead_takes_an_error_from_the_champion() -> None:
    """The score on one test set never falls, so there are at most as many as the first champion had errors."""
    evidence = small(6)
    assert judge(evidence, SMALL_POLICY).rule != "ahead"
    assert judge(small(7), SMALL_POLICY).rule != "ahead"
    for errors in range(6):
        assert judge(small(errors), SMALL_POLICY).rule == "ahead"


def test_evidence_of_earlier_nights_still_counts_on_a_small_test_set() -> None:
    """A recipe whose models of several nights beat the champion together is promoted as better."""
    looks = tuple(
        replace(LOOK, champion="digits/1", rights=(pack(answers([100 + night], SMALL) == SMALL),), spent=0.0)
        for night in range(3)
    )
    decision = judge(small(0, 8, looks=looks), BETTER)
    assert decision.rule == "better"
    assert judge(small(0, 8), BETTER).rule == "inside-noise"


def test_sentences_stay_short_with_hundreds_of_classes() -> None:
    """256 failed requirements make one sentence that can be read; the decision has them all."""
    (night,) = [night for night in NIGHTS if night.title == "requirements of many classes are not met"]
    decision = judge(night.evidence, night.policy)
    assert len(decision.reason) < 600
    assert "and 250 more" in decision.reason
    assert sum(not check.passed for check in decision.checks) == 256


def test_one_image_of_a_small_class_may_be_lost() -> None:
    """15 % of five images allow none, and one image is never too many; where none is allowed, none is."""
    labels = np.arange(360) % 72
    names = tuple(map(str, range(72)))
    evidence = small(0)
    assert evidence.champion is not None
    evidence = replace(
        evidence,
        labels=labels,
        class_names=names,
        candidate=replace(evidence.candidate, predicted=np.where(np.arange(360) == 7, 0, labels)),
        champion=replace(evidence.champion, predicted=labels.copy(), class_names=names),
    )
    assert judge(evidence, Policy()).rule == "inside-noise"
    assert judge(evidence, Policy(max_lost_per_class=0.0)).rule == "negative-flips"
