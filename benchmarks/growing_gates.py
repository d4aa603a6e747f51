"""Gates on a test set that grows, as functions of a year: what each promotes, and on which nights.

Ours is simulated with its own arithmetic (artifacts/gate/growing/) and bookkeeping, in which an exact test is done only
where a rough one is close; tests/benchmarks/test_growing_nights.py replays years through `artifacts.gate.judge` and
finds the same promotions on the same nights.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from artifacts.gate.growing import spending
from artifacts.gate.growing.answers import NOT_ASKED
from artifacts.gate.growing.pooling import Answers, pool_answers
from artifacts.gate.paired_tests import NORMAL, Bools, mcnemar, not_worse, spent
from artifacts.gate.policy import MEASURABLE, Policy
from benchmarks.growing_nights import BEFORE, GrowingYear

Gate = Callable[[GrowingYear], list[int]]  # the nights on which it promotes
POLICY = Policy()
ALLOWED = spending.budget(POLICY.yearly_errors) * (1 - spending.RECENT)
CLOSE = 0.9  # an exact test is done where the rough one has this share of its boundary
FRESH_EVERY_NIGHT = spent(POLICY.yearly_errors / 2, 1)


def nights_of(year: GrowingYear) -> Iterator[tuple[int, Bools]]:
    """Yield each night with what its model gets right."""
    for night in range(year.scenario.nights):
        yield night, year.answers(night)


@dataclass(eq=False)
class Reign:
    """A champion, and what it gets right of the images that are there so far."""

    year: GrowingYear
    trained: int = BEFORE
    right: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    until: int = BEFORE

    def __post_init__(self) -> None:
        self.right, self.until = self.year.answers(self.trained), self.trained

    def on(self, night: int) -> Bools:
        """Which of the images of a night, and of those before, it gets right."""
        later = [self.year.answers(self.trained, arrived) for arrived in range(self.until + 1, night + 1)]
        self.right, self.until = np.concatenate([self.right, *later]), night
        return self.right

    def knows_all(self, night: int) -> bool:
        """Whether no class was added since it was trained."""
        at = self.year.scenario.class_at
        return not self.trained < at <= night


def greedy(year: GrowingYear) -> list[int]:
    """Promote whatever has at least the champion's accuracy on tonight's test set."""
    promoted, reign = [], Reign(year)
    for night, right in nights_of(year):
        if right.sum() >= reign.on(night).sum():
            promoted.append(night)
            reign = Reign(year, night)
    return promoted


def anew(year: GrowingYear) -> list[int]:
    """Judge every test set as if it had nothing to do with those before: the rule for sets that do not grow.

    Another image gives another digest, hence a fresh budget, and other data another fingerprint, hence one model.
    """
    promoted, reign = [], Reign(year)
    for night, right in nights_of(year):
        theirs = reign.on(night)
        gained, lost = int((right & ~theirs).sum()), int((theirs & ~right).sum())
        if reign.knows_all(night) and gained > lost and mcnemar(gained, lost) <= FRESH_EVERY_NIGHT:
            promoted.append(night)
            reign = Reign(year, night)
    return promoted


def ours(year: GrowingYear) -> list[int]:
    """Promote as artifacts.gate.judge does under `promote_when: better`, looking once a night."""
    return list(_Ours(year))


class _Ours:
    """The books of one year: iterating gives the nights of its promotions."""

    def __init__(self, year: GrowingYear) -> None:
        self.year, self.reign = year, Reign(year)
        self.looked = dict.fromkeys(spending.WINDOWS, -spending.PLANNED)
        self.lost = 0.0  # spent by comparisons that did not end in a promotion
        self._begin(0)

    def _begin(self, night: int) -> None:
        self.first_night = night
        self._recipe(night)

    def _recipe(self, night: int) -> None:
        """A comparison of another recipe with the same champion, or of any with a new one."""
        self.models: list[Bools] = []
        self.counts: list[int] = []
        self.spent = 0.0
        self.allotted = max(0.0, ALLOWED - self.lost) * spending.SHARE
        self.recipe = self.year.scenario.recipes[min(night, self.year.scenario.nights - 1)]

    def __iter__(self) -> Iterator[int]:
        for night, right in nights_of(self.year):
            if self.year.scenario.recipes[night] != self.recipe:
                self.lost += self.spent
                self._recipe(night)
            if self._promotes(night, right):
                self.reign = Reign(self.year, night)
                self._begin(night + 1)
                yield night

    def _promotes(self, night: int, right: Bools) -> bool:
        theirs = self.reign.on(night)
        if not self.reign.knows_all(night):
            return knows_the_new_class(self.year.new[: right.size], right, theirs, self.year.scenario.images(night))
        self.models = [right, *self.models[: spending.POOLED - 1]]
        level = self._pay()
        recently = self._recently(night, right, theirs) and not worse(right, theirs)
        first = self.year.stop(self.first_night)
        old = bool(right.sum() >= theirs.sum() and level and self._better(0, first, theirs, level))
        return old or recently

    def _pay(self) -> float:
        """Charge tonight's look at the champion's own images, and return its level."""
        height = spending.height_for(self.allotted)
        cost = spending.crossing(height, [*self.counts, len(self.models)]) - self.spent
        if cost > ALLOWED - self.lost - self.spent:
            return 0.0
        self.counts.append(len(self.models))
        self.spent += max(0.0, cost)
        return spending.level(height, len(self.models))

    def _recently(self, night: int, right: Bools, theirs: Bools) -> bool:
        """Whether a window of recent images shows a change."""
        shown = False
        for nights in spending.WINDOWS:
            since = night - nights
            if since < self.first_night or night - self.looked[nights] < spending.every(nights):
                continue
            may_spend = spending.window_level(POLICY.yearly_errors, nights)
            arrived = self.year.scenario.images(night) - self.year.scenario.images(since)
            if 2.0 ** (1 - arrived) > 2 * may_spend:
                continue
            self.looked[nights] = night
            start = self.year.stop(since)
            ahead = right[start:].sum() >= theirs[start:].sum()
            shown = shown or bool(ahead and self._better(start, right.size, theirs, 2 * may_spend))
        return shown

    def _better(self, start: int, stop: int, theirs: Bools, level: float) -> bool:
        """Whether the models so far are better on these images, beyond chance at this level."""
        asked, right = np.zeros(stop - start, np.int16), theirs[start:stop].astype(np.int16)
        for model in self.models:
            own = model[start:stop]
            asked[: own.size] += 1
            right[: own.size] += own
        shortfall = right / (asked + 1) - theirs[start:stop]
        if shortfall.sum() < -CLOSE * NORMAL.inv_cdf(level / 2) * math.sqrt(float((shortfall**2).sum())):
            return False
        found = pool_answers(self._answers(start, stop), theirs[start:stop], level)
        return found.gain > 0 and found.p_value <= level

    def _answers(self, start: int, stop: int) -> Answers:
        """The models' answers to these images; not asked where an image arrived after the model's training."""
        answers = np.full((len(self.models), stop - start), NOT_ASKED, np.int8)
        for row, model in zip(answers, self.models, strict=True):
            row[: model[start:stop].size] = model[start:stop]
        return answers[(answers >= 0).any(axis=1)]


def worse(right: Bools, theirs: Bools) -> bool:
    """Whether tonight's model is worse beyond chance on all images, whatever recent ones say."""
    gained, lost = int((right & ~theirs).sum()), int((theirs & ~right).sum())
    return lost > gained and mcnemar(gained, lost) <= POLICY.worse_level


def knows_the_new_class(new: Bools, right: Bools, theirs: Bools, n: int) -> bool:
    """Promote what knows a class that was added, if a loss of the margin on the others is ruled out.

    Args:
        new: of shape (m,), which of the images that are kept are of the new class.
        right: which of them the candidate gets right.
        theirs: the same of the champion.
        n: all test images, kept or not.
    """
    if new.sum() < MEASURABLE or 2 * right[new].sum() < new.sum():
        return False
    gained, lost = int((right & ~theirs & ~new).sum()), int((theirs & ~right & ~new).sum())
    return not_worse(gained, lost, n - int(new.sum()), POLICY.margin) <= POLICY.not_worse_level
