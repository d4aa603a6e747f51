"""Snapshots made on the spot: tables of statistics, and nights that follow each other."""

from typing import Any

import numpy as np
import pyarrow as pa

from data.drift.accidents.frame import Frame
from data.drift.looks import look
from data.drift.measures import drift, measures
from data.drift.shift import Shift
from data.statistics.summary import summarise_images
from tests.data.sound import GROUNDS, sound

SIDES = np.array(["train", "validation", "test"])


def snapshot(
    images: np.ndarray,
    labels: np.ndarray,
    first_seen: np.ndarray | str = "2026-01-01T00:00:00",
    ground: tuple[int, ...] = (0,),
) -> pa.Table:
    """Return the table of a snapshot with these images; an image's side follows from its hash."""
    table = summarise_images("train", images, labels, ground)
    first = np.array([digest[0] for digest in table["sha256"].to_pylist()])
    side = np.where(first < 40, "test", np.where(first < 60, "validation", "train"))
    table = table.set_column(0, "split", pa.array(np.where(side == "test", "test", "train")))
    seen = np.full(len(images), first_seen) if isinstance(first_seen, str) else first_seen
    return table.append_column("side", pa.array(side)).append_column("first_seen", pa.array(seen))


def night_name(number: int) -> str:
    """Return the time of a night, ISO 8601."""
    return f"2026-02-{number % 28 + 1:02}T0{number // 28}:00:00"


def with_labels(table: pa.Table, labels: np.ndarray) -> pa.Table:
    """Return a table with other labels."""
    return table.set_column(table.schema.get_field_index("label"), "label", pa.array(labels))


class Made:
    """Bars in a few classes: a first import, nights after it, and tonight.

    Args:
        known: images of the first import.
        nights: sizes of the nights before tonight.
        new: images of tonight.
        kind: of `tests.data.sound`.
        n_classes: how many.
    """

    def __init__(
        self, known: int = 1200, nights: tuple[int, ...] = (), new: int = 200, kind: str = "bars", n_classes: int = 4
    ) -> None:
        n = known + sum(nights) + new
        drawn = sound(kind, n_train=n, n_test=n_classes, n_classes=n_classes, seed=1)
        order = np.random.default_rng(2).permutation(n)
        self.images, self.labels = drawn.train_images[order], drawn.train_labels[order]
        self.ground = GROUNDS.get(kind, (0,))
        self.names = tuple(f"c{label}" for label in range(n_classes))
        sizes = (known, *nights, new)
        self.seen = np.repeat([night_name(number) for number in range(len(sizes))], sizes)
        self.n_old = n - new
        self.n_known = known

    @property
    def old(self) -> pa.Table:
        """The last accepted snapshot."""
        return snapshot(self.images[: self.n_old], self.labels[: self.n_old], self.seen[: self.n_old], self.ground)

    @property
    def new(self) -> pa.Table:
        """Tonight's snapshot."""
        return snapshot(self.images, self.labels, self.seen, self.ground)

    @property
    def frame(self) -> Frame:
        """Both snapshots with the images."""
        seen = look(self.images, self.labels, np.arange(len(self.images)))
        return Frame(self.old, self.new, self.images, self.names, self.ground, seen)

    def found(self, old: pa.Table | None = None, new: pa.Table | None = None, **more: Any) -> dict[str, Shift]:
        """Return what is worth a word, by rule."""
        return {one.rule: one for one in drift(*self._tables(old, new), **self._names(more))}

    def measured(self, old: pa.Table | None = None, new: pa.Table | None = None, **more: Any) -> dict[str, Shift]:
        """Return what every rule measured, by rule."""
        return {one.rule: one for one in measures(*self._tables(old, new), **self._names(more))}

    def _tables(self, old: pa.Table | None, new: pa.Table | None) -> tuple[pa.Table, pa.Table]:
        return self.old if old is None else old, self.new if new is None else new

    def _names(self, more: dict[str, Any]) -> dict[str, Any]:
        return {"old_names": self.names, "new_names": self.names, **more}
