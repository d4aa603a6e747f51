"""The comparison of candidate and champion on the same images, and what it spends of the year's error budget."""

from datetime import date, timedelta
from typing import Any

import numpy as np

from artifacts.gate.decision import Budget, Paired
from artifacts.gate.evidence import Champion, Evidence, Look, pack, unpack
from artifacts.gate.paired_tests import Bools, mcnemar, not_worse, pool, spent
from artifacts.gate.policy import Policy

YEAR = timedelta(days=365)


def compare(
    evidence: Evidence, policy: Policy, champion: Champion, tonight: list[Bools], champion_right: Bools
) -> tuple[Paired, Budget, Look]:
    """Compare all models of the candidate's recipe so far with the champion, and charge the look to the year's budget.

    The first comparison of a recipe with a champion is allotted half of the remaining budget. Each night then spends
    what `paired_tests.spent` gives for the number of different models so far, if that much is left. For a test set that
    grows: artifacts/gate/growing/.

    Args:
        evidence: tonight's labels and the earlier looks.
        policy: the yearly budget, the accuracy requirement and the margin.
        champion: the champion that `champion_right` describes.
        tonight: one bool array of shape (n,) per model of tonight, the candidate first: which images it gets right.
        champion_right: bool of shape (n,): which images the champion gets right.

    Returns:
        The comparison, the state of the budget, and the look to be kept in the ledger.
    """
    n = champion_right.size
    looks = [look for look in evidence.looks if look.test_digest == evidence.test_digest]
    ours = [look for look in looks if (look.champion, look.recipe) == (champion.version, evidence.recipe)]
    recent = [look for look in looks if date.fromisoformat(evidence.when) - date.fromisoformat(look.when) < YEAR]
    left = policy.yearly_errors - sum(look.spent for look in recent)
    allotted = next((look.allotted for look in ours if look.allotted), max(0.0, left) / 2)

    # a seed that diverged does not represent its recipe; the champion met the same requirement, so neither is favoured
    packed = tuple(pack(model) for model in tonight if model.mean() >= policy.min_accuracy)
    # a model seen before, or the champion itself, is not new evidence: equal seeds train equal models
    models = set(packed).union(*(look.rights for look in ours)) - {pack(champion_right)}
    level = spent(allotted, len(models)) if models and allotted else 0.0
    charge = max(0.0, level - sum(look.spent for look in ours))
    if charge > left:
        level = charge = 0.0
    rights = np.array([unpack(text, n) for text in sorted(models)], np.bool_).reshape(len(models), n)
    paired = on_the_same_images(
        evidence, policy, tonight[0], champion_right, pooled=pool(rights, champion_right, level), level=level
    )
    look = Look(evidence.when, evidence.test_digest, champion.version, evidence.recipe, packed, allotted, charge)
    return paired, Budget(len(recent) + 1, policy.yearly_errors, policy.yearly_errors - left, charge), look


def on_the_same_images(
    evidence: Evidence, policy: Policy, right: Bools, champion_right: Bools, **pooled: Any
) -> Paired:
    """Compare tonight's candidate alone with the champion, beside what all models of its recipe show.

    Args:
        evidence: tonight's labels.
        policy: the margin.
        right: bool of shape (n,): which images the candidate gets right.
        champion_right: the same of the champion.
        **pooled: the fields of `Paired` about all models of the recipe.
    """
    lost = champion_right & ~right
    gained, n_lost = int((right & ~champion_right).sum()), int(lost.sum())
    return Paired(
        gained=gained,
        lost=n_lost,
        lost_per_class=tuple(np.bincount(evidence.labels[lost], minlength=len(evidence.class_names)).tolist()),
        p_tonight=mcnemar(gained, n_lost),
        p_not_worse=not_worse(gained, n_lost, right.size, policy.margin),
        **pooled,
    )
