"""Candidate and champion on a test set that grows: on the champion's own images, and on recent ones."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from artifacts.gate.comparison import YEAR, on_the_same_images
from artifacts.gate.decision import Budget, Paired
from artifacts.gate.evidence import Champion, Evidence, Growing, Grown, Look, pack
from artifacts.gate.growing import answers, recent, spending
from artifacts.gate.growing.pooling import Answers, pool_answers
from artifacts.gate.paired_tests import Bools
from artifacts.gate.policy import Policy


def compare_growing(
    evidence: Evidence, growing: Growing, policy: Policy, champion: Champion, tonight: list[Bools], theirs: Bools
) -> tuple[Paired, Budget, Look]:
    """Compare the recipe's last models with the champion, and charge the look to the budget of the test set's lineage.

    Two comparisons: on the images that were there when the champion was first compared, which stay the same while it
    is champion; and on windows of those that arrived since. Each has its part of the budget (`spending`).

    Args:
        evidence: tonight's labels and the earlier looks.
        growing: tonight's images.
        policy: the yearly budget, the accuracy requirement and the margin.
        champion: the champion that `theirs` describes.
        tonight: one bool array of shape (n,) per model of tonight, the candidate first: which images it gets right.
        theirs: bool of shape (n,): which images the champion gets right.

    Returns:
        The comparison, the state of the budget, and the look to be kept in the ledger.
    """
    right, n = tonight[0], theirs.size
    looks = answers.same_lineage(evidence.looks, growing.lineage)
    against = [look for look in looks if look.champion == champion.version]
    ours = [look for look in against if look.recipe == evidence.recipe]
    last_year = [look for look in looks if date.fromisoformat(evidence.when) - date.fromisoformat(look.when) < YEAR]
    first = min(n, next((look.grown.images for look in against if look.grown), n))

    trained = [model for model in tonight if model.mean() >= policy.min_accuracy]  # a seed that diverged does not count
    new = [model.astype(np.int8) for model in trained]
    models = answers.different([*new, *answers.earlier_answers(ours, growing)], theirs)
    old = _answered(models[:, :first])
    allowed = spending.budget(policy.yearly_errors) * (1 - spending.RECENT)
    left = allowed - unreturned(last_year)
    allotted = next((look.allotted for look in ours if look.allotted), max(0.0, left) * spending.SHARE)
    level, charge = _level_and_charge(allotted, left, ours, len(old))
    windows = recent.due(looks, evidence.when, n, first, policy.yearly_errors)
    paired = on_the_same_images(
        evidence,
        policy,
        right,
        theirs,
        pooled=pool_answers(old, theirs[:first], level),
        level=level,
        pooled_images=first,
        recent=recent.furthest(windows, models, right, theirs, policy.yearly_errors),
    )
    grown = Grown(
        lineage=growing.lineage,
        images=n,
        items=answers.prefixes(growing.items, [n])[n],
        models=len(old) if level else 0,
        windows=tuple(nights for nights, _ in windows),
        recent=sum(spending.window_level(policy.yearly_errors, nights) for nights, _ in windows),
    )
    packed = tuple(pack(model) for model in trained)
    look = Look(
        evidence.when, evidence.test_digest, champion.version, evidence.recipe, packed, allotted, charge, grown=grown
    )
    return paired, Budget(len(last_year) + 1, allowed, allowed - left, charge), look


def unreturned(looks: Sequence[Look]) -> float:
    """Return what looks have spent, without the comparisons that ended in a promotion: these get it back."""
    kept: list[Look] = []
    for look in looks:
        kept.append(look)
        if look.promoted:
            kept = [one for one in kept if (one.champion, one.recipe) != (look.champion, look.recipe)]
    return sum(look.spent for look in kept)


def _answered(models: Answers) -> Answers:
    """Return the models that have answered any of these images."""
    return models[(models >= 0).any(axis=1)]


def _level_and_charge(allotted: float, left: float, ours: Sequence[Look], models: int) -> tuple[float, float]:
    """Return the level of tonight's comparison and what it spends; 0 and 0 if that is more than is left."""
    if not models or allotted <= 0:
        return 0.0, 0.0
    height = spending.height_for(allotted)
    looks = [look.grown.models for look in ours if look.grown]
    charge = max(0.0, spending.crossing(height, [*looks, models]) - sum(look.spent for look in ours))
    return (spending.level(height, models), charge) if charge <= left else (0.0, 0.0)
