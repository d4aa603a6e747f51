"""Candidate against champion on the same images, with what earlier looks at these images saw and spent."""

from datetime import date, timedelta

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

    The first look of a recipe at a champion allots half of what is left of the budget to this comparison; each
    night then spends what `paired.spent` says its number of different models entitles it to, as far as it is left.

    Args:
        evidence: with the earlier looks.
        policy: with the yearly budget.
        champion: whom `champion_right` belongs to.
        tonight: which images tonight's models get right, the candidate first, bool of shape (n,).
        champion_right: likewise for the champion.
    """
    right = tonight[0]
    n, lost = right.size, champion_right & ~right
    looks = [look for look in evidence.looks if look.test_digest == evidence.test_digest]
    ours = [look for look in looks if (look.champion, look.recipe) == (champion.version, evidence.recipe)]
    recent = [look for look in looks if date.fromisoformat(evidence.when) - date.fromisoformat(look.when) < YEAR]
    left = policy.yearly_errors - sum(look.spent for look in recent)
    allotted = next((look.allotted for look in ours if look.allotted), max(0.0, left) / 2)

    # a seed that diverged must not speak for its recipe; the champion met the same floor, so this favours nobody
    packed = tuple(pack(model) for model in tonight if model.mean() >= policy.min_accuracy)
    # a model seen before, or the champion itself, is no new evidence: equal seeds train equal models
    models = set(packed).union(*(look.rights for look in ours)) - {pack(champion_right)}
    level = spent(allotted, len(models)) if models and allotted else 0.0
    charge = max(0.0, level - sum(look.spent for look in ours))
    if charge > left:
        level = charge = 0.0
    rights = np.array([unpack(text, n) for text in sorted(models)], np.bool_).reshape(len(models), n)
    gained, n_lost = int((right & ~champion_right).sum()), int(lost.sum())
    paired = Paired(
        gained=gained,
        lost=n_lost,
        lost_per_class=tuple(np.bincount(evidence.labels[lost], minlength=len(evidence.class_names)).tolist()),
        p_tonight=mcnemar(gained, n_lost),
        pooled=pool(rights, champion_right, level),
        level=level,
        p_not_worse=not_worse(gained, n_lost, n, policy.margin),
    )
    look = Look(evidence.when, evidence.test_digest, champion.version, evidence.recipe, packed, allotted, charge)
    return paired, Budget(len(recent) + 1, policy.yearly_errors, policy.yearly_errors - left, charge), look
