import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, norm

from artifacts.gate.paired_tests import (
    NORMAL,
    Bools,
    Pooled,
    binomial_pmf,
    information,
    mcnemar,
    models_needed,
    not_worse,
    pool,
    spent,
)

# no deadline: other work on the machine must not fail a test of arithmetic
BOUNDED = settings(deadline=None, max_examples=60)
COUNTS = st.integers(0, 400)
LEVEL = 0.01


def table(gained: int, lost: int, agreed: int = 0) -> tuple[Bools, Bools]:
    """One candidate and one champion with these discordant counts."""
    mine = np.array([True] * gained + [False] * lost + [True] * agreed)
    theirs = np.array([False] * gained + [True] * lost + [True] * agreed)
    return mine[None], theirs


def two_sided(gained: int, lost: int) -> float:
    """SciPy's exact two-sided binomial test; 1 where there is nothing to test."""
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


@BOUNDED
@given(st.integers(0, 600), st.floats(0.01, 0.99))
def test_the_binomial_distribution_is_scipys(n: int, probability: float) -> None:
    """Every probability of a binomial agrees with SciPy's, far into the tails."""
    assert binomial_pmf(n, probability) == pytest.approx(binom.pmf(np.arange(n + 1), n, probability), rel=1e-8)


@BOUNDED
@given(COUNTS, COUNTS)
def test_mcnemar_is_scipys_exact_binomial_test(gained: int, lost: int) -> None:
    """The p-value is that of SciPy's two-sided binomial test, for every pair of counts, none and one included."""
    assert mcnemar(gained, lost) == pytest.approx(two_sided(gained, lost), rel=1e-9)


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [(0, 0, 1.0), (1, 0, 1.0), (0, 1, 1.0), (2, 0, 0.5), (0, 10, 2**-9), (5, 5, 1.0), (10_000, 0, 0.0)],
)
def test_mcnemar_at_the_edges(gained: int, lost: int, expected: float) -> None:
    """No discordant pair, one pair, all pairs one way, a tie, and ten thousand against none."""
    assert mcnemar(gained, lost) == pytest.approx(expected, abs=1e-300)


@BOUNDED
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_one_model_pooled_is_mcnemar(gained: int, lost: int, agreed: int) -> None:
    """With a single model of the recipe the pooled test is McNemar's, its gain the plain difference."""
    if gained + lost + agreed == 0:
        return
    found = pool(*table(gained, lost, agreed), LEVEL)
    assert found.p_value == pytest.approx(two_sided(gained, lost), rel=1e-9)
    assert found.gain == pytest.approx((gained - lost) / (gained + lost + agreed))
    assert found.models == 1


@BOUNDED
@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from((0.2, 0.05, 0.0056, 1e-6)))
def test_the_detectable_gain_is_the_smallest_significant_one(gained: int, lost: int, level: float) -> None:
    """With the same number of discordant images, the detectable gain passes the test and the next smaller fails."""
    if gained + lost == 0:
        return
    n = gained + lost
    found = pool(*table(gained, lost), level).detectable
    ups = np.arange(n // 2 + 1, n + 1)
    passing = ups[2 * binom.sf(ups - 1, n, 0.5) <= level]
    assert found == (pytest.approx((2 * passing[0] - n) / n) if passing.size else None)


@BOUNDED
@given(st.integers(1, 4), st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(0, 2**9 - 1))
def test_the_pooled_test_counts_every_way_to_pick_the_champion(k: int, sums: list[int], bits: int) -> None:
    """The exact part equals brute force: on each image every one of the k + 1 models may be the champion."""
    rights = np.array([[i < min(s, k) for s in sums] for i in range(k)])
    champion = np.array([bool(bits >> i & 1) for i in range(len(sums))])
    counts = rights.sum(axis=0) + champion
    below = above = 0.0
    for picked in itertools.product((False, True), repeat=len(sums)):
        chance = math.prod(c / (k + 1) if p else 1 - c / (k + 1) for p, c in zip(picked, counts, strict=True))
        below += chance * (sum(picked) <= champion.sum())
        above += chance * (sum(picked) >= champion.sum())
    exact = min(1.0, 2 * min(below, above))
    difference = rights.mean(axis=0) - champion
    spread = math.sqrt(float(np.sum(difference**2)))
    clustered = 2 * float(norm.sf(abs(float(difference.sum())) / spread)) if k > 1 and spread else 0.0
    found = pool(rights, champion, LEVEL)
    assert found.p_value == pytest.approx(max(exact, clustered), rel=1e-9)
    assert found.resolution == pytest.approx(spread / len(sums) * math.sqrt(k / (k + 1)))


def test_pooled_detectable_gain_is_where_the_level_is_reached() -> None:
    """A champion with fewer right answers by the detectable gain is significant; with one answer more it is not."""
    rng = np.random.default_rng(5)
    chance = rng.uniform(0.2, 0.8, 600)
    rights = rng.random((5, 600)) < chance
    champion = rng.random(600) < chance
    level = 0.03
    found = pool(rights, champion, level)
    assert found.detectable is not None
    counts = rights.sum(axis=0) + champion
    variance = float(np.sum(counts / 6 * (1 - counts / 6)))
    # on the scale of the gain, the normal approximation of the exact part must be near
    assert found.detectable == pytest.approx(-norm.ppf(level / 2) * math.sqrt(variance) * 6 / 5 / 600, rel=0.1)
    assert found.detectable >= -norm.ppf(level / 2) * found.resolution * math.sqrt(6 / 5) * (1 - 1e-9)


def test_the_pooled_test_stays_honest_when_the_champion_is_of_another_kind() -> None:
    """A champion that errs on other images than the recipe needs a larger gain than the exact part alone asks for."""
    rng = np.random.default_rng(0)
    recipe = np.repeat(np.array([True, False]), [900, 100])
    rights = np.tile(recipe, (9, 1)) ^ (rng.random((9, 1000)) < 0.001)
    champion = rng.permutation(np.repeat(np.array([True, False]), [860, 140]))
    found = pool(rights, champion, LEVEL)
    difference = rights.mean(axis=0) - champion
    z = abs(float(difference.sum())) / math.sqrt(float(np.sum(difference**2)))
    assert found.p_value == pytest.approx(2 * norm.sf(z))
    assert found.detectable == pytest.approx(-norm.ppf(LEVEL / 2) * found.resolution * math.sqrt(10 / 9))


def test_no_model_is_no_evidence() -> None:
    """Without a model of the recipe that differs from the champion there is nothing to test."""
    assert pool(np.zeros((0, 5), bool), np.ones(5, bool), LEVEL) == Pooled(0, 0.0, 1.0, None, 0.0)


def test_models_that_agree_with_the_champion_differ_by_nothing() -> None:
    """Several models, right and wrong where the champion is, give p = 1, no gain and no spread."""
    champion = np.array([True, True, False])
    assert pool(np.tile(champion, (3, 1)), champion, LEVEL) == Pooled(3, 0.0, 1.0, None, 0.0)


@BOUNDED
@given(st.integers(1, 5000), st.integers(0, 40), st.integers(0, 40), st.floats(0.001, 0.2))
def test_non_inferiority_uses_the_likeliest_inferior_model(n: int, gained: int, lost: int, margin: float) -> None:
    """Tango's variance is the one that maximises the likelihood among models that are worse by exactly the margin."""
    if gained + lost > n:
        return

    def surprise(q: float) -> float:
        kept = 1 - 2 * q - margin
        terms = ((gained, q), (lost, q + margin), (n - gained - lost, kept))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in terms if count)

    found = minimize_scalar(surprise, bounds=(0, (1 - margin) / 2), method="bounded", options={"xatol": 1e-12})
    likeliest = min((found.x, 0.0, (1 - margin) / 2), key=surprise)
    variance = n * (2 * likeliest + margin - margin**2)
    z = (gained - lost + n * margin) / math.sqrt(variance)
    assert not_worse(gained, lost, n, margin) == pytest.approx(norm.sf(z), rel=1e-3, abs=1e-9)


def test_non_inferiority_is_seldom_wrong() -> None:
    """A model that is worse by exactly the margin passes at level 5 % about one time in twenty."""
    n, margin, q = 2000, 0.01, 0.02
    rng = np.random.default_rng(1)
    draws = rng.multinomial(n, [q, q + margin, 1 - 2 * q - margin], 4000)
    passed = np.mean([not_worse(int(b), int(c), n, margin) <= 0.05 for b, c, _ in draws])
    assert 0.03 < passed < 0.07


def test_few_images_do_not_prove_that_a_model_is_not_worse() -> None:
    """A single image without a difference proves nothing; ten thousand without a difference do."""
    assert not_worse(0, 0, 1, 0.01) > 0.4
    assert not_worse(0, 0, 10_000, 0.01) < 1e-9


@BOUNDED
@given(st.floats(0.0001, 0.5), st.integers(1, 400))
def test_spending_grows_towards_what_is_allotted(allotted: float, models: int) -> None:
    """More models spend more, never more than the allotment, and nearly all of it in the end."""
    assert 0 < spent(allotted, models) < spent(allotted, models + 1) < allotted
    assert spent(allotted, 10**7) == pytest.approx(allotted, rel=1e-3)
    boundary = norm.isf(allotted / 2)
    assert spent(allotted, models) == pytest.approx(2 * norm.sf(boundary * math.sqrt((models + 1) / models)), rel=1e-6)
    assert information(models) == pytest.approx(models / (models + 1))


def test_a_champion_of_the_same_kind_is_seldom_dethroned_however_long_one_looks() -> None:
    """Over 200 nights of exchangeable models the chance of ever crossing stays below what was allotted."""
    rng, allotted, nights, years = np.random.default_rng(2), 0.1, 200, 3000
    noise = rng.standard_normal((years, nights + 1))
    models = np.arange(1, nights + 1)
    gain = np.cumsum(noise[:, 1:], axis=1) / models - noise[:, :1]
    p_values = 2 * norm.sf(gain / np.sqrt(1 + 1 / models))
    crossed = (p_values <= np.array([spent(allotted, int(k)) for k in models])).any(axis=1)
    assert 0.05 < crossed.mean() <= allotted


def test_the_number_of_models_that_would_show_a_gain() -> None:
    """A gain of twice the boundary needs one model, a smaller one more, one below the champion's noise never enough."""
    boundary = float(norm.isf(0.025))
    assert models_needed(0.05, 2 * boundary * 0.001, 0.001) == 1
    assert models_needed(0.05, 1.5 * boundary * 0.001, 0.001) == 2
    assert models_needed(0.05, 1.01 * boundary * 0.001, 0.001) == 100
    assert models_needed(0.05, 0.999 * boundary * 0.001, 0.001) is None
    assert models_needed(0.05, -0.01, 0.001) is None
    assert models_needed(0.05, 0.0, 0.0) is None


def test_a_gain_at_the_level_can_be_detected() -> None:
    """The smallest detectable gain is one whose p-value equals the level; below that level there is none."""
    champion, model = np.zeros(9, np.bool_), np.ones(9, np.bool_)
    level = 2 * float(binomial_pmf(9, 0.5)[0])
    assert pool(model[None], champion, level).detectable == pytest.approx(1.0)
    assert pool(model[None], champion, level * 0.999).detectable is None


def test_a_gain_at_the_boundary_is_never_shown() -> None:
    """No number of models shows a gain that only equals the boundary, and none is needed where there is no noise."""
    boundary = -NORMAL.inv_cdf(0.05 / 2) * 0.001
    assert models_needed(0.05, boundary, 0.001) is None
    assert models_needed(0.05, boundary * 1.01, 0.001) is not None
    assert models_needed(0.05, 0.01, 0.0) is None


def test_two_models_are_enough_for_the_second_test() -> None:
    """A champion that errs on other images than both models is judged by the clustered test, which is stricter here."""
    gained, lost = np.repeat([True, False], [60, 30]), np.repeat([False, True], [60, 30])
    found = pool(np.array([gained, gained]), lost, LEVEL)
    assert found.p_value == pytest.approx(2 * norm.cdf(-30 / math.sqrt(90)), rel=1e-6)
    assert found.detectable == pytest.approx(-norm.ppf(LEVEL / 2) * math.sqrt(90) / 90, rel=1e-6)
