from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from artifacts.gate.evidence import Look
from artifacts.gate.growing.recent import due, furthest
from artifacts.gate.growing.spending import window_level
from tests.artifacts.gate.gate_cases import LOOK, grown

TONIGHT = "2026-11-20"
YEARLY = 0.1


def ago(nights: int, images: int, windows: tuple[int, ...] = ()) -> Look:
    """A look some nights ago, at so many images."""
    when = (date.fromisoformat(TONIGHT) - timedelta(days=nights)).isoformat()
    look = grown(replace(LOOK, when=when), images)
    assert look.grown is not None
    return replace(look, grown=replace(look.grown, windows=windows))


def windows(*looks: Look, n: int = 1000, first: int = 100) -> dict[int, int]:
    """The windows to look at tonight."""
    return dict(due(looks, TONIGHT, n, first, YEARLY))


def test_a_window_holds_the_images_that_arrived_since() -> None:
    """It begins behind the images that were there so many nights ago, or at the newest look before."""
    looks = [ago(nights, 1000 - 50 * nights) for nights in range(8, 0, -1)]
    assert windows(*looks) == {1: 950, 2: 900, 4: 800, 8: 600}
    assert windows(ago(5, 700), ago(3, 800)) == {4: 700, 2: 800}


def test_images_from_before_the_champions_first_comparison_are_not_recent() -> None:
    """They were there when it was chosen; of windows that hold the same images, the longest is taken."""
    looks = [ago(nights, 1000 - 50 * nights) for nights in range(8, 0, -1)]
    assert windows(*looks, first=900) == {1: 950, 2: 900}
    assert windows(ago(6, 500)) == {4: 500}
    assert windows() == {}


def test_a_window_is_looked_at_again_after_a_quarter_of_its_length() -> None:
    """The level of a window is that of so many looks a year, and no more."""
    looks = [ago(nights, 1000 - 25 * nights) for nights in range(20, 0, -1)]
    assert 16 in windows(*looks)
    assert 16 not in windows(*looks[:-3], ago(3, 925, (16,)), *looks[-2:])
    assert 16 in windows(*looks[:-4], ago(4, 900, (16,)), *looks[-3:])
    assert 1 not in windows(*looks, ago(0, 1000, (1,)))


def test_too_few_images_are_not_looked_at() -> None:
    """Of a handful of images no result could count, so nothing is spent on them."""
    fewest = next(k for k in range(1, 99) if 2.0 ** (1 - k) <= 2 * window_level(YEARLY, 1))
    assert windows(ago(1, 1000 - fewest)) == {1: 1000 - fewest}
    assert windows(ago(1, 1001 - fewest)) == {}


def test_the_window_that_shows_most_is_reported() -> None:
    """A change in the last images alone is seen best in a short window."""
    n = 400
    champion, right = np.ones(n, np.bool_), np.ones(n, np.bool_)
    champion[-40::2] = False
    right[[3, 5, 7]] = False
    found = furthest([(8, 0), (2, n - 40)], right.astype(np.int8)[None], right, champion, YEARLY)
    assert found is not None
    assert (found.nights, found.images, found.gained, found.lost) == (2, 40, 20, 0)
    assert found.pooled.gain == pytest.approx(0.5)
    assert found.level == 2 * window_level(YEARLY, 2)
    behind = furthest([(2, n - 40)], champion.astype(np.int8)[None], champion, right, YEARLY)
    assert behind is not None
    assert behind.pooled.gain < 0
    assert furthest([], right.astype(np.int8)[None], right, champion, YEARLY) is None
