"""The list of a growing dataset's nights: what each found in the source."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.home.store import Store
from data.snapshots.settle import Items, Known
from data.snapshots.snapshot import REMOVED
from data.values import from_json

FILE = "nights.jsonl"
NAMED = 50  # images that a night names for the report, of each kind


@dataclass(frozen=True)
class Night:
    """What a night found. Names are paths within the source, `NAMED` of each kind at most.

    Args:
        when: UTC, ISO 8601 to the second.
        snapshot: digest of the snapshot.
        base: digest of the snapshot that it was compared with; "" for the first.
        train: training images, without the validation images.
        validation: validation images.
        test: test images.
        n_added: images that the base has not.
        n_removed: images that only the base has.
        n_relabelled: images that have another label than in the base.
        n_quarantined: entries of the source that cannot be used.
        n_both_sides: images that the source has as a training image and as a test image, tonight or at different times.
        n_duplicates: entries that hold the same image with the same label as another one.
        new_classes: names of the classes that the base has not.
        added: names.
        removed: names.
        relabelled: name, class before, class now.
        quarantined: name, problem.
        both_sides: names.
    """

    when: str
    snapshot: str
    base: str
    train: int
    validation: int
    test: int
    n_added: int = 0
    n_removed: int = 0
    n_relabelled: int = 0
    n_quarantined: int = 0
    n_both_sides: int = 0
    n_duplicates: int = 0
    new_classes: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    relabelled: tuple[tuple[str, str, str], ...] = ()
    quarantined: tuple[tuple[str, str], ...] = ()
    both_sides: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Number of images on all sides."""
        return self.train + self.validation + self.test

    @property
    def changed(self) -> int:
        """Number of images that are new, gone, or have another label than in the base."""
        return self.n_added + self.n_removed + self.n_relabelled

    @property
    def sentence(self) -> str:
        """What the night found, such as "12 labels changed, 3 images removed, 480 images added, 1 left out"."""
        parts = [
            (self.n_relabelled, "label changed", "labels changed"),
            (self.n_removed, "image removed", "images removed"),
            (self.n_added, "image added", "images added"),
            (len(self.new_classes), "new class", "new classes"),
            (self.n_quarantined, "left out", "left out"),
        ]
        told = [f"{n:,} {one if n == 1 else many}" for n, one, many in parts if n]
        return ", ".join(told) if told else "nothing changed"

    def unchanged(self, when: str) -> "Night":
        """Return the next night, if it finds what this one found."""
        return Night(
            when,
            self.snapshot,
            self.snapshot,
            train=self.train,
            validation=self.validation,
            test=self.test,
            n_quarantined=self.n_quarantined,
            n_both_sides=self.n_both_sides,
            n_duplicates=self.n_duplicates,
            quarantined=self.quarantined,
            both_sides=self.both_sides,
        )


def night_of(
    when: str,
    snapshot: str,
    base: str,
    items: Items,
    before: Known,
    classes: tuple[tuple[str, ...], tuple[str, ...]],
    problems: dict[int, str],
    name: Callable[[int], str],
    path: Callable[[np.ndarray], list[str]],
) -> Night:
    """Return what a night found.

    Args:
        when: UTC, ISO 8601 to the second.
        snapshot: digest of the snapshot.
        base: digest of the one before; "" if there was none.
        items: tonight's items.
        before: the images that were stored before.
        classes: names of the classes before and now.
        problems: why entries cannot be used, by number.
        name: returns the path of an entry.
        path: returns the paths of known images, by their rows.
    """
    now, counts = items.labels_of(before), np.bincount(items.sides, minlength=3).tolist()
    added = items.new | (before.labels[items.place] == REMOVED) if len(before.labels) else items.new
    removed = np.flatnonzero((before.labels != REMOVED) & (now == REMOVED))
    others = np.flatnonzero(~added)
    changed = others[before.labels[items.place[others]] != items.labels[others]] if len(others) else others
    names = [(before.labels[items.place[row]], items.labels[row]) for row in changed[:NAMED]]
    return Night(
        when,
        snapshot,
        base,
        train=counts[0],
        validation=counts[1],
        test=counts[2],
        n_added=int(added.sum()),
        n_removed=len(removed),
        n_relabelled=len(changed),
        n_quarantined=len(problems),
        n_both_sides=int(items.both.sum()),
        n_duplicates=items.duplicates,
        new_classes=tuple(one for one in classes[1] if base and one not in classes[0]),
        added=tuple(map(name, items.entries[added][:NAMED])),
        removed=tuple(path(removed[:NAMED])),
        relabelled=tuple(
            (name(items.entries[row]), classes[0][old], classes[1][new])
            for row, (old, new) in zip(changed[:NAMED], names, strict=True)
        ),
        quarantined=tuple((name(entry), problems[entry]) for entry in sorted(problems)[:NAMED]),
        both_sides=tuple(map(name, items.entries[items.both][:NAMED])),
    )


def nights(store: Store, dataset: str) -> list[Night]:
    """Return the nights of a dataset, oldest first; lines that cannot be read are passed over."""
    return [night for line in _lines(store, dataset) if (night := _night(line)) is not None]


def append(store: Store, dataset: str, night: Night) -> None:
    """Add a night, unless it is the last one already: a take that was interrupted is repeated. Callers hold a lock.

    Raises:
        StorageFailed: the home cannot be written.
    """
    last = nights(store, dataset)[-1:]
    repeated = last and night.changed and (last[0].snapshot, last[0].base) == (night.snapshot, night.base)
    if not repeated:
        _append(store, dataset, asdict(night))


def _append(store: Store, dataset: str, line: dict[str, Any]) -> None:
    text = json.dumps(line, sort_keys=True, ensure_ascii=False, allow_nan=False)
    store.append_line(store.growing(dataset, FILE), text.encode())


def _lines(store: Store, dataset: str) -> list[dict[str, Any]]:
    path, found = store.growing(dataset, FILE), []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            value = json.loads(line)
        except ValueError:  # a line that a power cut left incomplete
            continue
        found += [value] if isinstance(value, dict) else []
    return found


def _night(line: dict[str, Any]) -> Night | None:
    try:
        return from_json(Night, line)
    except ValueError:
        return None
