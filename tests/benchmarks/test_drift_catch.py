"""The benchmark's tables, on the smallest of its datasets."""

import numpy as np
import pytest

from benchmarks.drift_catch import frame_of, noticed, sound_nights
from benchmarks.drift_nights import HABITS, Pool, growth, pool
from data.drift.accidents.catches import ACCIDENTS
from tests.real_data import digits


@pytest.fixture(scope="module")
def source() -> Pool:
    """scikit-learn's digits."""
    return pool("digits", digits())


@pytest.mark.parametrize("habit", HABITS)
def test_sound_nights_are_left_alone(source: Pool, habit: str) -> None:
    """Eight nights in which up to five labels are corrected and five images removed."""
    found = sound_nights(source, habit, 8, seed=3)
    assert (found.nights, found.warned, found.stopped) == (8, 0, 0)


def test_every_accident_is_noticed(source: Pool) -> None:
    """At its stated size, with 200 new images; digits have no colours."""
    frame = frame_of(source, 200)
    missed = [one.name for one in ACCIDENTS if not noticed(one.apply(frame, np.random.default_rng(0)))]
    assert missed == ["red and blue swapped"]


def test_growth_adds_each_image_once(source: Pool) -> None:
    """Nights follow each other, and no image comes back."""
    states = list(growth(source, "sorted", 300, np.array([50, 50]), np.random.default_rng(0)))
    assert len(states) == 3
    assert len(np.unique(states[-1].rows)) == len(states[-1].rows)
    assert set(np.unique(states[-1].nights)) == {0, 1, 2}
    new = states[-1].labels[states[-1].nights == 2]
    assert np.mean(new == np.bincount(new).argmax()) > 0.9
