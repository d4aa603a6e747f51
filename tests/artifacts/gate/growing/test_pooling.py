import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.gate.growing.pooling import Answers, pool_answers
from artifacts.gate.paired_tests import pool


@st.composite
def answered(draw: st.DrawFn, most_models: int = 4, most_images: int = 6) -> tuple[Answers, np.ndarray]:
    """Answers of a few models to a few images, some of them not asked, and a champion's."""
    models, n = draw(st.integers(1, most_models)), draw(st.integers(1, most_images))
    flat = draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=models * n, max_size=models * n))
    champion = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return np.array(flat, np.int8).reshape(models, n), np.array(champion)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 10_000))
def test_where_everyone_has_answered_everything_it_is_the_usual_test(models: int, n: int, seed: int) -> None:
    """Then p-value, gain, smallest gain and noise are those of `pool`."""
    rng = np.random.default_rng(seed)
    rights, champion = rng.random((models, n)) < 0.7, rng.random(n) < 0.6
    found, usual = pool_answers(rights.astype(np.int8), champion, 0.2071), pool(rights, champion, 0.2071)
    assert found.models == usual.models
    assert found.p_value == pytest.approx(usual.p_value, rel=1e-9)
    assert found.gain == pytest.approx(usual.gain, abs=1e-12)
    assert found.resolution == pytest.approx(usual.resolution, rel=1e-9)
    assert (found.detectable is None) == (usual.detectable is None)
    if usual.detectable is not None:
        assert found.detectable == pytest.approx(usual.detectable, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(answered(most_models=1))
def test_the_p_value_is_that_of_counting_every_case(case: tuple[Answers, np.ndarray]) -> None:
    """With one model: over all ways in which the champion could be either of the two on every image."""
    answers, champion = case
    expected = np.ones(1)
    score = 0
    scores = [
        sum(choice)
        for choice in itertools.product(
            *[
                ([int(champion[i])] if answers[0, i] < 0 else [int(champion[i]), int(answers[0, i])])
                for i in range(champion.size)
            ]
        )
    ]
    expected, score = np.array(scores), int(champion.sum())
    tail = min(np.mean(expected <= score), np.mean(expected >= score))
    assert pool_answers(answers, champion, 0.1).p_value == pytest.approx(min(1.0, 2 * tail))


@settings(max_examples=100, deadline=None)
@given(answered(most_images=5))
def test_more_models_are_counted_exactly_at_least(case: tuple[Answers, np.ndarray]) -> None:
    """The p-value is never below that of counting every way in which the champion could be one of the models."""
    answers, champion = case
    counts, probabilities = np.zeros(1), np.ones(1)
    for image in range(champion.size):
        group = [int(champion[image]), *(int(one) for one in answers[:, image] if one >= 0)]
        counts = np.concatenate([counts + value for value in group])
        probabilities = np.concatenate([probabilities / len(group)] * len(group))
    score = int(champion.sum())
    tail = min(probabilities[counts <= score].sum(), probabilities[counts >= score].sum())
    assert pool_answers(answers, champion, 0.1).p_value >= min(1.0, 2 * tail) - 1e-9


def test_what_is_added_is_independent_of_what_was_seen() -> None:
    """The shortfall's variance is its covariance with every later one, whether images or models were added."""
    rng = np.random.default_rng(0)
    n, years = 60, 20_000
    models, champion = rng.random((3, years, n)) < 0.8, rng.random((years, n)) < 0.8
    early = (models[:1, :, :40].sum(axis=0) + champion[:, :40]) / 2 - champion[:, :40]
    # the first 40 images have three models now, the others two
    late = np.concatenate(
        [
            (models[:, :, :40].sum(axis=0) + champion[:, :40]) / 4 - champion[:, :40],
            (models[1:, :, 40:].sum(axis=0) + champion[:, 40:]) / 3 - champion[:, 40:],
        ],
        axis=1,
    )
    covariance = np.cov(early.sum(axis=1), late.sum(axis=1))
    assert covariance[0, 1] == pytest.approx(covariance[0, 0], rel=0.05)
    assert covariance[1, 1] == pytest.approx(0.16 * (40 * 3 / 4 + 20 * 2 / 3), rel=0.05)


def test_images_that_nobody_has_answered_say_nothing() -> None:
    """Without models, or without their answers, there is no gain and no evidence."""
    champion = np.array([True, False])
    for answers in (np.full((2, 2), -1, np.int8), np.zeros((0, 2), np.int8)):
        found = pool_answers(answers, champion, 0.1)
        assert (found.models, found.gain, found.p_value, found.detectable) == (0, 0.0, 1.0, None)
    some = pool_answers(np.array([[1, -1]], np.int8), np.array([False, False]), 0.1)
    assert some.gain == 1.0


def test_the_level_is_kept_where_models_come_and_go() -> None:
    """Champions of the models' own kind are beaten at 5 % two-sided no more often than that."""
    rng = np.random.default_rng(1)
    beaten, years, n = 0, 1000, 400
    difficulty = rng.beta(0.75, 0.05, n)
    for _ in range(years):
        answers = (rng.random((5, n)) < difficulty).astype(np.int8)
        for model in range(5):
            answers[model, 200 + 40 * model :] = -1
        champion = rng.random(n) < difficulty
        found = pool_answers(answers, champion, 0.05)
        beaten += found.p_value <= 0.05
    assert beaten / years <= 0.06
