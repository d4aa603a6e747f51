"""Rules on the rows of the new images: class shares and statistics against the rest, and against earlier nights.

Statistics are compared within each class: a night that brings one class only is not a new camera.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.drift.night import Night
from data.drift.shift import Shift, by_chance, name_of, shares
from data.inspection.witness import WORDS
from data.statistics.summary import numeric

LEAST = 50  # new images: fewer, together with those of the last nights, show nothing
ENOUGH = 200  # new images: with fewer, those of the last nights are added
POOLED = 10  # nights at most whose images are added
HISTORY = 5  # earlier nights that make a yardstick
BATCH = 20  # images of an earlier night that counts as one of these
FEW = 20  # known images of a class: with fewer, it is not compared
SURE = 6  # standard errors
FIRST, LATER = 0.5, 0.4  # standard deviations of one image: told above, without and with earlier nights as a yardstick
MIX = 0.25  # total variation of class shares: told above
SLACK = {"centre_x": 0.25, "centre_y": 0.25}  # pixels: the least that counts as a standard deviation
FLAT = 0.02  # of [0, 1]: likewise, of the other statistics
RARE = 1e-5  # probability with which chance alone may move class shares further


@dataclass(frozen=True)
class Batches:
    """The new images, and what they are compared with.

    Args:
        recent: int64: rows of the new images, and of the last nights' if there are few.
        known: int64: all other rows.
        nights: how many nights `recent` is from.
        earlier: int64, of the shape of `known`: the number of the earlier night that a row belongs to, from 0; -1 for
            the first import and for nights with few images.
        n_earlier: number of such nights.
    """

    recent: np.ndarray
    known: np.ndarray
    nights: int
    earlier: np.ndarray
    n_earlier: int


def batches(night: Night) -> Batches:
    """Divide tonight's rows into recent and known ones."""
    recent, rest, used = night.added, night.kept, 1
    numbers = night.nights[rest]
    for last in np.unique(numbers)[:0:-1][: POOLED - 1]:  # newest first, without the first import
        if len(recent) >= ENOUGH or not len(night.added):
            break
        recent, rest, used = np.concatenate([recent, rest[numbers == last]]), rest[numbers != last], used + 1
        numbers = night.nights[rest]
    counts = np.bincount(numbers) if len(numbers) else np.zeros(1, np.int64)
    counts[: int(numbers.min(initial=0)) + 1] = 0  # the first import is what is compared with
    place = np.where(counts >= BATCH, np.cumsum(counts >= BATCH) - 1, -1)
    return Batches(np.sort(recent), rest, used, place[numbers], int((counts >= BATCH).sum()))


def batch_rules(night: Night) -> Iterator[Shift]:
    """Yield how far the new images are from the rest: class shares, then each statistic."""
    parts = batches(night)
    yield _class_shares(night, parts)
    for name in numeric(night.new):
        yield _statistic(night, parts, name)


def yardstick(earlier: np.ndarray, noise: np.ndarray) -> float:
    """Return how far a night may be from the average of earlier ones, given how these vary.

    Args:
        earlier: float64: the effect in each earlier night, signed.
        noise: float64, of the same shape: the variance that their numbers of images alone explain.

    Returns:
        A limit that one night in 10,000 exceeds if nights vary normally: few nights make it wide.
    """
    n = len(earlier)
    spread = math.sqrt(max(float(earlier.var(ddof=1)) - float(noise.mean()), 0.0))
    return spread * (3.9 + 36 / (n - 1))  # near Student's quantile at 0.0001: 12.9 for 5 nights, 5.1 for 30


# -- class shares -------------------------------------------------------------------------------------------------


def _class_shares(night: Night, parts: Batches) -> Shift:
    labels, n_classes = night.labels, night.n_classes
    rest, found = shares(labels[parts.known], n_classes), shares(labels[parts.recent], n_classes)
    n = len(parts.recent)
    limit: float = max(MIX, float(by_chance(rest, n)) + math.sqrt(-math.log(RARE) / (2 * max(n, 1))))
    usual = 1.0  # never: nobody knows yet whether this source delivers its classes one after another
    if parts.n_earlier >= HISTORY:
        effects, noise = _earlier_shares(labels[parts.known], parts, rest)
        one_sided = float(np.median(effects)) > MIX  # most nights bring some classes only, whichever: no yardstick
        usual = 1.0 if one_sided else float(effects.mean()) + yardstick(effects, noise)
    most = int(np.abs(found - rest).argmax()) if n_classes else 0
    return Shift(
        "class shares of new images",
        "shift",
        float(np.abs(found - rest).sum() / 2) if n >= LEAST and len(parts.known) else 0.0,
        "total variation",
        max(limit, usual),
        max(limit, usual),
        f"{_new(parts)} have other class shares than the rest; most differs {name_of(night.new_names, most)}, "
        f"{found[most]:.1%} against {rest[most]:.1%}; {_yard(parts)}",
        "check whether only some classes were delivered; if the world changed so, nothing need be done",
    )


def _earlier_shares(labels: np.ndarray, parts: Batches, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the class shares of each earlier night were from the rest, less what chance explains."""
    here, n_classes = parts.earlier >= 0, len(rest)
    pairs = parts.earlier[here] * n_classes + labels[here]
    counts = np.bincount(pairs, minlength=parts.n_earlier * n_classes).reshape(parts.n_earlier, n_classes)
    n = counts.sum(axis=1)
    apart = np.abs(counts / n[:, None] - rest).sum(axis=1) / 2
    return np.maximum(apart - by_chance(rest, n), 0), np.zeros(parts.n_earlier)


def _new(parts: Batches) -> str:
    more = f" (of the last {parts.nights} nights)" if parts.nights > 1 else ""
    return f"{len(parts.recent):,} new images{more}"


def _yard(parts: Batches) -> str:
    if parts.n_earlier >= HISTORY:
        return f"the yardstick is how {parts.n_earlier} earlier nights differed"
    return f"there are fewer than {HISTORY} earlier nights to compare with"


# -- statistics ---------------------------------------------------------------------------------------------------


def _statistic(night: Night, parts: Batches, name: str) -> Shift:
    values = night.new[name].to_numpy()
    inside = Within.of(values[parts.known], night.labels[parts.known], night.n_classes, SLACK.get(name, FLAT))
    found, n, error = inside.distance(values[parts.recent], night.labels[parts.recent])
    limit = max(FIRST, SURE * error)
    if parts.n_earlier >= HISTORY:
        usual = yardstick(*inside.of_nights(values[parts.known], night.labels[parts.known], parts))
        limit = max(LATER, math.hypot(SURE * error, usual))
    word = WORDS[name][found < 0]
    new, rest = (float(values[rows].mean()) if len(rows) else 0.0 for rows in (parts.recent, parts.known))
    return Shift(
        f"{name} of new images",
        "shift",
        abs(found) if n >= LEAST else 0.0,
        "Cohen's d, within classes",
        limit,
        limit,
        f"{_new(parts)} are {word} than the rest, by {abs(found):.2f} standard deviations of one image of the same "
        f"class ({name} {new:.3g} against {rest:.3g}); {_yard(parts)}",
        "check whether they come from another camera or scanner, or were cropped, resized or compressed differently",
    )


@dataclass(frozen=True)
class Within:
    """Mean and spread of one statistic in each class of the known images.

    Args:
        mean: float64, of shape (n_classes,).
        sigma: float64, of shape (n_classes,).
        counts: int64, of shape (n_classes,); 0 for a class with few images, which is not compared.
    """

    mean: np.ndarray
    sigma: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, labels: np.ndarray, n_classes: int, least: float) -> "Within":
        """Measure the known images; `least` is the least that counts as a standard deviation."""
        counts = np.bincount(labels, minlength=n_classes)
        some = np.maximum(counts, 1)
        mean = np.bincount(labels, values, n_classes) / some
        sigma = np.sqrt(np.bincount(labels, (values - mean[labels]) ** 2, n_classes) / some)
        return cls(mean, np.maximum(sigma, least), np.where(counts >= FEW, counts, 0))

    def distance(self, values: np.ndarray, labels: np.ndarray) -> tuple[float, int, float]:
        """Return mean distance in standard deviations, the number of images compared, and the standard error."""
        labels, values = labels[self.counts[labels] > 0], values[self.counts[labels] > 0]
        n = len(labels)
        if not n:
            return 0.0, 0, 1.0
        away = (values - self.mean[labels]) / self.sigma[labels]
        weights = np.bincount(labels, minlength=len(self.mean)) / n
        return float(away.mean()), n, math.sqrt(1 / n + (weights**2 / np.maximum(self.counts, 1)).sum())

    def of_nights(self, values: np.ndarray, labels: np.ndarray, parts: Batches) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean distance of each earlier night, and the variance of each that chance explains."""
        here = (parts.earlier >= 0) & (self.counts[labels] > 0)
        away = (values[here] - self.mean[labels[here]]) / self.sigma[labels[here]]
        n = np.maximum(np.bincount(parts.earlier[here], minlength=parts.n_earlier), 1)
        return np.bincount(parts.earlier[here], away, parts.n_earlier) / n, 1 / n
