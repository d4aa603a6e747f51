"""Rules about files, copies and labels, each measured: what every dataset must be, whatever it pins as expected."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from data.dataset import Dataset
from data.statistics.summary import split_mask

SHARE = 0.001  # of the test images that may occur in train, or of all images under two labels
COPIES = {"train": 0.5, "test": 0.1}  # share of a split that may be copies; people oversample rare classes in train
FEW = 20  # distinct training images of a class: below, a sentence
IMBALANCE = 10  # times as many images in the largest class as in the smallest: above, a sentence
LISTED = 8  # classes or rows named in a sentence


@dataclass(frozen=True)
class Measured:
    """What a rule found, and how much of it is right.

    Args:
        rule: a short name.
        found: how much of it there is.
        notable: above, people are told.
        allowed: above, the dataset is refused; infinite if it never is.
        sentence: what was found, with counts.
        remedy: what to do about it.
        nightly: whether every night refuses it; if not, only adding the dataset does.
    """

    rule: str
    found: float
    notable: float
    allowed: float
    sentence: str
    remedy: str
    nightly: bool = True


# -- copies -------------------------------------------------------------------------------------------------------


def equal_files(row: Dataset) -> Iterator[Measured]:
    """Yield whether training and test images are one file; a dataset that grows has none."""
    if not row.files:
        return
    train, test = (row.files[f"{split}_images"].raw_sha256 for split in ("train", "test"))
    yield Measured(
        "equal files",
        float(train is not None and train == test),
        0,
        0,
        "the file of the test images is that of the training images",
        "give the test set its own images, or let one be split off with --test-share",
    )


def copied_images(table: pa.Table, copied: dict[str, np.ndarray]) -> Iterator[Measured]:
    """Yield how many images occur in both splits, again in their own, or under two labels.

    Args:
        table: a summary.
        copied: as `data.statistics.facts.copies` returned it.
    """
    train = split_mask(table, "train")
    rows = table["row"].to_numpy()
    both, n_test = copied["shared"] & ~train, max(int((~train).sum()), 1)
    yield Measured(
        "shared images",
        both.sum() / n_test,
        0,
        max(SHARE, 1 / n_test),  # a single one is no reason to refuse
        f"{_of(both.sum(), n_test)} test images are training images, too: test {_rows(rows[both])}",
        "remove them from one of the two: whatever a model learned by heart counts as right",
    )
    for split, mask in (("train", train), ("test", ~train)):
        again, n = copied["repeated"] & mask, max(int(mask.sum()), 1)
        yield Measured(
            f"repeated {split} images",
            again.sum() / n,
            SHARE,
            COPIES[split],
            f"{_of(again.sum(), n)} {_long(split)} images occur more than once: {split} {_rows(rows[again])}",
            "remove the copies",
        )
    twice = copied["two_labels"]
    yield Measured(
        "two labels",
        twice.sum() / max(len(twice), 1),
        0,
        max(SHARE, 2 / max(len(twice), 1)),
        f"{_of(twice.sum(), len(twice))} images occur under two or more labels: {_places(train, rows, twice)}",
        "decide for one label each",
    )


def _of(some: int, n: int) -> str:
    return f"{some:,} of {n:,} ({some / max(n, 1):.2%})"


def _long(split: str) -> str:
    return "training" if split == "train" else split


def _rows(rows: np.ndarray) -> str:
    more = ", ..." if len(rows) > LISTED else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:LISTED]))}{more}"


def _places(train: np.ndarray, rows: np.ndarray, which: np.ndarray) -> str:
    places = [
        f"{split} {_rows(rows[which & mask])}"
        for split, mask in (("train", train), ("test", ~train))
        if (which & mask).any()
    ]
    return "; ".join(places)


# -- labels -------------------------------------------------------------------------------------------------------


def label_rules(row: Dataset, table: pa.Table, copied: dict[str, np.ndarray]) -> Iterator[Measured]:
    """Yield which classes have no images, few, or many more than others.

    Args:
        row: its class names are used.
        table: a summary; no label is above the last class.
        copied: as `data.statistics.facts.copies` returned it.
    """
    train, labels = split_mask(table, "train"), table["label"].to_numpy()
    in_train, in_test = (np.bincount(labels[mask], minlength=row.n_classes) for mask in (train, ~train))
    names = row.class_names
    yield _empty(names, in_train + in_test)
    yield from _one_sided(names, in_train, in_test)
    used = np.flatnonzero(in_train)
    yield Measured(
        "one class",
        float(len(used) < 2),
        0,
        0,
        f"all training images are of one class, {_names(names, used)}",
        "give images of at least two classes",
        nightly=False,
    )
    distinct = _distinct(labels[train], copied["number"][train], row.n_classes)
    few = [index for index in used if distinct[index] < FEW]
    yield Measured(
        "few images",
        len(few),
        0,
        math.inf,
        f"{_classes(len(few))} fewer than {FEW} different training images: {_names(names, few, distinct)}",
        "add images of them, or leave the classes out with --ignore-labels",
    )
    largest, smallest = in_train.max(), in_train[used].min() if len(used) else 0
    yield Measured(
        "imbalance",
        largest / max(smallest, 1),
        IMBALANCE,
        math.inf,
        f"the largest class has {largest / max(smallest, 1):.0f} times as many training images as the smallest: "
        f"{_names(names, [int(in_train.argmax()), *used[in_train[used] == smallest][:1]], in_train)}",
        "judge models by the recall of each class (--min-recall), and weigh the classes in training",
    )


def _empty(names: Sequence[str], images: np.ndarray) -> Measured:
    """Find classes without any image: labels that start above 0, or leave numbers out."""
    used, empty = np.flatnonzero(images), np.flatnonzero(images == 0)
    unnamed = [index for index in map(int, empty) if names[index] == str(index)]
    last = int(used[-1]) if len(used) else 0
    have = "labels below {} have" if len(empty) > 1 else "label below {} has"
    if unnamed and len(used) and len(empty) == used[0]:
        sentence = f"no image has label {_list(empty)}: the {len(used)} classes in use run from {used[0]} to {last}"
        remedy = f"use --first-label {used[0]}, or name every class, the empty one too, with --classes"
    elif unnamed:
        sentence = f"labels in use are {_list(used)}; {len(empty)} {have.format(last)} no image"
        remedy = (
            f"use --ignore-labels {last} if it means 'unlabelled', --labels-are-names if each label is a class of its "
            "own, or name every class, the empty ones too, with --classes"
        )
    else:
        sentence = f"{_classes(len(empty))} no images: {_names(names, empty)}; nothing is measured or demanded there"
        remedy = "leave the name out, or add images"
    return Measured("empty classes", len(empty), 0, math.inf if not unnamed else 0, sentence, remedy, nightly=False)


def _one_sided(names: Sequence[str], in_train: np.ndarray, in_test: np.ndarray) -> Iterator[Measured]:
    unseen, untested = np.flatnonzero((in_train == 0) & (in_test > 0)), np.flatnonzero((in_train > 0) & (in_test == 0))
    yield Measured(
        "classes without training images",
        len(unseen),
        0,
        0,
        f"{_classes(len(unseen))} test images, but no training images: {_names(names, unseen, in_test)}",
        f"add training images of them, or leave them out: --ignore-labels {_names(names, unseen).replace(',', '')}",
        nightly=False,
    )
    yield Measured(
        "classes without test images",
        len(untested),
        0,
        math.inf,
        f"{_classes(len(untested))} training images, but no test images: {_names(names, untested, in_train)}; "
        "nothing is measured or demanded there",
        "add test images of them, or let a test set be split off with --test-share",
    )


def _distinct(labels: np.ndarray, numbers: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the number of different images of each class."""
    pairs = np.unique(labels * (int(numbers.max(initial=0)) + 1) + numbers)
    return np.bincount(pairs // (int(numbers.max(initial=0)) + 1), minlength=n_classes)


def _classes(n: int) -> str:
    return "1 class has" if n == 1 else f"{n} classes have"


def _names(names: Sequence[str], which: Sequence[Any] | np.ndarray, counts: np.ndarray | None = None) -> str:
    shown = [names[i] if counts is None else f"{names[i]} ({counts[i]:,})" for i in which[:LISTED]]
    return ", ".join(shown) + (", ..." if len(which) > LISTED else "")


def _list(labels: np.ndarray) -> str:
    """Return numbers as text, runs of them shortened: 0 to 9, 255."""
    runs = np.split(labels, np.flatnonzero(np.diff(labels) != 1) + 1)
    shown = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(shown[:LISTED]) + (", ..." if len(shown) > LISTED else "")
