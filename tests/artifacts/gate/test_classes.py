from dataclasses import replace

import numpy as np
import pytest

from artifacts.gate.classes import NewClass, added, on_known_classes
from artifacts.gate.evidence import Scored
from artifacts.gate.judge import judge
from tests.artifacts.gate.gate_cases import CHAMPION, LABELS, MEASURED, NAMES, POLICY, N, answers, without_nines

LENIENT = replace(POLICY, min_recall=0.0, min_accuracy=0.5)


def test_only_additions_are_new_classes() -> None:
    """A removed or renamed class, another order, and a name twice are no additions."""
    champion = replace(CHAMPION, class_names=("cat", "dog"))
    assert added(champion, ("cat", "dog", "fox", "hen")) == ("fox", "hen")
    assert added(champion, ("ant", "cat", "dog")) == ("ant",)
    for names in (
        ("cat", "dog"),
        ("dog", "cat"),
        ("cat", "fox"),
        ("cat",),
        ("cat", "fox", "hen"),
        ("cat", "dog", "dog"),
    ):
        assert added(champion, names) == ()
    assert added(replace(champion, class_names=()), ("cat",)) == ()


def test_a_class_is_known_by_half_of_enough_images() -> None:
    """Five test images are enough, three of them right are half."""
    assert NewClass("fox", 6, 3).known
    assert NewClass("fox", 5, 3).known
    assert not NewClass("fox", 5, 2).known
    assert not NewClass("fox", 4, 4).known


def test_models_are_compared_by_the_names_of_their_classes() -> None:
    """A class inserted in front moves the numbers of all others; the champion's answers move along."""
    names = ("ant", *NAMES)
    evidence = replace(without_nines(985), labels=LABELS + 1, class_names=names)
    evidence = replace(evidence, candidate=Scored("cnn", LABELS + 1), siblings=(LABELS + 1,))
    shown, champion = on_known_classes(evidence, replace(CHAMPION, predicted=answers(range(58))))
    assert champion.predicted is not None
    assert (champion.predicted != shown.labels).sum() == 58
    assert shown.candidate.predicted.shape == shown.siblings[0].shape == (N,)


def test_an_answer_of_the_new_class_is_wrong_on_an_old_image() -> None:
    """Mistaking an eight for the new nine is a lost image like any other."""
    decision = judge(without_nines(985, 15, 17), LENIENT)
    assert (decision.verdict, decision.rule) == ("PROMOTE", "new-class")
    assert decision.paired is not None
    mistaken = LABELS.copy()
    mistaken[8:4008:10] = 9
    evidence = without_nines(985)
    rejected = judge(replace(evidence, candidate=Scored("cnn", mistaken, **MEASURED)), replace(LENIENT, max_lost=1.0))
    assert rejected.rule == "negative-flips"
    assert "in class 8" in rejected.reason


def test_the_comparison_is_on_the_classes_that_both_know() -> None:
    """The new class's images, all of which the champion gets wrong, are no gain; nothing is spent."""
    decision = judge(without_nines(985, 15, 17), LENIENT)
    assert decision.champion is not None
    assert decision.champion.n == 9000
    assert decision.paired is not None
    assert decision.paired.gained < 20
    assert decision.paired.lost_per_class[9] == 0
    assert (decision.look, decision.budget) == (None, None)
    assert ("requirements met", "3 of 3") not in decision.rows()
    assert any(name.startswith("worse by") for name, _ in decision.rows())


@pytest.mark.parametrize("right", [499, 500])
def test_the_new_class_has_a_requirement_of_its_own(right: int) -> None:
    """Half of its test images must be right, however good the rest is."""
    evidence = without_nines(1000)
    predicted = evidence.candidate.predicted.copy()
    predicted[LABELS == 9] = np.where(np.arange(1000) < right, 9, 8)
    decision = judge(replace(evidence, candidate=replace(evidence.candidate, predicted=predicted)), LENIENT)
    assert decision.rule == ("new-class" if right == 500 else "new-class-pending")


def test_a_class_without_test_images_waits() -> None:
    """A new class that is in the training images alone cannot be required yet, so nothing is promoted unforced."""
    evidence = replace(without_nines(985), class_names=(*NAMES, "ten"), champion=CHAMPION)
    decision = judge(evidence, LENIENT)
    assert (decision.verdict, decision.rule) == ("HOLD", "new-class-pending")
    assert (
        decision.reason
        == "ten is new: 0 of 0 test images right; needed are 5 test images of each, and 50 % of them right"
    )
    assert judge(evidence, LENIENT, "force", "the new class is wanted").verdict == "PROMOTE"


def test_without_images_of_old_classes_nothing_can_be_compared() -> None:
    """A test set of new classes alone says nothing about the champion."""
    evidence = without_nines(985)
    nines = np.full(N, 9)
    shown = replace(evidence, labels=nines, candidate=Scored("cnn", nines, **MEASURED))
    assert judge(shown, LENIENT).rule == "changed-classes"
