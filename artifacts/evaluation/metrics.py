"""Metrics of predictions: accuracy with its uncertainty, log loss, calibration, confusion, metrics per class."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.errors import BadInput

BINS = 15  # equal-width bins of confidence for the expected calibration error, as in Guo et al. 2017
SMALLEST_PROBABILITY = 1e-7  # a probability of exactly 0 for the truth costs -log(1e-7) = 16.1, not infinity


@dataclass(frozen=True)
class ClassMetrics:
    """One class against all others. A ratio whose denominator is 0 is 0.

    Args:
        precision: share of the images predicted as this class that are of it.
        recall: share of the images of this class that were predicted as it.
        f1: harmonic mean of precision and recall.
        support: number of images of this class.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Metrics:
    """The metrics of one set of predictions, as `measure` returns them.

    Args:
        n_examples: number of images, all of them.
        accuracy: share of images whose most probable class is the label; on a tie the lower class counts.
        low: lower end of the 95 % Wilson interval of the accuracy.
        high: its upper end.
        log_loss: mean of -log(probability of the label), in nats, with probabilities clipped at 1e-7.
        ece: expected calibration error over 15 equal-width bins of the top probability.
        confusion: counts, [label][predicted].
        per_class: one entry per class.
    """

    n_examples: int
    accuracy: float
    low: float
    high: float
    log_loss: float
    ece: float
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[ClassMetrics, ...]


def wilson(correct: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share; (0, 1) where nothing was observed.

    Args:
        correct: successes, 0..n.
        n: trials.
        z: standard normal quantile; 1.96 gives 95 %.
    """
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at the ends the formula gives exactly 0 and 1, floating point nearly so
    return (0.0 if correct == 0 else max(0.0, centre - half)), (1.0 if correct == n else min(1.0, centre + half))


def measure(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> Metrics:
    """Measure predictions against the truth.

    Args:
        labels: int (n,), each 0..c-1.
        probabilities: float (n, c), rows that sum to 1.

    Raises:
        BadInput: no images, shapes that do not match, a label out of range, or a row that is not a distribution.
    """
    _check(labels, probabilities)
    n, n_classes = probabilities.shape
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)
    correct = int(np.trace(confusion))
    low, high = wilson(correct, n)
    truth = probabilities[np.arange(n), labels].astype(np.float64)
    return Metrics(
        n_examples=n,
        accuracy=correct / n,
        low=low,
        high=high,
        log_loss=float(-np.log(np.maximum(truth, SMALLEST_PROBABILITY)).mean()),
        ece=_calibration_error(probabilities.max(axis=1).astype(np.float64), predicted == labels),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        per_class=tuple(_class_metrics(confusion, index) for index in range(n_classes)),
    )


def _check(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> None:
    if probabilities.ndim != 2 or labels.shape != (len(probabilities),) or len(labels) == 0:
        raise BadInput(
            f"expected labels (n,) and probabilities (n, c) of at least one image, "
            f"got {labels.shape} and {probabilities.shape}",
            "evaluate every image of the split",
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise BadInput(
            f"expected labels 0..{probabilities.shape[1] - 1}, got {labels.min()}..{labels.max()}",
            "the model was trained for other classes than these",
        )
    wrong = ~(np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) < 1e-3) | (probabilities < 0).any(axis=1)
    if wrong.any():
        raise BadInput(
            f"expected rows of probabilities that sum to 1, got {int(wrong.sum())} that do not "
            f"(the first is row {int(wrong.argmax())})",
            "a model with non-finite weights predicts such rows; train it again",
        )


def _calibration_error(confidence: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_]) -> float:
    """Return the mean distance between confidence and accuracy over the bins, weighted by their size."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - hits, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _class_metrics(confusion: npt.NDArray[np.int64], index: int) -> ClassMetrics:
    hits, support, called = confusion[index, index], confusion[index].sum(), confusion[:, index].sum()
    return ClassMetrics(
        precision=float(hits / called) if called else 0.0,
        recall=float(hits / support) if support else 0.0,
        f1=float(2 * hits / (support + called)) if support + called else 0.0,
        support=int(support),
    )
