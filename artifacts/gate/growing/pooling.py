"""The exact paired test where not every model has answered every image."""

import math

import numpy as np
import numpy.typing as npt

from artifacts.gate.paired_tests import NORMAL, Bools, Floats, Pooled, binomial_pmf

Answers = npt.NDArray[np.int8]  # of shape (models, n): 1 right, 0 wrong, -1 not asked


def pool_answers(answers: Answers, champion: Bools, level: float) -> Pooled:
    """Compare a champion with models of one recipe, each on the images that it has answered.

    The test of `paired_tests.pool`: if the champion were one more model of that recipe, then on an image that k models
    have answered, and that s of the k + 1 get right, it would be right with probability s / (k + 1). Images may differ
    in k. The champion's shortfall, the sum of s / (k + 1) - right, weighs the gain on an image by k / (k + 1), which is
    the inverse of its variance; so what new images and new models add is independent of what was seen before.

    Args:
        answers: int8 of shape (k, n), n >= 1.
        champion: of shape (n,).
        level: the p-value below which a gain counts, for `detectable`.

    Returns:
        The comparison; its gain is the weighted mean over the images that any model has answered.
    """
    asked = (answers >= 0).sum(axis=0)
    right = (answers == 1).sum(axis=0) + champion
    models, weight = len(answers), float((asked / (asked + 1)).sum())
    if not weight:
        return Pooled(0, 0.0, 1.0, None, 0.0)
    contested = (right > 0) & (right <= asked)
    asked, right, champion = asked[contested], right[contested], champion[contested]
    score, shortfall = int(champion.sum()), right / (asked + 1) - champion
    null = _scores(right, asked)
    p_value = min(1.0, 2 * float(min(null[: score + 1].sum(), null[score:].sum())))
    significant = np.flatnonzero(2 * np.cumsum(null) <= level)
    detectable = float((right / (asked + 1)).sum() - significant[-1]) / weight if significant.size else None
    gain, spread = float(shortfall.sum()) / weight, math.sqrt(float((shortfall**2).sum())) / weight
    if models > 1 and spread > 0:  # one image, one cluster: also for a champion that errs on other images
        p_value = max(p_value, 2 * NORMAL.cdf(-abs(gain) / spread))
        if detectable is not None:
            detectable = max(detectable, -NORMAL.inv_cdf(level / 2) * spread)
    return Pooled(models, gain, p_value, detectable, spread * math.sqrt(weight / answers.shape[1]))


def _scores(right: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]) -> Floats:
    """The exact distribution of the champion's score: a sum of binomials over the images with equal right and asked."""
    null = np.ones(1)
    base = int(asked.max(initial=0)) + 1
    for group, images in zip(*np.unique(right * base + asked, return_counts=True), strict=True):
        s, k = divmod(int(group), base)
        null = np.convolve(null, binomial_pmf(int(images), s / (k + 1)))
    return null
