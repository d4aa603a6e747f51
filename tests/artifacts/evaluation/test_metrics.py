import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from artifacts.evaluation.metrics import Metrics, measure, wilson
from data.errors import BadInput
from data.values import from_json

LABELS = np.array([0, 0, 1, 2, 2])
PROBABILITIES = np.array(
    [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0], [0.5, 0.1, 0.4]], np.float32
)


@given(st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_what_scipy_says(counts: tuple[int, int]) -> None:
    """The interval is Wilson's without continuity correction, for every share including 0 and 1."""
    correct, n = counts
    theirs = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert wilson(correct, n) == pytest.approx((theirs.low, theirs.high), abs=1e-4)


def test_nothing_observed_says_nothing() -> None:
    """Without trials the share may be anything."""
    assert wilson(0, 0) == (0.0, 1.0)


def test_figures_by_hand() -> None:
    """Accuracy, log loss, confusion and the figures per class of five images, worked out on paper."""
    metrics = measure(LABELS, PROBABILITIES)
    assert metrics.n_examples == 5
    assert metrics.accuracy == pytest.approx(3 / 5)
    assert (metrics.low, metrics.high) == wilson(3, 5)
    assert metrics.log_loss == pytest.approx(-np.mean(np.log([0.9, 0.2, 0.8, 1.0, 0.4])), rel=1e-6)
    assert metrics.confusion == ((1, 1, 0), (0, 1, 0), (1, 0, 1))
    assert [entry.precision for entry in metrics.per_class] == pytest.approx([1 / 2, 1 / 2, 1])
    assert [entry.recall for entry in metrics.per_class] == pytest.approx([1 / 2, 1, 1 / 2])
    assert [entry.f1 for entry in metrics.per_class] == pytest.approx([1 / 2, 2 / 3, 2 / 3])
    assert [entry.support for entry in metrics.per_class] == [2, 1, 2]


def test_calibration_by_hand() -> None:
    """The error is the gap between confidence and accuracy, bin by bin, weighted by the bins' sizes."""
    labels = np.array([0, 0, 0, 0])
    # 0.62 and 0.66 share the bin 0.600..0.667 with one hit of two; 0.95 and 0.99 share the last one with two of two
    probabilities = np.array([[0.62, 0.38], [0.34, 0.66], [0.95, 0.05], [0.99, 0.01]], np.float32)
    by_hand = (abs(0.62 + 0.66 - 1) + abs(0.95 + 0.99 - 2)) / 4
    assert measure(labels, probabilities).ece == pytest.approx(by_hand, rel=1e-6)


def test_calibrated_and_overconfident() -> None:
    """A model that says 70 % and is right in 70 of 100 has no calibration error; one that says 100 % has 30 points."""
    labels = np.array([0] * 70 + [1] * 30)
    assert measure(labels, np.tile(np.float32([0.7, 0.3]), (100, 1))).ece == pytest.approx(0, abs=1e-6)
    assert measure(labels, np.tile(np.float32([1, 0]), (100, 1))).ece == pytest.approx(0.3, abs=1e-6)


def test_certain_and_wrong_stays_finite() -> None:
    """A probability of 0 for the truth costs 16.1 nats, not infinity: one image must not hide all others."""
    metrics = measure(np.array([1]), np.array([[1.0, 0.0]], np.float32))
    assert metrics.log_loss == pytest.approx(-math.log(1e-7))


def test_a_class_that_never_occurs() -> None:
    """Ratios without a denominator are 0 and the support says why."""
    metrics = measure(np.array([0, 0]), np.array([[0.8, 0.1, 0.1]] * 2, np.float32))
    assert metrics.per_class[2] == type(metrics.per_class[2])(0.0, 0.0, 0.0, 0)


@given(st.integers(1, 50), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_what_always_holds(n: int, n_classes: int, seed: int) -> None:
    """Counts add up, shares lie in [0, 1], the interval holds the accuracy, and JSON gives everything back."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    probabilities = rng.dirichlet(np.ones(n_classes), n).astype(np.float32)
    metrics = measure(labels, probabilities)
    assert sum(map(sum, metrics.confusion)) == n == sum(entry.support for entry in metrics.per_class)
    assert metrics.low <= metrics.accuracy <= metrics.high
    assert 0 <= metrics.ece <= 1
    assert from_json(Metrics, json.loads(json.dumps(asdict(metrics), allow_nan=False))) == metrics


@pytest.mark.parametrize(
    ("labels", "probabilities", "complaint"),
    [
        (np.zeros(0, np.int64), np.zeros((0, 2), np.float32), "at least one image"),
        (np.array([0]), np.float32([[0.5, 0.5], [0.5, 0.5]]), "got \\(1,\\) and \\(2, 2\\)"),
        (np.array([2]), np.float32([[0.5, 0.5]]), "labels 0..1"),
        (np.array([-1]), np.float32([[0.5, 0.5]]), "labels 0..1"),
        (np.array([0]), np.float32([[np.nan, np.nan]]), "sum to 1"),
        (np.array([0, 0]), np.float32([[0.5, 0.5], [0.9, 0.9]]), "the first is row 1"),
        (np.array([0]), np.float32([[1.5, -0.5]]), "sum to 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: np.ndarray, probabilities: np.ndarray, complaint: str) -> None:
    """No images, wrong shapes, foreign labels and rows that are no distribution never become a number."""
    with pytest.raises(BadInput, match=complaint):
        measure(labels, probabilities)
