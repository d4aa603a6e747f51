"""Calibration: one temperature, fitted on the validation images, that makes a model's confidence its accuracy.

Logits divided by a temperature keep their order, so no prediction changes; only how sure the model says it is. Guo et
al., On Calibration of Modern Neural Networks, 2017. The reasons are in decision 0018.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

AT_MOST = 20_000  # validation images that are used: more change the temperature by less than a hundredth
LOWEST, HIGHEST = 0.05, 20.0
HALVINGS = 16  # of the interval between them, on a logarithmic scale: to 0.01 %


def temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Return the temperature that gives held-out images the smallest log loss, with three significant digits.

    The targets are smoothed by 1 / (n + 2), as by Platt (1999): without it a few images that are all right would ask
    for absolute certainty.

    Args:
        logits: float32 (n, c), of images that the model was not trained on.
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


def fitted_on(model: Any, chunks: Any, n: int) -> float:
    """Return the temperature of a network.

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
    return temperature(np.concatenate(logits), np.concatenate(labels))
