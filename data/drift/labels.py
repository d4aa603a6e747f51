"""Do the labels of the new images fit their images? A linear classifier learns from known images, and is asked.

It is weak on purpose: what counts is not whether it is right, but whether it is right as often as on known images.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.drift.looks import KNOWN, NEW, Samples, some_rows
from data.drift.new_images import FIRST, FLAT, SLACK, Within
from data.drift.night import SIDES, Night
from data.drift.shift import ACCEPT, Shift, listing, name_of
from data.statistics.summary import numeric

LEAST = 20  # new images
TRAINED = 5  # known images of a class to learn from: with fewer, it is left out
TELLING = 0.2  # accuracy above chance, on known images: below, labels cannot be judged
WRONG = (0.25, 0.5)  # share of the new labels that do not fit: told above, stopped above
DAILY = 0.1  # accuracy that sound new images may lack
MOVED = 0.2  # standard deviations between new and known images: above, the mean is put back before it is asked
SURE = 4.75  # standard errors
RIDGE = 3.0  # on standardised columns
FAR = 4.0  # standard deviations: columns are cut there


def label_rules(night: Night, found: Samples | None) -> Iterator[Shift]:
    """Yield what share of the new labels does not fit.

    Args:
        night: both snapshots.
        found: looks at their images; None: only the statistics are used.
    """
    one = _asked(night, found)
    yield Shift(
        "labels of new images",
        "shift" if one.unlike > FIRST else "accident",  # what it has learned from a camera may not hold for another
        _wrong(one),
        "share of labels that do not fit",
        *WRONG,
        f"of {one.n:,} new images, {one.right:.0%} look like the class in their label, where {one.expected:.0%} are "
        f"expected{_used(night, found)}",
        f"check that labels and images of the new files belong together; {ACCEPT}",
    )


def unlike(night: Night, known: np.ndarray, new: np.ndarray) -> float:
    """Return how much the new images look as if they had been taken in another way, in standard deviations.

    They differ within the classes and without regard to labels: wrong labels alone make one of the two differences.
    """
    labels, most = night.labels, 0.0
    for name in numeric(night.new):
        values, least = night.new[name].to_numpy(), SLACK.get(name, FLAT)
        away = []
        for classes in (labels, np.zeros_like(labels)):
            inside = Within.of(values[known], classes[known], night.n_classes, least)
            away.append(inside.distance(values[new], classes[new])[0])
        most = max(most, min(map(abs, away)) if away[0] * away[1] > 0 else 0.0)
    return most


def telling(night: Night, found: Samples | None) -> float:
    """Return how well known images tell the classifier their class: accuracy above chance, over the best possible."""
    one = _asked(night, found)
    return (one.expected - one.chance) / (1 - one.chance) if one.n >= LEAST and one.chance < 1 else 0.0


@dataclass(frozen=True)
class _Answers:
    """How often the classifier gives the label of an image.

    Args:
        n: new images.
        right: share of the new images.
        expected: the same of known images that it has not seen, each class weighed as among the new ones.
        chance: what guessing reaches.
        unlike: how much the new images look as if they had been taken in another way.
    """

    n: int
    right: float
    expected: float
    chance: float
    unlike: float = 0.0


def _asked(night: Night, found: Samples | None) -> _Answers:
    known, new = _rows(night, found)
    labels = night.labels
    enough = np.bincount(labels[known[::2]], minlength=night.n_classes) >= TRAINED
    known, new = known[enough[labels[known]]], new[enough[labels[new]]]
    trained, asked, chance = known[::2], known[1::2], 1 / max(int(enough.sum()), 1)
    if not len(new) or not len(asked) or int(enough.sum()) < 2:
        return _Answers(0, 0.0, 0.0, chance)
    describe = _Described(night, found, known)
    weights = _learn(describe(trained), labels[trained], night.n_classes)
    expected = _expected(describe(asked) @ weights, labels[asked], labels[new], night.n_classes)
    other = unlike(night, known, new)
    forms = (describe(new), describe.as_usual(new, known)) if other > MOVED else (describe(new),)
    right = max(_accuracy(some @ weights, labels[new]) for some in forms)
    return _Answers(len(new), right, expected, chance, other)


def _used(night: Night, found: Samples | None) -> str:
    labels = np.unique(night.labels[_rows(night, found)[1]])
    return f"; their labels are {listing([name_of(night.new_names, label) for label in labels])}" if len(labels) else ""


def _rows(night: Night, found: Samples | None) -> tuple[np.ndarray, np.ndarray]:
    if found is not None:
        return found.known.rows, found.new.rows
    known = night.kept[night.sides[night.kept] != SIDES.index("test")]
    return some_rows(night, known, KNOWN), some_rows(night, night.added, NEW)


def _wrong(one: _Answers) -> float:
    """Return the share of wrong labels that explains the answers; 0 if chance or daily variation may explain them."""
    error = math.sqrt(max(one.expected * (1 - one.expected), 0.01) / max(one.n, 1))
    unsure = one.n < LEAST or one.expected < one.chance + TELLING
    if unsure or one.right >= one.expected - DAILY - SURE * error:
        return 0.0
    return min((one.expected - one.right) / (one.expected - one.chance), 1.0)


# -- the classifier -----------------------------------------------------------------------------------------------


class _Described:
    """Images as rows of numbers with mean 0 and standard deviation 1 over the known ones.

    Args:
        night: both snapshots.
        found: looks at their images, or None.
        known: rows of the known images.
    """

    def __init__(self, night: Night, found: Samples | None, known: np.ndarray) -> None:
        self.night, self.found = night, found
        self.columns = [night.new[name].to_numpy() for name in numeric(night.new)]
        plain = self._plain(known)
        self.mean, self.scale = plain.mean(axis=0), np.maximum(plain.std(axis=0), 1e-3)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return float64 of shape (n, columns), for rows of tonight's table."""
        return self._standard(self._plain(rows) - self.mean)

    def as_usual(self, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return the same, moved so that the mean is what known images with these labels have: another camera."""
        plain, labels = self._plain(rows), self.night.labels
        usual = _class_means(self._plain(known), labels[known], self.night.n_classes)
        return self._standard(plain - plain.mean(axis=0) + usual[labels[rows]].mean(axis=0) - self.mean)

    def _plain(self, rows: np.ndarray) -> np.ndarray:
        columns = [np.stack([column[rows] for column in self.columns], axis=1)]
        if self.found is not None:
            groups = (self.found.known, self.found.new)
            group = next(one for one in groups if np.isin(rows[:1], one.rows).all())
            columns.append(group.cells[np.searchsorted(group.rows, rows)] / 255)
        return np.concatenate(columns, axis=1)

    def _standard(self, plain: np.ndarray) -> np.ndarray:
        found = np.clip(plain / self.scale, -FAR, FAR)
        squares = found[:, : len(self.columns)] ** 2  # a class may lie on both sides of another
        return np.concatenate([found, squares, np.ones((len(found), 1))], axis=1)


def _class_means(values: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    sums = np.zeros((n_classes, values.shape[1]))
    np.add.at(sums, labels, values)
    means: np.ndarray = sums / np.maximum(np.bincount(labels, minlength=n_classes), 1)[:, None]
    return means


def _learn(columns: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the weights of a linear classifier by ridge regression; a class without images is never answered."""
    counts = np.bincount(labels, minlength=n_classes)
    goals = np.zeros((len(labels), n_classes))
    goals[np.arange(len(labels)), labels] = 1
    gram = columns.T @ columns + RIDGE * np.eye(columns.shape[1])
    weights: np.ndarray = np.linalg.solve(gram, columns.T @ goals)
    weights[-1, counts == 0] = -np.inf
    return weights


def _accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


def _expected(scores: np.ndarray, labels: np.ndarray, new: np.ndarray, n_classes: int) -> float:
    """Return the accuracy on known images, each class weighed as among the new ones."""
    right = scores.argmax(axis=1) == labels
    counts = np.bincount(labels, minlength=n_classes)
    of_class = np.bincount(labels, right, n_classes) / np.maximum(counts, 1)
    return float(of_class[new].mean())
