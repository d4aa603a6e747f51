import math
from dataclasses import replace

import pytest

from artifacts.gate.decision import Decision
from artifacts.gate.evidence import Evidence, Look, pack, unpack
from artifacts.gate.judge import judge
from artifacts.gate.paired_tests import spent
from tests.artifacts.gate.gate_cases import EVIDENCE, LOOK, POLICY, answers, candidate, right, wrong

HALF = POLICY.yearly_errors / 2


def decide(*looks: Look, **changes: object) -> Decision:
    """The decision about the usual evidence after these looks."""
    evidence: Evidence = replace(EVIDENCE, looks=looks, **changes)  # type: ignore[arg-type]
    return judge(evidence, POLICY)


def models(decision: Decision) -> int:
    """How many models of the recipe were compared."""
    assert decision.paired is not None
    return decision.paired.pooled.models


def test_the_first_look_may_spend_half_of_what_is_left() -> None:
    """A new comparison is allotted half of the year's budget, and its first look spends little of that."""
    decision = decide()
    assert decision.look is not None
    assert decision.budget is not None
    assert decision.look.allotted == HALF
    assert decision.look.spent == spent(HALF, 1)
    assert decision.paired is not None
    assert decision.paired.level == spent(HALF, 1)
    assert (decision.budget.looks, decision.budget.allowed, decision.budget.used) == (1, 0.1, 0.0)
    assert decision.budget.tonight == spent(HALF, 1)


def test_another_night_of_the_recipe_pools_its_models() -> None:
    """The second night compares two models at the level for two, and spends the difference."""
    first = replace(LOOK, spent=spent(HALF, 1))
    decision = decide(first)
    assert models(decision) == 2
    assert decision.paired is not None
    assert decision.paired.level == spent(HALF, 2)
    assert decision.look is not None
    assert decision.look.allotted == HALF
    assert decision.look.spent == pytest.approx(spent(HALF, 2) - spent(HALF, 1))
    assert decision.budget is not None
    assert decision.budget.used == pytest.approx(spent(HALF, 1))
    assert decision.budget.looks == 2


def test_a_year_of_nights_spends_no_more_than_allotted() -> None:
    """Night after night of one unchanged recipe, all spending together stays below the allotment."""
    looks: tuple[Look, ...] = ()
    for night in range(1, 13):
        decision = decide(*looks, candidate=candidate(20 + night, 19 + night), when=f"2026-{night:02d}-01")
        assert models(decision) == night
        assert decision.look is not None
        looks += (decision.look,)
    assert sum(look.spent for look in looks) == pytest.approx(spent(HALF, 12))
    assert spent(HALF, 12) < HALF
    assert {look.allotted for look in looks} == {HALF}


@pytest.mark.fault("F-36")
@pytest.mark.parametrize(
    "other",
    [{"test_digest": "another test set"}, {"champion": "mnist/2"}, {"recipe": "cnn, changed"}],
    ids=["test set", "champion", "recipe"],
)
def test_models_of_other_comparisons_are_not_pooled(other: dict[str, str]) -> None:
    """Evidence against another champion, of another recipe, or on other images says nothing here."""
    decision = decide(replace(LOOK, **other))  # type: ignore[arg-type]
    assert models(decision) == 1
    assert decision.look is not None
    spent_elsewhere = 0.0 if "test_digest" in other else LOOK.spent
    assert decision.look.allotted == pytest.approx((POLICY.yearly_errors - spent_elsewhere) / 2)
    assert decision.budget is not None
    assert decision.budget.used == pytest.approx(spent_elsewhere)
    assert decision.budget.looks == (1 if "test_digest" in other else 2)


@pytest.mark.parametrize(("when", "counts"), [("2025-11-20", False), ("2025-11-21", True)])
def test_spending_is_forgotten_after_a_year(when: str, counts: bool) -> None:
    """A look 364 days ago counts against the budget, one 365 days ago does not; its models are evidence either way."""
    decision = decide(replace(LOOK, when=when))
    assert decision.budget is not None
    assert decision.budget.used == pytest.approx(LOOK.spent if counts else 0.0)
    assert decision.budget.looks == 1 + counts
    assert models(decision) == 2


def test_the_same_model_again_is_no_new_evidence() -> None:
    """A deterministic training repeats its model: the copy is not counted, and looking at it again costs nothing."""
    again = decide(replace(LOOK, rights=(right(31, 12),), spent=spent(0.05, 1)))
    assert models(again) == 1
    assert again.look is not None
    assert again.look.spent == 0.0
    assert again.budget is not None
    assert again.budget.tonight == 0.0


def test_the_champion_among_the_models_is_no_evidence() -> None:
    """A model with the champion's answers is the champion, whether from tonight or from an earlier night."""
    assert models(decide(replace(LOOK, rights=(right(0, 0), right(18, 9, 2000))))) == 2
    same = decide(candidate=candidate(0, 0))
    assert models(same) == 0
    assert same.paired is not None
    assert same.paired.level == 0.0
    assert same.look is not None
    assert same.look.spent == 0.0


def test_a_seed_that_diverged_does_not_speak_for_its_recipe() -> None:
    """Models below the accuracy floor are neither pooled nor kept; those at the floor are."""
    diverged, poor = answers(range(9000)), answers(range(151))
    decision = decide(LOOK, siblings=(diverged, poor, answers(range(150))))
    assert models(decision) == 3
    assert decision.look is not None
    assert decision.look.rights == (right(31, 12), pack(answers(range(150)) == EVIDENCE.labels))
    rejected = decide(LOOK, candidate=replace(EVIDENCE.candidate, predicted=diverged))
    assert rejected.rule == "floor"
    assert models(rejected) == 1
    assert rejected.look is not None
    assert rejected.look.rights == ()
    assert rejected.look.spent == pytest.approx(spent(HALF, 1) - LOOK.spent)


def test_a_look_that_cannot_be_afforded_decides_nothing() -> None:
    """Where other comparisons have used up the year, the night is held, spends nothing, and says so."""
    elsewhere = replace(LOOK, recipe="other", spent=0.0999)
    decision = decide(replace(LOOK, spent=0.0001), elsewhere)
    assert decision.rule == "budget"
    assert decision.paired is not None
    assert decision.paired.level == 0.0
    assert decision.look is not None
    assert decision.look.spent == 0.0
    assert decision.budget is not None
    assert decision.budget.left == pytest.approx(0.0)


def test_a_look_that_can_just_be_afforded_decides() -> None:
    """What is left is enough if it equals what the look costs."""
    first = replace(LOOK, spent=spent(LOOK.allotted, 1))
    cost = spent(LOOK.allotted, 2) - first.spent
    elsewhere = replace(LOOK, recipe="other", spent=POLICY.yearly_errors - first.spent - cost - 1e-12)
    assert decide(first, elsewhere).rule != "budget"
    assert decide(first, replace(elsewhere, spent=elsewhere.spent + 1e-9)).rule == "budget"


def test_a_look_may_spend_all_that_is_left() -> None:
    """A look that costs what is left, to the last bit, decides; one that costs a bit more does not."""
    first = replace(LOOK, spent=spent(LOOK.allotted, 1))
    cost = max(0.0, spent(LOOK.allotted, 2) - first.spent)
    elsewhere = POLICY.yearly_errors - first.spent - cost
    for _ in range(50):
        elsewhere = math.nextafter(elsewhere, 1.0)
    rules = {}
    for _ in range(100):
        elsewhere = math.nextafter(elsewhere, 0.0)
        left = POLICY.yearly_errors - (first.spent + elsewhere)
        rules[left - cost] = decide(first, replace(LOOK, recipe="other", spent=elsewhere)).rule
    assert 0.0 in rules
    assert {margin < 0 for margin in rules} == {True, False}
    assert all((rule == "budget") == (margin < 0) for margin, rule in rules.items())


def test_the_allotment_is_that_of_the_first_look_that_had_one() -> None:
    """What a comparison may spend is settled once; one that began without a budget gets its share when there is one."""
    earlier, later = replace(LOOK, allotted=0.05), replace(LOOK, allotted=0.02, rights=(right(24, 11, 4000),))
    assert decide(earlier, later).look.allotted == 0.05  # type: ignore[union-attr]
    assert decide(replace(earlier, allotted=0.0, spent=0.0), later).look.allotted == 0.02  # type: ignore[union-attr]
    penniless = replace(earlier, allotted=0.0, spent=0.0)
    assert decide(penniless).look.allotted == HALF  # type: ignore[union-attr]


def test_more_spent_than_allowed_allots_nothing() -> None:
    """After the policy was made stricter, a new comparison gets nothing rather than a negative allotment."""
    decision = decide(replace(LOOK, recipe="other", spent=0.3))
    assert decision.rule == "budget"
    assert decision.look is not None
    assert decision.look.allotted == 0.0


def test_rights_survive_packing() -> None:
    """Bits come back as they went, for any number of images."""
    for n in (1, 7, 8, 9, 1000):
        bits = answers(range(0, n, 3))[:n] == EVIDENCE.labels[:n]
        assert (unpack(pack(bits), n) == bits).all()
        assert unpack(pack(bits), n).dtype == bool


def test_the_order_of_the_nights_does_not_matter() -> None:
    """Pooling the same models in another order gives the same decision."""
    looks = (LOOK, replace(LOOK, rights=(right(24, 11, 4000),)), replace(LOOK, rights=(right(11, 24, 6000),)))
    forth, back = decide(*looks), decide(*looks[::-1])
    assert forth.paired == back.paired
    assert models(decide(*looks, siblings=(answers(wrong(5, 5, 7000)),))) == 5
