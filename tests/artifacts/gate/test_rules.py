import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artifacts.gate import rules
from artifacts.gate.evidence import Scored
from artifacts.gate.judge import judge
from artifacts.gate.rules import RULES, Case
from tests.artifacts.gate.gate_cases import (
    CHAMPION,
    EVIDENCE,
    LABELS,
    LOOK,
    MEASURED,
    NAMES,
    NIGHTS,
    POLICY,
    Night,
    answers,
    candidate,
    wrong,
)

RUNBOOK = "\n".join(path.read_text() for path in sorted(Path("docs").glob("runbook*.md")))


@pytest.mark.fault("F-35")
@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: night.title)
def test_every_night_ends_by_its_rule(night: Night) -> None:
    """Each situation has its verdict and its rule."""
    decision = judge(night.evidence, night.policy, **night.how)
    assert (decision.verdict, decision.rule) == (night.verdict, night.rule)


@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: night.title)
def test_the_runbook_shows_every_message_as_printed(night: Night) -> None:
    """Under each night's title the runbook has the rule and, in a block of its own, what is printed, word for word."""
    title = re.escape(night.title[0].upper() + night.title[1:])
    shown = re.search(rf"\*\*{title}\*\* \(rule `{night.rule}`\)[^\n]*\n\n```\n(.*?)\n```", RUNBOOK, re.DOTALL)
    assert shown is not None
    assert shown[1] == night.printed()


def test_every_rule_has_a_night() -> None:
    """No rule goes without a situation in which it decides, and none has two names."""
    names = [rule for _, rule, _ in RULES]
    assert sorted({night.rule for night in NIGHTS}) == sorted(names)


def test_floors_come_before_everything_that_can_be_forced() -> None:
    """A model below a floor is rejected whatever else is true of it."""
    poor = Scored("tiny", answers(range(3000)), megabytes=1.0, latency_ms=1.0)
    for champion in (None, CHAMPION, replace(CHAMPION, predicted=None, state="missing")):
        evidence = replace(EVIDENCE, candidate=poor, champion=champion, barred="mnist/2")
        for mode, reason in (("normal", ""), ("force", "because"), ("dry-run", "")):
            assert judge(evidence, POLICY, mode, reason).rule == "floor"  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", ["max_lost", "max_lost_per_class"])
def test_negative_flips_at_the_limit_pass(limit: str) -> None:
    """Exactly as many lost images as the policy allows are allowed, one more is not."""
    lost = [*range(1007, 1317, 10)]  # 31 of the 1,000 sevens
    model = Scored("cnn", answers(lost), **MEASURED)
    allowed = {"max_lost": 31 / 10_000, "max_lost_per_class": 31 / 1000}
    policy = replace(POLICY, max_lost=1.0, max_lost_per_class=1.0)
    at_limit = replace(policy, **{limit: allowed[limit]})
    below = replace(policy, **{limit: allowed[limit] * 0.99})
    assert judge(replace(EVIDENCE, candidate=model), at_limit).rule != "negative-flips"
    assert judge(replace(EVIDENCE, candidate=model), below).rule == "negative-flips"


def test_every_limit_on_lost_images_is_named() -> None:
    """The total comes first, then each class, thousands separated."""
    perfect = replace(CHAMPION, predicted=LABELS)
    useless = Scored("cnn", answers(range(10_000)), **MEASURED)
    lenient = replace(POLICY, min_accuracy=0.0, min_recall=0.0)
    reason = judge(replace(EVIDENCE, candidate=useless, champion=perfect), lenient).reason
    assert (
        "too many images lost: 10,000 of 10,000, at most 1 % allowed; 1,000 of 1,000 in class 0, at most 3 % allowed; "
        in reason
    )
    losing = replace(lenient, max_lost=1.0, max_lost_per_class=1.0)
    decision = judge(replace(EVIDENCE, candidate=useless, champion=perfect), losing)
    assert (decision.rule, decision.would_change) == ("worse", "10,000 more correct answers for a tie")


def test_only_gone_classes_are_named() -> None:
    """A class too few is named; nothing is said to be new."""
    evidence = replace(EVIDENCE, champion=replace(CHAMPION, class_names=(*NAMES, "ten")))
    decision = judge(evidence, replace(POLICY, min_recall=0.0))
    assert decision.rule == "changed-classes"
    assert "mnist has 10 (gone: ten; new: none)" in decision.reason


def test_many_looks_are_readable() -> None:
    """The number of looks in the budget's message has its thousands separated."""
    looks = (replace(LOOK, recipe="other", spent=0.1),) * 1234
    assert "; 1,235 looks at this test set" in judge(replace(EVIDENCE, looks=looks), POLICY).reason


def test_worse_needs_more_lost_than_gained_and_significance() -> None:
    """Significance alone is not worse (it may be better), and more lost than gained alone is noise."""
    strict = replace(POLICY, worse_level=0.001, yearly_errors=0.001)
    assert judge(replace(EVIDENCE, candidate=candidate(12, 31)), strict).rule == "inside-noise"
    assert judge(replace(EVIDENCE, candidate=candidate(31, 12)), replace(POLICY, yearly_errors=0.001)).rule == (
        "inside-noise"
    )
    at_level = judge(replace(EVIDENCE, candidate=candidate(12, 31)), POLICY).paired
    assert at_level is not None
    exactly = replace(POLICY, worse_level=at_level.p_tonight)
    assert judge(replace(EVIDENCE, candidate=candidate(12, 31)), exactly).rule == "worse"


def test_not_worse_is_asked_for_by_the_policy_alone() -> None:
    """Under `better` a model that is merely not worse is held, and under `not-worse` one that may be worse is too."""
    even = replace(EVIDENCE, candidate=candidate(15, 17))
    assert judge(even, POLICY).rule == "inside-noise"
    lenient = replace(POLICY, promote_when="not-worse")
    assert judge(even, lenient).rule == "not-worse"
    assert judge(replace(EVIDENCE, candidate=candidate(12, 27)), lenient).rule == "inside-noise"
    assert judge(even, replace(lenient, margin=0.0005)).rule == "inside-noise"
    # the yearly budget is shared among the nights that may be bad: 0.1 / 10 is enough for p = 3.2e-5, 0.0001 / 10 not
    assert judge(even, replace(lenient, yearly_errors=0.0001)).rule == "inside-noise"
    p_value = judge(even, lenient).paired.p_not_worse  # type: ignore[union-attr]
    exactly = replace(lenient, yearly_errors=0.0001, bad_nights=1, margin=lenient.margin)
    assert p_value < 0.0001
    assert judge(even, exactly).rule == "not-worse"


def test_a_recipe_that_is_better_with_a_tied_model_is_promoted() -> None:
    """Tonight's model must not be behind the champion; level with it is enough if the recipe is better."""
    siblings = tuple(answers(wrong(36, 4, 2000 + 100 * k)) for k in range(3))
    tied = replace(EVIDENCE, candidate=candidate(17, 17), siblings=siblings)
    assert judge(tied, POLICY).rule == "better"


@pytest.mark.fault("F-35")
def test_p_at_the_level_is_within_it() -> None:
    """A p-value that equals its level promotes, and is shown as within it; the margin's p-value likewise."""
    decision = judge(EVIDENCE, POLICY)
    assert decision.paired is not None
    at_level = replace(decision.paired, level=decision.paired.pooled.p_value)
    case = Case(EVIDENCE, POLICY, "normal", "", decision.candidate, (), decision.champion, at_level)
    found = rules.better(case)
    assert found is not None
    assert "p = 0.0054 <= 0.0054" in found[0]
    lenient = replace(POLICY, promote_when="not-worse", bad_nights=1)
    close = replace(EVIDENCE, candidate=candidate(12, 27))
    p_value = judge(close, lenient).paired.p_not_worse  # type: ignore[union-attr]
    assert judge(close, replace(lenient, yearly_errors=p_value)).rule == "not-worse"
    assert judge(close, replace(lenient, yearly_errors=p_value * 0.999)).rule != "not-worse"


def test_nine_gained_and_none_lost_are_just_enough() -> None:
    """The exact test's smallest case: 2 ** -8 is within the first look's level, 2 ** -7 is not."""
    nine = replace(EVIDENCE, candidate=candidate(9, 0))
    found = judge(nine, POLICY)
    assert found.rule == "better"
    assert found.paired is not None
    assert found.paired.p_tonight == 2**-8 <= found.paired.level
    assert judge(replace(EVIDENCE, candidate=candidate(8, 0)), POLICY).rule == "inside-noise"


def test_a_gain_must_be_positive() -> None:
    """A recipe that is significantly worse on average is not promoted because tonight's model is level."""
    siblings = tuple(answers(wrong(4, 36, 2000 + 100 * k)) for k in range(3))
    level = replace(EVIDENCE, candidate=candidate(17, 17), siblings=siblings)
    decision = judge(level, POLICY)
    assert decision.paired is not None
    assert decision.paired.pooled.p_value <= decision.paired.level
    assert decision.rule == "inside-noise"


def test_every_message_names_what_to_do() -> None:
    """No message is empty, ends with a full stop, or shows a raw Python value."""
    for night in NIGHTS:
        decision = judge(night.evidence, night.policy, **night.how)
        for text in (decision.reason, decision.would_change):
            assert text
            assert not text.endswith(".")
            assert not re.search(r"nan|None|array|np\.|\d\.\d{5}", text)


def test_per_class_losses_add_up() -> None:
    """Lost images are counted under their true class."""
    decision = judge(EVIDENCE, POLICY)
    assert decision.paired is not None
    lost = np.bincount(LABELS[1000:1012], minlength=10)
    assert decision.paired.lost_per_class == tuple(lost)
    assert sum(decision.paired.lost_per_class) == decision.paired.lost == 12
