"""Windows of recent test images: did the world change since the champion was trained?

The images that arrived after the champion's first comparison have chosen no model: they are fresh evidence. A change of
the world shows in the newest of them alone, and older ones dilute it; so windows of many lengths are looked at.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from artifacts.gate.decision import Recent
from artifacts.gate.evidence import Look
from artifacts.gate.growing.pooling import Answers, pool_answers
from artifacts.gate.growing.spending import WINDOWS, every, window_level
from artifacts.gate.paired_tests import Bools


def due(looks: Sequence[Look], when: str, n: int, first: int, yearly_errors: float) -> tuple[tuple[int, int], ...]:
    """Return length in nights, and first image, of the windows to look at tonight.

    A window begins after the images that were there `nights` before tonight. It is not looked at if it would begin
    before the champion's first comparison, if another look did so less than a quarter of its length ago, or if it has
    too few images for any result to count. Of windows that hold the same images, the longest is taken.

    Args:
        looks: all looks at this test set's earlier states, oldest first.
        when: tonight's date.
        n: number of tonight's images.
        first: how many images there were when the champion was first compared.
        yearly_errors: the policy's.
    """
    tonight, starts = date.fromisoformat(when), dict[int, int]()
    for nights in WINDOWS:
        start = _images_before(looks, tonight - timedelta(days=nights))
        enough = 2.0 ** (1 + start - n) <= 2 * window_level(yearly_errors, nights)
        if start >= first and enough and not _seen(looks, nights, tonight):
            starts[start] = nights
    return tuple((nights, start) for start, nights in starts.items())


def furthest(
    windows: Sequence[tuple[int, int]], answers: Answers, right: Bools, champion: Bools, yearly_errors: float
) -> Recent | None:
    """Return the window whose p-value is the smallest share of its level among those with a gain; None without windows.

    Args:
        windows: as `due` returns them.
        answers: of the recipe's models, of shape (k, n).
        right: bool of shape (n,): which images tonight's candidate gets right.
        champion: the same of the champion.
        yearly_errors: the policy's.
    """
    found = [
        _compared(nights, window_level(yearly_errors, nights), answers[:, start:], right[start:], champion[start:])
        for nights, start in windows
    ]
    ahead = [one for one in found if one.pooled.gain > 0]
    return min(ahead or found, key=lambda one: one.pooled.p_value / one.level, default=None)


def _compared(nights: int, may_spend: float, answers: Answers, right: Bools, champion: Bools) -> Recent:
    level = 2 * may_spend  # only a gain promotes, which is half of a two-sided p-value
    pooled = pool_answers(answers[(answers >= 0).any(axis=1)], champion, level)
    gained, lost = int((right & ~champion).sum()), int((champion & ~right).sum())
    return Recent(nights, champion.size, gained, lost, pooled, level)


def _images_before(looks: Sequence[Look], day: date) -> int:
    """Return how many images the newest look of that day, or before, was at; -1 without one."""
    for look in reversed(looks):
        if look.grown and date.fromisoformat(look.when) <= day:
            return look.grown.images
    return -1


def _seen(looks: Sequence[Look], nights: int, tonight: date) -> bool:
    since = tonight - timedelta(days=every(nights))
    return any(look.grown and nights in look.grown.windows and date.fromisoformat(look.when) > since for look in looks)
