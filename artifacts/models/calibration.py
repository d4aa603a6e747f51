"""Calibration: a temperature and a power, fitted on the validation images, that make a model's confidence its accuracy.

Logits divided by a temperature keep their order (Guo et al., On Calibration of Modern Neural Networks, 2017), and so
does a power of how far each is behind the largest: no prediction changes, only how sure the model says it is. The power
is for label smoothing, which draws the logits of all wrong classes together. The reasons are in decision 0018.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

AT_MOST = 20_000  # validation images that are used: more change the temperature by less than a hundredth
LOWEST, HIGHEST = 0.05, 20.0
HALVINGS = 16  # of the interval between them, on a logarithmic scale: to 0.01 %
FEWEST = 1000  # validation images that a power is fitted on, at least
NUMBERS = 1 << 21  # logits that it is fitted on, at most
LARGEST_POWER = 2.5  # and one over it is the smallest
GOLDEN = (math.sqrt(5) - 1) / 2
SECTIONS = 12  # of the interval of powers: to 0.3 %


@dataclass(frozen=True)
class Calibration:
    """What becomes of logits before the softmax: -((largest - logit) / temperature) ** power.

    Args:
        temperature: above 1 for a model that is surer than it is right.
        power: 1 where a temperature is enough; then the logits are just divided by it.
    """

    temperature: float = 1.0
    power: float = 1.0


def calibrate(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Calibration:
    """Return the calibration with the smallest log loss; a power other than 1 only where it pays for itself.

    That is where the log loss of all images together falls by more than 1 (Akaike's criterion for one parameter).

    Args:
        logits: float32 (n, c), of images that the model was not trained on.
        labels: int64 (n,).
    """
    alone = Calibration(temperature(logits, labels))
    some = slice(None, None, -(-logits.size // NUMBERS) or 1)
    behind, true = logits[some].max(axis=1, keepdims=True) - logits[some].astype(np.float64), labels[some]
    if len(true) < FEWEST or not np.isfinite(behind).all():
        return alone
    limit = math.log(LARGEST_POWER)
    power = float(f"{math.exp(_lowest(lambda log: _loss(behind, true, math.exp(log)), -limit, limit)):.3g}")
    if len(true) * (_loss(behind, true, 1.0) - _loss(behind, true, power)) <= 1.0:
        return alone
    return Calibration(float(f"{temperature(-(behind**power), true) ** (1 / power):.3g}"), power)


def _loss(behind: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], power: float) -> float:
    """Return the mean log loss with this power and the best temperature for it."""
    logits = -(behind**power)
    logits = logits / temperature(logits, labels)
    return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]).mean())


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one valley is lowest, by golden sections."""
    places = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
    values = [function(place) for place in places]
    for _ in range(SECTIONS):
        if values[0] <= values[1]:
            high = places[1]
            places, values = [high - GOLDEN * (high - low), places[0]], [math.nan, values[0]]
            values[0] = function(places[0])
        else:
            low = places[0]
            places, values = [places[1], low + GOLDEN * (high - low)], [values[1], math.nan]
            values[1] = function(places[1])
    return (low + high) / 2


def temperature(logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]) -> float:
    """Return the temperature that gives held-out images the smallest log loss, with three significant digits.

    The targets are smoothed by 1 / (n + 2), as by Platt (1999): without it a few images that are all right would ask
    for absolute certainty.

    Args:
        logits: of shape (n, c), of images that the model was not trained on.
        labels: int64 (n,).

    Returns:
        A number in 0.05..20; 1 where the logits say nothing.
    """
    n = len(logits)
    if n == 0 or not np.isfinite(logits).all():
        return 1.0
    centred = logits.astype(np.float64) - logits.mean(axis=1, keepdims=True, dtype=np.float64)
    if not centred.any():
        return 1.0
    smoothing = 1 / (n + 2)
    wanted = (1 - smoothing) * centred[np.arange(n), labels].mean()  # of the mean logit, which is 0, the rest
    low, high = np.log(1 / HIGHEST), np.log(1 / LOWEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _expected(centred * np.exp(middle)) / np.exp(middle) < wanted:  # still less sure than it is right
            low = middle
        else:
            high = middle
    return float(f"{np.exp(-(low + high) / 2):.3g}")


def _expected(logits: npt.NDArray[np.float64]) -> float:
    """Return the mean logit under the model's own probabilities: its increase with certainty is what is balanced."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return float(((weights * logits).sum(axis=1) / weights.sum(axis=1)).mean())


def fitted_on(model: Any, chunks: Any, n: int) -> Calibration:
    """Return the calibration of a network.

    Args:
        model: float32 images (b, h, w) in [0, 1] to logits (b, c).
        chunks: yields images and labels, all of the validation split in any number of parts.
        n: number of validation images; of more than AT_MOST, every second, third... is used.
    """
    every, first = -(-n // AT_MOST), 0
    logits, labels = [], []
    for chunk in chunks:
        chosen = slice(-first % every, None, every)
        first += len(chunk.labels)
        if len(chunk.labels[chosen]):
            logits.append(np.asarray(model.predict(chunk.images[chosen], batch_size=1000, verbose=0), np.float32))
            labels.append(chunk.labels[chosen])
    return calibrate(np.concatenate(logits), np.concatenate(labels))
