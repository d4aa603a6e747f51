"""Whether one model is better than another on the same test images. Exact tests where possible; NumPy only.

Two models: McNemar's exact test. An image that both get right, or both get wrong, does not show which is better. Of
the `n` discordant images an equally good model gains Binomial(n, 1/2).

One champion against several models of one recipe (more seeds, more nights): the same test with several partners. If
the champion were just one more model of that recipe, then on an image that `s` of the `k + 1` models get right the
champion would be one of those `s` with probability s / (k + 1), so its number of right answers is a sum of binomials
over the images with equal `s`, and its distribution is known exactly. With k = 1 this is McNemar's test.

Repeated looks: more nights average out the sampling noise of the recipe's seeds, but the champion is one fixed model
and its sampling noise on these images stays. The mean gain over k models has variance proportional to 1 + 1/k, so a
year of nights moves the information from 1/2 (k = 1) to 1 (k infinite) and no further, like a Brownian motion: O'Brien
and Fleming's boundary with Lan and DeMets' spending function holds for any number of looks. The argument is in
docs/decisions/0006-gate.md.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
NORMAL = NormalDist()


def binomial_pmf(n: int, probability: float) -> Floats:
    """Return the probabilities of 0..n successes in n trials, of shape (n + 1,), for 0 < probability < 1."""
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    successes = np.arange(n + 1)
    log_pmf = log_factorial[n] - log_factorial - log_factorial[::-1]
    log_pmf += successes * math.log(probability) + (n - successes) * math.log1p(-probability)
    pmf: Floats = np.exp(log_pmf)
    return pmf


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided exact McNemar p-value in (0, 1]; 1 when no image is discordant.

    Args:
        gained: images that the candidate gets right and the champion wrong.
        lost: images that the champion gets right and the candidate wrong.
    """
    pmf = binomial_pmf(gained + lost, 0.5)
    return min(1.0, 2 * float(pmf[: min(gained, lost) + 1].sum()))


def not_worse(gained: int, lost: int, n: int, margin: float) -> float:
    """Return the one-sided p-value of "the candidate is worse by `margin` or more" (Tango's score test, 1998).

    The variance is the maximum likelihood estimate under "worse by exactly `margin`": with a few images and none
    discordant, the plain estimate would be 0 and everything would seem significant.

    Args:
        gained: images that only the candidate gets right.
        lost: images that only the champion gets right.
        n: all test images, at least 1.
        margin: share of images in (0, 1).
    """
    linear = gained + lost - margin * (2 * n + gained - lost)
    discriminant = linear**2 + 8 * n * gained * margin * (1 - margin)
    gains = (linear + math.sqrt(discriminant)) / (4 * n)  # the most likely P(gained) if P(lost) = P(gained) + margin
    variance = n * (2 * gains + margin - margin**2)
    return 1 - NORMAL.cdf((gained - lost + margin * n) / math.sqrt(variance))


@dataclass(frozen=True)
class Pooled:
    """Several models of one recipe compared with the champion.

    Args:
        models: how many different models of the recipe were compared.
        gain: mean share of images by which they beat the champion, in [-1, 1].
        p_value: two-sided, in (0, 1]: how often a champion of the same recipe would differ this much from them.
        detectable: the smallest gain, as a share, that would have reached the level; None if none could have.
        resolution: standard deviation, as a share, of the champion's sampling noise on these images, which further
            models do not reduce.
    """

    models: int
    gain: float
    p_value: float
    detectable: float | None
    resolution: float


def pool(rights: Bools, champion: Bools, level: float) -> Pooled:
    """Compare a champion with k different models of one recipe on the same n images.

    For k = 1 this is McNemar's exact test. For more models the p-value is the larger of two: the exact one, which
    assumes that the champion is one of the recipe's models, and one that only assumes images drawn independently
    (every image one cluster; Yang, Sun and Hardin 2010), which also holds when the champion errs on other images.

    Args:
        rights: of shape (k, n), n >= 1, whether each of the recipe's k >= 0 models gets each image right.
        champion: of shape (n,).
        level: the p-value below which a gain counts, for `detectable`.
    """
    models, n = rights.shape
    if not models:
        return Pooled(0, 0.0, 1.0, None, 0.0)
    counts = rights.sum(axis=0, dtype=np.int64) + champion
    contested = (counts > 0) & (counts <= models)
    counts, score = counts[contested], int(champion[contested].sum())
    null = _score_distribution(counts, models)
    expected = float(counts.sum()) / (models + 1)
    to_gain = (models + 1) / models / n  # gain per correct answer that the champion loses
    p_value = min(1.0, 2 * float(min(null[: score + 1].sum(), null[score:].sum())))
    detectable = _smallest(null, expected, level, to_gain)
    difference = rights[:, contested].mean(axis=0) - champion[contested]
    gain, spread = float(difference.sum()) / n, math.sqrt(float((difference**2).sum())) / n
    if models > 1 and spread > 0:
        p_value = max(p_value, 2 * NORMAL.cdf(-abs(gain) / spread))
        if detectable is not None:
            detectable = max(detectable, -NORMAL.inv_cdf(level / 2) * spread)
    return Pooled(models, gain, p_value, detectable, spread * math.sqrt(models / (models + 1)))


def _score_distribution(counts: npt.NDArray[np.int64], models: int) -> Floats:
    """The exact distribution of the champion's score if `counts` of k + 1 exchangeable models get each image right."""
    null = np.ones(1)
    for right, images in zip(*np.unique(counts, return_counts=True), strict=True):
        null = np.convolve(null, binomial_pmf(int(images), int(right) / (models + 1)))
    return null


def _smallest(null: Floats, expected: float, level: float, to_gain: float) -> float | None:
    """The smallest gain whose two-sided p-value is at most `level`."""
    significant = np.flatnonzero(2 * np.cumsum(null) <= level)
    return float(expected - significant[-1]) * to_gain if significant.size else None


def information(models: int) -> float:
    """Return the share, in [1/2, 1), of all obtainable information that k >= 1 models of a recipe hold."""
    return models / (models + 1)


def spent(allotted: float, models: int) -> float:
    """Return the error spent after k models: the level that the two-sided p-value must not exceed.

    Lan and DeMets' O'Brien-Fleming spending function 2 - 2 Phi(z / sqrt(t)), which is exact for a Brownian motion
    observed continuously and therefore an upper bound for any number of looks at any times.

    Args:
        allotted: the most that this comparison may spend in total, in (0, 1).
        models: how many different models of the recipe have been compared, at least 1.
    """
    boundary = -NORMAL.inv_cdf(allotted / 2)
    return 2 * NORMAL.cdf(-boundary / math.sqrt(information(models)))


def models_needed(allotted: float, gain: float, resolution: float) -> int | None:
    """Return how many models of the recipe would make this gain significant; None if no number would.

    Args:
        allotted: the most that this comparison may spend in total, in (0, 1).
        gain: mean gain over the models so far, as a share.
        resolution: see `Pooled`.
    """
    boundary = -NORMAL.inv_cdf(allotted / 2) * resolution
    return math.ceil(1 / (gain / boundary - 1)) if gain > boundary > 0 else None


def fewest_gained(yearly_errors: float) -> int:
    """Return how many images one model must gain, losing none, to be better beyond chance on the first look.

    k discordant images, all gained, have the two-sided p-value 2 ** (1 - k).

    Args:
        yearly_errors: the policy's budget, in (0, 1).
    """
    return math.ceil(1 - math.log2(spent(yearly_errors / 2, 1)))
