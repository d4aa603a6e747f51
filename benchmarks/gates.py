"""Four gates as functions of a year: what each promotes, and on which nights.

Ours is simulated with its own arithmetic (artifacts/gate/paired_tests.py) and bookkeeping;
tests/benchmarks/test_gate_year.py replays years through `artifacts.gate.judge` and finds the same promotions on the
same nights.
"""

from collections.abc import Callable

import numpy as np

from artifacts.gate.paired_tests import NORMAL, Bools, mcnemar, not_worse, pool, spent
from artifacts.gate.policy import Policy
from benchmarks.nights import Year

Gate = Callable[[Year], list[int]]  # the nights on which it promotes
POLICY = Policy()


def greedy(year: Year) -> list[int]:
    """Promote whatever has at least the champion's accuracy on the test set."""
    promoted, best = [], year.champion.sum()
    for night, score in enumerate(year.scores):
        if score >= best:
            promoted.append(night)
            best = score
    return promoted


def paired(year: Year, level: float) -> list[int]:
    """Promote what is better by McNemar's exact test with this two-sided level, every night anew."""
    promoted: list[int] = []
    champion, start = year.champion.astype(np.float32), 0
    while True:
        gain = year.scores[start:] - champion.sum()
        if not (gain > 0).any():
            return promoted
        discordant = year.scores[start:] + champion.sum() - 2 * np.einsum("ij,j->i", year.candidates[start:], champion)
        # the exact test costs more than this bound, which it never undercuts by as much as a tenth
        close = np.flatnonzero((gain > 0) & (gain >= -0.9 * NORMAL.inv_cdf(level / 2) * np.sqrt(discordant)))
        for night in close:
            gained = int(discordant[night] + gain[night]) // 2
            if mcnemar(gained, int(discordant[night]) - gained) <= level:
                break
        else:
            return promoted
        promoted.append(start + int(night))
        champion, start = year.candidates[promoted[-1]], promoted[-1] + 1


def ours(year: Year) -> list[int]:
    """Promote as artifacts.gate.judge does under `promote_when: better`."""
    promoted: list[int] = []
    champion, start, left = year.champion, 0, POLICY.yearly_errors
    while start < len(year.recipes):
        stop = start + int(np.argmax(np.append(year.recipes[start:] != year.recipes[start], True)))
        allotted = left / 2
        night = _crossing(year.right[start:stop], champion, allotted)
        nights = stop - start if night is None else night + 1
        left -= spent(allotted, nights * year.right.shape[1])
        start += nights
        if night is not None:
            promoted.append(start - 1)
            champion = year.right[start - 1, 0]
    return promoted


def _crossing(right: Bools, champion: Bools, allotted: float) -> int | None:
    """The first night on which the recipe's models so far, and that night's own, are better than the champion."""
    nights, seeds, images = right.shape
    models = seeds * np.arange(1, nights + 1)
    boundary = -NORMAL.inv_cdf(allotted / 2) * np.sqrt((models + 1) / models)
    scores, best = right.sum(axis=2), champion.sum()
    gain = np.cumsum(scores.sum(axis=1)) / models - best
    close = np.flatnonzero((scores[:, 0] >= best) & (gain > 0))
    if not close.size:
        return None
    mean = np.cumsum(right[: close[-1] + 1].sum(axis=1, dtype=np.float32), axis=0)
    difference = mean / models[: close[-1] + 1, None] - champion
    spread = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    for night in close[gain[close] >= 0.9 * boundary[close] * spread[close]]:
        level = spent(allotted, int(models[night]))
        if pool(right[: night + 1].reshape(-1, images), champion, level).p_value <= level:
            return int(night)
    return None


def lenient(year: Year, margin: float = POLICY.margin, *, must_gain: bool = False) -> list[int]:
    """Promote as artifacts.gate.judge does under `promote_when: not-worse`, by its non-inferiority test alone.

    Args:
        year: the nights.
        margin: the loss, as a share, that must be ruled out.
        must_gain: promote as under `promote_when: ahead`, only what also has more right answers.
    """
    promoted, champion = [], year.champion
    for night, right in enumerate(year.right[:, 0]):
        gained, lost = int((right & ~champion).sum()), int((champion & ~right).sum())
        level = POLICY.yearly_errors / POLICY.bad_nights
        if must_gain and gained <= lost:
            continue
        if not_worse(gained, lost, year.n, margin) <= level:
            promoted.append(night)
            champion = right
    return promoted
