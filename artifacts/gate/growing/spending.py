"""The error budget of a test set that grows: how it is divided, and what each look spends of it.

All in units of the champion's sampling noise. A look compares the mean of K models of the recipe with the champion: it
sees N/sqrt(K) - c, where c is the champion's noise, the same at every look, and N that of the recipe's models. Only the
models of the last looks are averaged, because a recipe's models get better while its data grow. Looks that share models
are positively correlated, so by Slepian's inequality (1962) a champion of the same recipe is beaten at some look at
most as often as if every look had models of its own:

    crossing = 1 - E[prod_j Phi(sqrt(K_j) (height (K_j + 1) / K_j + c))],  c ~ N(0, 1)

which bounds any number of looks. With one model a look must be ahead by twice as much as with very many.
"""

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from artifacts.gate.paired_tests import NORMAL, Floats

POOLED = 14  # looks whose models are averaged
PLANNED = 365  # looks that a comparison's allotment is planned for
SHARE = 2 / 3  # of what is left, for a new comparison
RECENT = 1 / 5  # of the budget, for the windows of recent images
WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # lengths in nights
OVERLAP = 4  # a window of d nights is looked at every d / 4 nights
_NOISE = np.linspace(-6, 6, 241)
_WEIGHTS: Floats = np.exp(-(_NOISE**2) / 2) / np.exp(-(_NOISE**2) / 2).sum()


def budget(yearly_errors: float) -> float:
    """Return what a year's looks may spend, so that at most `yearly_errors` promotions a year are false.

    A comparison that ends in a promotion gets back what it spent. A false promotion, too, makes another one possible:
    with a budget of w there are at most w + w**2 + w**3 + ... = w / (1 - w).
    """
    return yearly_errors / (1 + yearly_errors)


def crossing(height: float, models: Iterable[int]) -> float:
    """Return a bound on the probability that looks promote a model that is no better than the champion.

    Args:
        height: of the boundary, see `level`.
        models: how many models each look compares; looks without models cost nothing.
    """
    survived = np.zeros(_NOISE.size)
    for k, looks in Counter(models).items():
        if k:
            survived += looks * _log_below(height, k)
    return 1 - float(_WEIGHTS @ np.exp(survived))


@lru_cache(maxsize=1024)
def height_for(allotted: float) -> float:
    """Return the height of the boundary at which a year of nights with one model each spends the allotment.

    Args:
        allotted: in (0, 1).
    """
    planned = [min(look, POOLED) for look in range(1, PLANNED + 1)]
    low, high = 0.0, 9.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if crossing(middle, planned) > allotted else (low, middle)
    return high


def level(height: float, models: int) -> float:
    """Return what the two-sided p-value of k >= 1 models must not exceed: their mean is above the boundary then."""
    return 2 * NORMAL.cdf(-height * math.sqrt((models + 1) / models))


def every(nights: int) -> int:
    """Return after how many nights a window of this length is looked at again."""
    return max(1, nights // OVERLAP)


def window_level(yearly_errors: float, nights: int) -> float:
    """Return what one look at a window of recent images may spend.

    The lengths have equal parts of the budget, and the looks of a year at windows of one length have equal parts of
    that. Nothing is assumed about how they depend on each other.
    """
    return budget(yearly_errors) * RECENT / len(WINDOWS) * every(nights) / PLANNED


@lru_cache(maxsize=4096)
def _log_below(height: float, models: int) -> Floats:
    """Return the logarithm of the probability that a look stays below the boundary, for each noise of the champion."""
    margins = math.sqrt(models) * (height * (models + 1) / models + _NOISE)
    return np.array([math.log(max(5e-324, math.erfc(-margin / math.sqrt(2)) / 2)) for margin in margins.tolist()])
