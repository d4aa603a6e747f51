from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from artifacts.gate.decision import Decision
from artifacts.gate.evidence import Evidence, Look, Scored
from artifacts.gate.growing import spending
from artifacts.gate.growing.lineage import unreturned
from artifacts.gate.judge import judge
from tests.artifacts.gate.gate_cases import (
    CHAMPION,
    CHAMPION_WRONG,
    EVIDENCE,
    LABELS,
    LOOK,
    MEASURED,
    POLICY,
    N,
    answers,
    growing,
    grown,
    right,
    wrong,
)

ALLOWED = spending.budget(POLICY.yearly_errors) * (1 - spending.RECENT)
FIRST = date(2026, 1, 1)


def night(number: int, n: int = N, looks: tuple[Look, ...] = (), **changes: Any) -> Evidence:
    """A night on which the test set has n images; its model gains 20 of the first, and loses 19 of its own."""
    labels = np.resize(LABELS, n)
    model = Scored("cnn", answers(wrong(20, 19, 1000 + 20 * number), labels), **MEASURED)
    evidence = replace(
        EVIDENCE,
        labels=labels,
        n_expected=n,
        when=(FIRST + timedelta(days=number)).isoformat(),
        test_digest=f"state {number}",
        candidate=model,
        champion=replace(CHAMPION, predicted=answers(CHAMPION_WRONG, labels)),
        looks=looks,
        growing=growing(n),
    )
    return replace(evidence, **changes)


def nights(count: int, added: int = 0) -> list[Decision]:
    """The decisions of some nights in a row, between which images are added."""
    decisions: list[Decision] = []
    for number in range(count):
        looks = tuple(one.look for one in decisions if one.look)
        decisions.append(judge(night(number, N + added * number, looks), POLICY))
    return decisions


def spent(decision: Decision) -> float:
    """What its look spent on the champion's own images."""
    assert decision.look is not None
    return decision.look.spent


def test_the_budget_follows_the_lineage_not_the_digest() -> None:
    """Night after night with another digest spends one budget; another dataset has its own."""
    decisions = nights(5, added=100)
    last = decisions[-1]
    assert last.budget is not None
    assert last.budget.looks == 5
    assert last.budget.allowed == ALLOWED
    assert last.budget.used == pytest.approx(sum(spent(one) for one in decisions[:-1]))
    assert last.budget.used > 0
    looks = tuple(one.look for one in decisions if one.look)
    other = judge(night(9, N, looks, growing=growing(N, "another")), POLICY)
    assert other.budget is not None
    assert (other.budget.looks, other.budget.used) == (1, 0.0)


def test_models_of_earlier_nights_are_pooled_on_the_champions_own_images() -> None:
    """While images are added, the comparison stays on those that were there when it began."""
    last = nights(4, added=100)[-1]
    assert last.paired is not None
    assert last.paired.pooled.models == 4
    assert last.paired.pooled_images == N
    assert last.candidate.n == N + 300
    assert last.paired.pooled.gain == pytest.approx(1 / N)
    assert last.notes == ("300 of the 10,300 test images arrived after the champion's first comparison.",)


def test_a_look_spends_what_the_bound_says() -> None:
    """Together the looks so far have spent the probability that any of them promotes an equal model."""
    decisions = nights(6)
    height = spending.height_for(ALLOWED * spending.SHARE)
    assert sum(spent(one) for one in decisions) == pytest.approx(spending.crossing(height, range(1, 7)))
    last = decisions[-1]
    assert last.paired is not None
    assert last.paired.level == spending.level(height, 6)
    assert last.look is not None
    assert last.look.grown is not None
    assert (last.look.allotted, last.look.grown.models) == (ALLOWED * spending.SHARE, 6)


def test_only_fourteen_nights_are_pooled() -> None:
    """Models from before were trained on less; their looks are paid for all the same."""
    decisions = nights(17)
    counts = [one.paired.pooled.models for one in decisions if one.paired]
    assert counts == [*range(1, 15), 14, 14, 14]
    assert all(spent(one) > 0 for one in decisions)


def test_a_promotion_gives_back_what_its_comparison_spent() -> None:
    """Only that comparison's looks, and only those up to the promotion."""
    looks = [grown(replace(LOOK, spent=0.01), N), grown(replace(LOOK, spent=0.02), N)]
    other = grown(replace(LOOK, recipe="other", spent=0.003), N)
    promoted = replace(looks[1], promoted=True)
    assert unreturned([*looks, other]) == pytest.approx(0.033)
    assert unreturned([looks[0], promoted, other]) == pytest.approx(0.003)
    assert unreturned([looks[0], other, promoted, looks[0]]) == pytest.approx(0.013)
    decision = judge(night(300, looks=(looks[0], promoted, other)), POLICY)
    assert decision.budget is not None
    assert decision.budget.used == pytest.approx(0.003)


def test_a_look_that_costs_more_than_is_left_decides_nothing() -> None:
    """It is held, spends nothing, and is no look at any model."""
    dear = grown(replace(LOOK, recipe="other", when="2026-10-27", spent=ALLOWED - 1e-5), N)
    cheap = grown(replace(LOOK, when="2026-10-27", rights=(right(18, 9),), spent=0.0), N)
    decision = judge(night(300, looks=(dear, cheap)), POLICY)
    assert decision.rule == "budget"
    assert "have spent 0.0727 of the 0.07273 false promotions allowed" in decision.reason
    assert decision.look is not None
    assert decision.look.grown is not None
    assert (decision.look.spent, decision.look.grown.models) == (0.0, 0)


def test_after_a_correction_old_models_count_where_their_images_are_known() -> None:
    """Without that knowledge the night begins anew, but what was spent stays spent."""
    looks = tuple(one.look for one in nights(3) if one.look)
    now = growing(N)
    relabelled = replace(now, items=np.concatenate([now.items[:5] ^ 1, now.items[5:]]))
    lost = judge(night(3, looks=looks, growing=relabelled), POLICY)
    assert lost.paired is not None
    assert lost.paired.pooled.models == 1
    assert lost.budget is not None
    assert lost.budget.used > 0
    assert looks[0].grown is not None
    where = np.concatenate([np.full(5, -1), np.arange(5, N)])
    kept = judge(night(3, looks=looks, growing=replace(relabelled, moved={looks[0].grown.items: where})), POLICY)
    assert kept.paired is not None
    assert kept.paired.pooled.models == 4


def test_recent_images_show_a_change_that_old_ones_hide() -> None:
    """A few hundred new images on which the champion fails promote, while the whole says little."""
    looks = tuple(one.look for one in nights(5) if one.look)
    n = N + 200
    labels = np.resize(LABELS, n)
    changed = range(N, n, 4)
    model = Scored("cnn", answers(wrong(20, 19, 3000), labels), **MEASURED)
    theirs = replace(CHAMPION, predicted=answers([*CHAMPION_WRONG, *changed], labels))
    decision = judge(night(5, n, looks, candidate=model, champion=theirs), replace(POLICY, max_lost_per_class=0.1))
    assert (decision.verdict, decision.rule) == ("PROMOTE", "better-recently")
    assert decision.paired is not None
    assert decision.paired.recent is not None
    assert decision.paired.recent.images == 200
    assert decision.look is not None
    assert decision.look.grown is not None
    assert decision.look.grown.recent == spending.window_level(0.1, 4)
    # what is not ahead itself is not promoted for its recipe's sake
    behind = replace(model, predicted=answers([*wrong(20, 19, 3000), *range(N, n, 3)], labels))
    held = judge(night(5, n, looks, candidate=behind, champion=theirs, siblings=(model.predicted,) * 1), POLICY)
    assert held.rule != "better-recently"


def test_a_test_set_that_does_not_grow_is_judged_as_before() -> None:
    """Without a lineage neither windows nor champion's own images exist, whatever earlier looks have."""
    plain = judge(replace(EVIDENCE, looks=(LOOK,)), POLICY)
    mixed = judge(replace(EVIDENCE, looks=(grown(replace(LOOK, test_digest="elsewhere"), N), LOOK)), POLICY)
    assert plain == mixed
    assert plain.look is not None
    assert (plain.look.grown, plain.look.promoted) == (None, False)
    assert plain.paired is not None
    assert (plain.paired.pooled_images, plain.paired.recent) == (0, None)
    assert Decision.from_json(plain.to_json()) == plain


def test_decisions_of_a_growing_test_set_survive_json() -> None:
    """The ledger gives back what was decided, windows and all; lines from before have no such fields."""
    decision = nights(3, added=100)[-1]
    assert Decision.from_json(decision.to_json()) == decision
    old = decision.to_json()
    for name in ("grown", "promoted"):
        del old["look"][name]
    for name in ("pooled_images", "recent"):
        del old["paired"][name]
    read = Decision.from_json(old)
    assert read.look is not None
    assert read.look.grown is None
