"""A model of nights on which test images arrive: every model answers all images that are there when it is trained.

As in benchmarks/nights.py, images have difficulties that all models of a recipe share. Data may drift in two ways. The
recipe may get better with them, on all images (`gains`). Or the world moves: then images look different from some night
on, and a model trained before that gets fewer of them right (`drift`, `change`), while one trained later does not, and
old images say nothing about it. A class may be added (`class_at`), which no model trained before can know.
"""

from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from artifacts.gate.paired_tests import Bools, Floats
from benchmarks.nights import CERTAIN, NIGHTS, World, modelled

NEVER = 1 << 30
START = 10_000  # test images before the first night, as in the table for test sets that stay as they are
BEFORE = -1  # the night on which the first champion was trained
ACCURACY, DISCORDANT = 0.94, 0.05
LEARNED = 50  # training images of a new class after which its recall is 63 % of what it will be
RECALL = 0.94
OF_THE_NEW = 0.1  # of the images that arrive once there is a new class


@dataclass(frozen=True, eq=False)
class Growing:
    """A year of nights on which images arrive.

    Args:
        name: for the table.
        arriving: test images a night.
        gains: true accuracy of each night's recipe minus that of the first champion's, as a share, shape (nights,).
        recipes: fingerprint of each night's recipe, int of shape (nights,).
        jitter: standard deviation, as a share, of what each night's data adds to its gain.
        other: share of images whose difficulty for the recipe has nothing to do with that for the first champion's.
        drift: share of a night's images that a model loses for every night that has passed since it was trained.
        change: share of the images from night `change_at` on that a model trained before that night loses.
        change_at: see `change`.
        class_at: from this night on, a tenth of the images are of a class that was not there before.
        start: test images before the first night.
    """

    name: str
    arriving: int
    gains: Floats = field(default_factory=lambda: np.zeros(NIGHTS))
    recipes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(NIGHTS, np.int64))
    jitter: float = 0.0
    other: float = 0.0
    drift: float = 0.0
    change: float = 0.0
    change_at: int = NEVER
    class_at: int = NEVER
    start: int = START

    @property
    def nights(self) -> int:
        """How many."""
        return self.gains.size

    def images(self, night: int) -> int:
        """How many test images there are on a night, numbered from 0; on -1 those of the beginning."""
        return self.start + self.arriving * (night + 1)

    def lost(self, trained: int, arrived: int) -> float:
        """The share of the images of a night that a model of another night loses because the world has moved."""
        moved = self.change if trained < self.change_at <= arrived else 0.0
        return moved + self.drift * max(0, arrived - trained)


class GrowingYear:
    """One draw of a scenario: which images each model gets right.

    Images that no model gets wrong, or right, in a thousand tries are left out of the answers: they decide nothing.
    Equal seeds give equal years, whatever is promoted in them.

    Args:
        scenario: what is drawn.
        seed: of the draw.
    """

    def __init__(self, scenario: Growing, seed: int) -> None:
        self.scenario, self.seed = scenario, seed
        rng = np.random.default_rng(seed)
        n, all_images = scenario.images(scenario.nights - 1), np.arange(scenario.images(scenario.nights - 1))
        difficulty = modelled(ACCURACY, DISCORDANT, n, seed + 1_000_000).difficulty
        arrived = np.maximum((all_images - scenario.start) // scenario.arriving, BEFORE)
        unrelated = rng.random(n) < scenario.other
        theirs = np.where(unrelated, rng.permutation(difficulty), difficulty)
        new = (rng.random(n) < OF_THE_NEW) & (arrived >= scenario.class_at)
        self.gains: Floats = scenario.gains + rng.normal(0, 1, scenario.nights) * scenario.jitter
        kept = new | (np.maximum(_contested(difficulty, self._reach), _contested(theirs, self._reach)) > CERTAIN)
        self._odds, self._theirs = _odds(difficulty[kept]), _odds(theirs[kept])
        self.new = new[kept]
        self._stops: npt.NDArray[np.int64] = np.searchsorted(arrived[kept], np.arange(BEFORE, scenario.nights), "right")
        # of the new class in the test set; training has four times as many
        self.new_images = np.array([self.new[: self.stop(night)].sum() for night in range(scenario.nights)])

    @cached_property
    def _reach(self) -> tuple[float, float]:
        """The least and the greatest log-odds by which difficulties are shifted."""
        most = self.scenario.lost(BEFORE, self.scenario.nights - 1)
        return shift(min(self.gains.min(), 0.0) - most), shift(max(self.gains.max(), 0.0))

    def stop(self, night: int) -> int:
        """How many of the images that are kept are there on a night."""
        return int(self._stops[night - BEFORE])

    def answers(self, trained: int, arrived: int | None = None) -> Bools:
        """Which images a model gets right.

        Args:
            trained: the night of its training; -1 for the first champion.
            arrived: for the images of this night alone; None for all that were there when it was trained.
        """
        rng = np.random.default_rng((self.seed, trained + 1, 0 if arrived is None else arrived + 2))
        start, stop = (0, self.stop(trained)) if arrived is None else (self.stop(arrived - 1), self.stop(arrived))
        lost = 0.0 if arrived is None else self.scenario.lost(trained, arrived)
        odds = self._odds if trained == BEFORE else self._theirs
        step = shift(self.gain(trained) - lost)
        chance = 1 - 1 / (1 + odds[start:stop] * np.float32(np.exp(step)))
        new = self.new[start:stop]
        chance[new] = self.recall(trained)
        return np.asarray(rng.random(stop - start, dtype=np.float32) < chance)

    def recall(self, trained: int) -> float:
        """The share of the new class's images that a model gets right: the more, the more it was trained on."""
        if trained < self.scenario.class_at:
            return 0.0
        return RECALL * float(1 - np.exp(-4 * self.new_images[trained] / LEARNED))

    def gain(self, trained: int) -> float:
        """True gain over the first champion, on images of the night of the training."""
        return 0.0 if trained == BEFORE else float(self.gains[trained])

    def ahead(self, night: int, champion: int) -> float:
        """By which share of that night's images its model is truly better than the champion.

        On the images of the classes that both know: without a new class that the champion was trained too early for.
        """
        ahead = self.gain(night) - self.gain(champion) + self.scenario.lost(champion, night)
        if champion < self.scenario.class_at:
            return ahead
        return (1 - OF_THE_NEW) * ahead + OF_THE_NEW * (self.recall(night) - self.recall(champion))


CURVE: World = modelled(ACCURACY, DISCORDANT, 50_000)  # difficulties as they are in all years


@cache
def _reached() -> tuple[Floats, Floats]:
    """Log-odds by which all images are shifted, and what each adds to the accuracy: wider than `World.shift_for`."""
    steps, odds = np.linspace(-8, 4, 241), _odds(CURVE.difficulty)
    means = np.array([np.mean(1 - 1 / (1 + odds * np.float32(np.exp(step)))) for step in steps])
    return steps, means - CURVE.difficulty.mean()


def shift(gain: float) -> float:
    """Return the log-odds that raise the accuracy by a gain, as a share."""
    steps, reached = _reached()
    return float(np.interp(gain, reached, steps))


def _odds(difficulty: Floats) -> npt.NDArray[np.float32]:
    return (difficulty / np.maximum(1 - difficulty, 1e-30)).astype(np.float32)


def _contested(difficulty: Floats, reach: tuple[float, float]) -> Floats:
    """How unsure an image is for the model for which it is the least sure."""
    shifted = [1 - 1 / (1 + _odds(difficulty) * np.exp(np.float32(step))) for step in (*reach, 0.0)]
    return np.asarray(np.max([np.minimum(chance, 1 - chance) for chance in shifted], axis=0), np.float64)


def enough(scenario: Growing, level: float, draws: int = 2000) -> int:
    """Return how many nights after a change there are enough labels to see it.

    Enough are as many images of the changed world as let one model, by McNemar's test at this level, beat the old
    champion in 95 of 100 cases, if nothing but these images were looked at.

    Args:
        scenario: with a change.
        level: two-sided.
        draws: simulated.
    """
    rng, odds = np.random.default_rng(0), _odds(CURVE.difficulty)
    worse = shift(-scenario.change)
    sure, unsure = (1 - 1 / (1 + odds * np.exp(np.float32(step))) for step in (0.0, worse))
    gained, lost = float(np.mean(sure * (1 - unsure))), float(np.mean(unsure * (1 - sure)))
    for nights in range(1, NIGHTS):
        n = nights * scenario.arriving
        counts = rng.multinomial(n, [gained, lost, 1 - gained - lost], draws)
        if np.mean([_significant(g, ell, level) for g, ell, _ in counts]) >= 0.95:
            return nights
    raise SystemExit(f"{scenario.name}: a year has too few images to see the change")


def _significant(gained: int, lost: int, level: float) -> bool:
    from artifacts.gate.paired_tests import mcnemar

    return gained > lost and mcnemar(int(gained), int(lost)) <= level
