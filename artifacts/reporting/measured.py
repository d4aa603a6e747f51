"""What a report shows besides the decision: the data, the steps, the champion's answers, the nights before.

Plain values, and how they are read from the home. What an earlier version did not record is empty.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.home.store import Store
from data.validation.observed import Observed
from data.values import from_json

NIGHT = "night.json"  # in a run's folder: the report's values, for the reports and pages of later nights
LAST = 7  # earlier nights that a report compares with


@dataclass(frozen=True)
class Step:
    """One step of a night.

    Args:
        name: such as "validate" or "train cnn-seed0".
        began: seconds since the night began.
        ended: seconds since the night began.
    """

    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class DataFacts:
    """The data of a night in numbers.

    Args:
        counts: images per class, by split.
        statistics: mean and standard deviation of all pixels in [0, 1], by name, such as "train mean".
        reference_counts: training images per class of the pinned reference; empty without one.
        reference: statistics of the pinned reference, by the same names.
    """

    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)
    reference_counts: tuple[int, ...] = ()
    reference: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassChange:
    """The candidate against the champion on the same images, per class.

    Args:
        name: the champion, such as "mnist/3".
        champion: recall per class, in [0, 1]; 0 for a class without images.
        candidate: the same of the candidate.
        gained: images that only the candidate gets right.
        lost: images that only the champion gets right.
    """

    name: str
    champion: tuple[float, ...]
    candidate: tuple[float, ...]
    gained: tuple[int, ...]
    lost: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Answers:
    """The champion's answers on tonight's test images.

    Args:
        name: the champion, such as "mnist/3".
        predicted: int64 of shape (n,).
    """

    name: str
    predicted: NDArray[np.int64]


@dataclass(frozen=True)
class Past:
    """An earlier night of the same dataset, as far as its record says.

    Args:
        run: the run's id.
        when: UTC, ISO 8601.
        verdict: PROMOTE, HOLD, REJECT, UNCHANGED...
        accuracy: of the winner on the test images, in [0, 1]; None without one.
        data: the data of that night.
    """

    run: str
    when: str
    verdict: str
    accuracy: float | None = None
    data: DataFacts = field(default_factory=DataFacts)


def class_change(labels: NDArray[np.int64], candidate: NDArray[np.int64], champion: Answers, n: int) -> ClassChange:
    """Return what the candidate changed, per class.

    Args:
        labels: (images,), the true classes.
        candidate: (images,), its answers.
        champion: the champion's answers on the same images.
        n: number of classes.
    """
    ours, theirs = candidate == labels, champion.predicted == labels
    images = np.maximum(np.bincount(labels, minlength=n), 1)

    def share(right: NDArray[np.bool_]) -> tuple[float, ...]:
        return tuple((np.bincount(labels[right], minlength=n) / images).tolist())

    def count(which: NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(np.bincount(labels[which], minlength=n).tolist())

    return ClassChange(champion.name, share(theirs), share(ours), count(ours & ~theirs), count(theirs & ~ours))


def data_facts(row: Dataset, described: Mapping[str, Any], observed: Sequence[Observed]) -> DataFacts:
    """Return the data of a night in numbers.

    Args:
        row: the dataset.
        described: the prepared data, as `data.prepared.parquet.describe` gives it; {} where nothing was prepared.
        observed: what the expectations found, see `data.validation.observed.observed`.
    """
    splits = described.get("splits", {})
    counts = {name: tuple(splits[name]["class_counts"]) for name in ("train", "validation", "test") if name in splits}
    pinned = row.reference
    reference = {name.replace("_", " "): getattr(pinned, name) for name in _PIXELS} if pinned else {}
    return DataFacts(counts, _statistics(observed), pinned.train_counts if pinned else (), reference)


_PIXELS = ("train_mean", "train_std", "test_mean", "test_std")


def _statistics(observed: Sequence[Observed]) -> dict[str, float]:
    """Return mean and deviation of all pixels, from the expectations about the means of pixels and their squares."""
    found = {one.subject: one.value for one in observed if one.expectation == "expect_column_mean_to_be_between"}
    result = {}
    for split in ("train", "test"):
        mean, square = found.get(f"{split}.mean"), found.get(f"{split}.square")
        if mean is not None:
            result[f"{split} mean"] = mean
        if mean is not None and square is not None:
            result[f"{split} std"] = max(square - mean**2, 0.0) ** 0.5
    return result


# -- nights before -----------------------------------------------------------------------------------------------------


def past_nights(store: Store, dataset: str, before: str, n: int = LAST) -> list[Past]:
    """Return the last nights of a dataset that are recorded, oldest first.

    Args:
        store: the home.
        dataset: the dataset's name.
        before: the run whose report this is; only earlier ones are returned.
        n: how many at most.
    """
    folder, found = store.runs(), list[Past]()
    names = (path.name for path in folder.glob(f"*-{dataset}-*") if path.name < before)
    for name in sorted(names, reverse=True):  # a run's name begins with its time
        if len(found) == n:
            break
        value = read_night(folder / name)
        if value.get("dataset") == dataset:
            found.append(past(value))
    return found[::-1]


def read_night(folder: Path) -> dict[str, Any]:
    """Return the values of a run's report; {} where an earlier version recorded none, or they cannot be read."""
    try:
        value = json.loads((folder / NIGHT).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def past(value: Mapping[str, Any]) -> Past:
    """Return a night from what `read_night` returned."""
    winning: dict[str, Any] = next(
        (row for row in value.get("candidates", ()) if row["name"] == value.get("winner")), {}
    )
    test = winning.get("test") or {}
    facts = value.get("data") or {}
    try:
        data = from_json(DataFacts, facts)
    except ValueError:
        data = DataFacts()
    return Past(value["run"], value["started"], value["verdict"], test.get("accuracy"), data)
