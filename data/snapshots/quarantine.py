"""What is left out of a night because it cannot be used: named, counted, and no more than a budget.

Everything that cannot be used tonight counts, whether it was so last night or not: the budget limits what a snapshot
may lack. Images come back by themselves when they are repaired.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.errors import DataRefused
from data.growth import Growth
from data.importing.batches import Label
from data.importing.classes import Numbered
from data.snapshots.listing import Listing
from data.snapshots.settle import numbered

NAMED = 5  # entries that a refusal names


@dataclass(frozen=True)
class Usable:
    """The entries that can be used.

    Args:
        entries: their numbers, ascending.
        hashes: of each, uint8 of shape (n, 32).
        labels: number of the class of each, int64.
        classes: what the labels mean.
        problems: why each of the others cannot be used, by number.
    """

    entries: np.ndarray
    hashes: np.ndarray
    labels: np.ndarray
    classes: Numbered
    problems: dict[int, str]


def usable(listing: Listing, name: Callable[[int], str], classes_of: Callable[[list[Label]], Numbered]) -> Usable:
    """Return which entries can be used, and why others cannot.

    Args:
        listing: the entries, all of which were read.
        name: returns where an entry lies, for a message.
        classes_of: returns what the different labels of images that can be used mean.
    """
    labels, hashes, problems = listing.columns()[:, 3], listing.hashes(), dict(listing.damaged)
    if None in listing.labels:
        without = np.flatnonzero(labels == listing.labels.index(None))
        problems |= {int(i): "it has no label" for i in without if int(i) not in problems}
    entries = _others(len(listing), problems)
    problems |= _contradictions(listing, entries, hashes[entries], labels[entries], name)
    entries = _others(len(listing), problems)
    occurring = np.unique(labels[entries]).tolist()
    classes = classes_of([listing.labels[number] for number in occurring])
    numbers = np.full(len(listing.labels), -1, np.int64)
    for number in occurring:
        numbers[number] = classes.numbers.get(listing.labels[number], -1)
    refused = entries[numbers[labels[entries]] < 0]
    problems |= {int(i): classes.refused[listing.labels[labels[i]]] for i in refused}
    entries = _others(len(listing), problems)
    return Usable(entries, hashes[entries], numbers[labels[entries]], classes, problems)


def _others(n: int, problems: dict[int, str]) -> np.ndarray:
    """Return the numbers of the entries that have no problem."""
    good = np.ones(n, bool)
    good[list(problems)] = False
    return np.flatnonzero(good)


def _contradictions(
    listing: Listing, entries: np.ndarray, hashes: np.ndarray, labels: np.ndarray, name: Callable[[int], str]
) -> dict[int, str]:
    """Return every entry of an image that has two labels: nobody here knows which is right."""
    numbers, first = numbered(hashes)
    other = np.flatnonzero(labels != labels[first][numbers])
    rivals = dict(zip(numbers[other][::-1].tolist(), other[::-1].tolist(), strict=True))  # the first with another label
    contradicted = np.zeros(len(first), bool)
    contradicted[list(rivals)] = True
    found = {}
    for i in np.flatnonzero(contradicted[numbers]).tolist():
        item = int(numbers[i])
        rival = rivals[item] if labels[i] == labels[first[item]] else int(first[item])
        label = listing.labels[labels[rival]]
        found[int(entries[i])] = f"{name(int(entries[rival]))} has the same pixels and the label {label}"
    return found


def check_budget(growth: Growth, dataset: str, left_out: int, items: int, some: Sequence[tuple[str, str]]) -> None:
    """Refuse a night that would leave out too much.

    Args:
        growth: has the budget.
        dataset: its name.
        left_out: entries that cannot be used.
        items: images that can.
        some: name and problem of some of those that cannot.

    Raises:
        DataRefused: more entries than the budget allows cannot be used; the message names the first.
    """
    most = max(growth.quarantine_least, int(growth.quarantine_share * (items + left_out)))
    if left_out <= most:
        return
    listed = "".join(f"\n    {name}: {problem}" for name, problem in some[:NAMED])
    more = f"\n    and {left_out - NAMED:,} more" if left_out > NAMED else ""
    raise DataRefused(
        f"{left_out:,} of {items + left_out:,} images of {dataset} cannot be used, expected at most {most:,}:"
        f"{listed}{more}",
        "correct or remove them in the source; or leave them out: "
        f"nightshift datasets update {dataset} --quarantine-least {left_out}",
    )
