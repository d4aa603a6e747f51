import itertools
import math

import numpy as np
import pytest

from artifacts.gate.growing.spending import (
    OVERLAP,
    PLANNED,
    POOLED,
    RECENT,
    WINDOWS,
    budget,
    crossing,
    every,
    height_for,
    level,
    window_level,
)
from artifacts.gate.paired_tests import NORMAL

YEAR = [min(look, POOLED) for look in range(1, PLANNED + 1)]


def crossed(height: float, years: int, nights: int = PLANNED, seed: int = 0) -> float:
    """How often the mean of the last 14 models is above the boundary on any night, for a champion of their kind."""
    rng = np.random.default_rng(seed)
    models, champion = rng.standard_normal((years, nights)), rng.standard_normal(years)
    sums = np.concatenate([np.zeros((years, 1)), models.cumsum(axis=1)], axis=1)
    night = np.arange(1, nights + 1)
    k = np.minimum(night, POOLED)
    means = (sums[:, night] - sums[:, night - k]) / k
    return float(np.mean((means - champion[:, None] >= height * (k + 1) / k).any(axis=1)))


@pytest.mark.parametrize("allotted", [0.05, 0.02])
def test_a_year_of_looks_spends_no_more_than_the_bound(allotted: float) -> None:
    """Nights that share models cross the boundary less often than the bound says, and not much less."""
    found, error = crossed(height_for(allotted), 20_000), math.sqrt(allotted / 20_000)
    assert found <= allotted + 2 * error
    assert found >= 0.6 * allotted


def test_the_allotment_is_what_a_year_spends() -> None:
    """The height is chosen so that a planned year spends the allotment, to many digits."""
    for allotted in (0.0484, 0.01, 0.0001):
        assert crossing(height_for(allotted), YEAR) == pytest.approx(allotted, rel=1e-6)


def test_one_look_costs_its_one_sided_level() -> None:
    """The bound for a single look is the probability itself: half of the two-sided level."""
    for models in (1, 3, 14):
        assert crossing(2.0, [models]) == pytest.approx(level(2.0, models) / 2, rel=1e-3)
        assert level(2.0, models) == 2 * NORMAL.cdf(-2.0 * math.sqrt((models + 1) / models))


def test_every_look_costs_something_and_none_without_models() -> None:
    """The bound rises with every look; a look at no model is free."""
    costs = [crossing(2.1, YEAR[:looks]) for looks in range(0, PLANNED, 20)]
    assert costs[0] == pytest.approx(0.0, abs=1e-12)
    assert all(later > earlier for earlier, later in itertools.pairwise(costs))
    assert crossing(2.1, [3, 0, 0]) == crossing(2.1, [3])


def test_what_promotions_give_back_stays_within_the_promise() -> None:
    """A false promotion makes another possible, and so on: the sum of all is the policy's number."""
    for yearly in (0.1, 0.01, 0.5):
        spend = budget(yearly)
        assert sum(spend**n for n in range(1, 200)) == pytest.approx(yearly)


def test_the_windows_of_a_year_spend_their_part_of_the_budget() -> None:
    """All looks of a year at windows of all lengths together spend at most what is set apart for them."""
    spent = sum(math.ceil(PLANNED / every(nights)) * window_level(0.1, nights) for nights in WINDOWS)
    assert spent == pytest.approx(budget(0.1) * RECENT, rel=0.03)
    assert [every(nights) for nights in (1, 2, 4, 8, 256)] == [1, 1, 1, 2, 256 // OVERLAP]
