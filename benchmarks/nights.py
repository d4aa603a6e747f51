"""A model of nights: what a gate sees when recipes are retrained and scored on the same test images every night.

Every test image has a difficulty that all models of a recipe share: the probability that one of them gets it right.
Given the difficulty, models trained with different seeds are right or wrong independently. With difficulties from a
Beta distribution fitted to an accuracy of 94 % and 5 % of images on which two seeds differ, the standard deviation
between seeds is 0.16 points on 10,000 images, without another parameter. A better recipe shifts every
image's log-odds by the same amount. Difficulties can be measured instead, from predictions of several seeds; what
the seeds differ by beyond that sampling noise is then taken for a true difference between them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifacts.gate.paired_tests import Bools, Floats
from artifacts.models.predictions import read

NIGHTS = 365
CERTAIN = 1e-3  # images surer than this vary too little to matter: 0.1 % of the variance, a third of the work


@dataclass(frozen=True, eq=False)
class World:
    """The test images of a simulation.

    Args:
        difficulty: probability, of shape (n,), that a model of the first champion's recipe gets an image right.
        source: a description of where it comes from.
        true_sd: standard deviation, as a share, by which seeds of one recipe differ in truth, beyond sampling noise:
            0 if images are independent given the difficulty.
    """

    difficulty: Floats
    source: str
    true_sd: float = 0.0

    @property
    def discordant(self) -> float:
        """Share of images on which two seeds of one recipe differ."""
        return float(np.mean(2 * self.difficulty * (1 - self.difficulty)))

    @property
    def seed_sd(self) -> float:
        """Standard deviation of the measured accuracy between seeds, as a share."""
        noise = float(np.sum(self.difficulty * (1 - self.difficulty))) / self.difficulty.size**2
        return math.sqrt(noise + self.true_sd**2)

    @cached_property
    def _reached(self) -> tuple[Floats, Floats]:
        """Log-odds by which all images are shifted, and what each adds to the mean: the slow part of `shift_for`."""
        grid = np.linspace(-3, 3, 241)
        odds = self.difficulty / np.maximum(1 - self.difficulty, 1e-300)
        means = np.array([np.mean(1 - 1 / (1 + odds * np.exp(step))) for step in grid])
        return grid, means - self.difficulty.mean()

    def shift_for(self, gains: Floats) -> Floats:
        """Return the log-odds that raise the mean difficulty by each of the gains (shares, of any shape)."""
        grid, reached = self._reached
        return np.asarray(np.interp(gains, reached, grid))


def modelled(accuracy: float = 0.94, discordant: float = 0.05, n: int = 10_000, seed: int = 0) -> World:
    """Draw difficulties from the Beta distribution with this mean and this disagreement between two seeds."""
    total = accuracy * (1 - accuracy) / (accuracy * (1 - accuracy) - discordant / 2) - 1
    draws = np.random.default_rng(seed).beta(accuracy * total, (1 - accuracy) * total, n)
    return World(draws, f"Beta difficulties, accuracy {accuracy:.1%}, {discordant:.1%} discordant")


def measured(folder: Path) -> World:
    """Take difficulties from predictions-test.parquet files of several seeds of one recipe on the same images."""
    files = sorted(folder.rglob("*.parquet"))
    predictions = [read(path) for path in files]
    rights = np.array([one.predicted == one.labels for one in predictions], np.float64)
    if len(rights) < 2:
        raise SystemExit(f"{folder} holds {len(rights)} prediction files; at least 2 seeds of one recipe are needed")
    share = rights.mean(axis=0)
    # a share of k seeds is less uncertain than the difficulty behind it: spread it so that two seeds differ as often
    # as the files do
    unbiased = float(np.mean(2 * share * (1 - share))) * len(rights) / (len(rights) - 1)
    half = np.clip(share, 0.5 / len(rights), 1 - 0.5 / len(rights))
    weight = _solve(lambda w: float(np.mean(2 * _mix(share, half, w) * (1 - _mix(share, half, w)))), unbiased, 0.0, 1.0)
    world = World(_mix(share, half, weight), f"{len(rights)} prediction files")
    excess = float(np.var(rights.mean(axis=1), ddof=1)) - world.seed_sd**2
    return replace(world, true_sd=math.sqrt(max(0.0, excess)))


def _mix(first: Floats, second: Floats, weight: float) -> Floats:
    mixed: Floats = (1 - weight) * first + weight * second
    return mixed


def _solve(rising: Callable[[float], float], target: float, low: float, high: float) -> float:
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True, eq=False)
class Scenario:
    """A year, or the beginning of one.

    Args:
        name: for the table.
        gains: true accuracy of each night's recipe minus that of the first champion's, as a share, shape (nights,).
        recipes: fingerprint of each night's recipe, int of shape (nights,).
        jitter: standard deviation, as a share, of what each night's data adds to its gain.
        seeds: models of the recipe trained each night.
        other: share of images whose difficulty for the new recipe has nothing to do with that for the champion's.
    """

    name: str
    gains: Floats
    recipes: npt.NDArray[np.int64]
    jitter: float = 0.0
    seeds: int = 1
    other: float = 0.0

    @property
    def nights(self) -> int:
        """How many."""
        return self.gains.size


def steady(name: str, gain: float, nights: int = NIGHTS, after: int = 0, seeds: int = 1) -> Scenario:
    """The champion's recipe for `after` nights, then one that is truly better by `gain` (a share)."""
    late = np.arange(nights) >= after
    return Scenario(name, np.where(late, gain, 0.0), late.astype(np.int64), seeds=seeds)


@dataclass(frozen=True, eq=False)
class Year:
    """One draw of a scenario: which contested images each model gets right.

    Args:
        champion: bool of shape (m,), the first champion.
        right: bool of shape (nights, seeds, m); the candidate is each night's seed 0.
        recipes: as in the scenario.
        gains: true gain of each night's candidate over the first champion's recipe, of shape (nights,).
        first: the same of the first champion.
        n: all test images, contested or not.
    """

    champion: Bools
    right: Bools
    recipes: npt.NDArray[np.int64]
    gains: Floats
    first: float
    n: int

    @cached_property
    def candidates(self) -> npt.NDArray[np.float32]:
        """`right` of the candidates alone, as numbers, of shape (nights, m)."""
        return self.right[:, 0].astype(np.float32)

    @cached_property
    def scores(self) -> npt.NDArray[np.float32]:
        """Right answers of the candidates, of shape (nights,)."""
        return np.asarray(self.right[:, 0].sum(axis=1), np.float32)


def draw(world: World, scenario: Scenario, seed: int) -> Year:
    """Draw a year; equal seeds give equal years."""
    rng = np.random.default_rng(seed)
    gains = scenario.gains + rng.normal(0, scenario.jitter, scenario.nights) * (scenario.jitter > 0)
    each = np.repeat(gains[:, None], scenario.seeds, axis=1)
    first = 0.0
    if world.true_sd:
        each = each + rng.normal(0, world.true_sd, each.shape)
        first = float(rng.normal(0, world.true_sd))
    champions = candidates = world.difficulty
    if scenario.other:
        unrelated = rng.random(champions.size) < scenario.other
        candidates = np.where(unrelated, rng.permutation(champions), champions)
    unsure = np.maximum(_doubt(champions), _doubt(candidates)) > CERTAIN
    values, index = np.unique(world.shift_for(each), return_inverse=True)
    chance = _shifted(champions[unsure], world.shift_for(np.array([first])))[0]
    chances = _shifted(candidates[unsure], values)
    # 16 bits tell 1 / 65,536 apart, which is far below CERTAIN, in a third of the time of real numbers
    draws = rng.integers(0, 1 << 16, (scenario.nights, scenario.seeds, chance.size), dtype=np.uint16)
    below = np.minimum(np.round(chances * (1 << 16)), (1 << 16) - 1).astype(np.uint16)
    right = draws < below[index]
    return Year(rng.random(chance.size) < chance, right, scenario.recipes, each[:, 0], first, champions.size)


def _shifted(difficulty: Floats, steps: Floats) -> npt.NDArray[np.float32]:
    odds = (difficulty / np.maximum(1 - difficulty, 1e-30)).astype(np.float32)
    return np.asarray(1 - 1 / (1 + odds * np.exp(steps.astype(np.float32))[:, None]), np.float32)


def _doubt(difficulty: Floats) -> Floats:
    return np.minimum(difficulty, 1 - difficulty)
