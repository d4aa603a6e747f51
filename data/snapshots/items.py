"""The items of a snapshot: one row per image, as it is now, and the images that belong to the rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data.home.store import Store
from data.shards.parquet_file import array, booleans, values
from data.shards.pieces import Piece
from data.shards.shard import LOST, ShardRef, Side, first_rows, images_file, read_rows
from data.snapshots.snapshot import REMOVED, SnapshotRef, corrections, read
from data.statistics.image_statistics import NUMERIC
from data.statistics.summary import numeric

COLUMNS = ("sha256", "label", "split", "first_seen", "path", "shard", "row")
MORE = ("side", "first_seen", "path")  # columns beside those of a summary
SIDES: tuple[Side, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Selected:
    """A shard, and which of its images are in a snapshot.

    Args:
        shard: the shard.
        number: its number in the snapshot.
        kept: bool, one per image of the shard; None if all are in the snapshot.
        corrected: places in the shard and labels of images whose label is another now, int64.
    """

    shard: ShardRef
    number: int
    kept: np.ndarray | None
    corrected: tuple[np.ndarray, np.ndarray]

    @property
    def images(self) -> int:
        """Number of images that are in the snapshot."""
        return self.shard.rows if self.kept is None else int(np.count_nonzero(self.kept))

    def labels(self, first: np.ndarray) -> np.ndarray:
        """Return the labels as they are now, given those when the images were first seen."""
        rows, now = self.corrected
        if not len(rows):
            return first
        labels = first.copy()
        labels[rows] = now
        return labels

    def facts(self, store: Store, columns: Sequence[str]) -> pa.Table:
        """Read columns of the shard's facts for the images that are in the snapshot, labels as they are now.

        Raises:
            Corrupt: the shard cannot be read.
        """
        last = self.shard.rows if self.kept is None else int(np.flatnonzero(self.kept)[-1:].sum()) + 1
        table = first_rows(store, self.shard, last, columns)
        if "label" in columns and len(self.corrected[0]):
            labels = self.labels(values(table["label"].combine_chunks(), np.int64))
            at = table.schema.get_field_index("label")
            table = table.set_column(at, table.schema.field(at), array(pa.int64(), last, labels))
        return table if self.kept is None else table.filter(booleans(self.kept[:last]))

    def piece(self, store: Store, first: int | None, verify: bool) -> Piece:
        """Return the images that are in the snapshot, numbered from `first`.

        Raises:
            Corrupt: the shard is missing or has changed.
        """
        labels = None
        if len(self.corrected[0]):
            labels = self.labels(values(read_rows(store, self.shard, ["label"])["label"].combine_chunks(), np.int64))
        return Piece(images_file(store, self.shard, verify), self.kept, labels, first, LOST)


def selected(store: Store, ref: SnapshotRef, sides: Sequence[Side] = SIDES) -> list[Selected]:
    """Return the shards of a snapshot, and which of their images are in it, in their order.

    Args:
        store: where it lies.
        ref: which one.
        sides: those of the shards.

    Raises:
        Corrupt: there is no such snapshot, or it cannot be read.
    """
    table = corrections(store, ref)
    numbers, rows = (values(table[name].combine_chunks(), np.int32) for name in ("shard", "row"))
    labels = values(table["label"].combine_chunks(), np.int64)
    shards = read(store, ref).shards
    ends = np.searchsorted(numbers, np.arange(len(shards) + 1))  # corrections stand in the order of the shards
    return [
        _selected(shard, number, rows[ends[number] : ends[number + 1]], labels[ends[number] : ends[number + 1]])
        for number, shard in enumerate(shards)
        if shard.split in sides
    ]


def items(store: Store, ref: SnapshotRef, columns: Sequence[str] = COLUMNS) -> pa.Table:
    """Return one row per image of a snapshot, without those that were removed, in the order of the shards.

    Args:
        store: where it lies.
        ref: which one.
        columns: which columns, in their order: `sha256` (32 bytes), `label` (int64, as it is now), `split` ("train",
            "validation" or "test", a dictionary), `first_seen` (text, a dictionary), `path` (text, where it was first
            seen), `shard` (int32, its number in the snapshot), `row` (int32, its place in the shard).

    Raises:
        Corrupt: the snapshot or one of its shards cannot be read.
    """
    return table_of(store, selected(store, ref), columns)


def statistics(store: Store, ref: SnapshotRef) -> pa.Table:
    """Return one row of statistics per image of a snapshot: training and validation images, then test images.

    The columns are those of `data.statistics.summary.summarise`: `split` is "train" (the validation images, too) or
    "test", `row` counts from 0 in each, `label` is as it is now. In addition: `side` ("train", "validation" or "test"),
    `first_seen` and `path`.

    Raises:
        Corrupt: the snapshot or one of its shards cannot be read.
    """
    return statistics_of(store, training_first(selected(store, ref)))


def training_first(shards: Sequence[Selected]) -> list[Selected]:
    """Return shards of training and validation images before those of test images; else in their order."""
    return sorted(shards, key=lambda one: one.shard.split == "test")


def table_of(store: Store, shards: Sequence[Selected], columns: Sequence[str]) -> pa.Table:
    """Return one row per image of some shards: see `items`; statistics may be among the columns."""
    stored = [name for name in columns if name not in OF_SHARD]
    parts = [one.facts(store, stored) for one in shards] if stored else []
    none = pa.table({name: pa.array([], KINDS.get(name, pa.float64())) for name in stored})
    facts = pa.concat_tables(parts) if parts else none
    counts = np.array([one.images for one in shards], np.int64)
    return pa.table({name: OF_SHARD[name](shards, counts) if name in OF_SHARD else facts[name] for name in columns})


def statistics_of(store: Store, shards: Sequence[Selected], more: Sequence[str] = MORE) -> pa.Table:
    """Return one row of statistics per image of some shards, in their order: see `statistics`.

    Args:
        store: where they lie.
        shards: which ones.
        more: which of "side", "first_seen" and "path" to add.
    """
    added = ["split" if name == "side" else name for name in more]
    facts = table_of(store, shards, ["label", *_names(store, shards), "sha256", *added])
    test = np.repeat([one.shard.split == "test" for one in shards], [one.images for one in shards]).astype(bool)
    row = np.where(test, np.cumsum(test), np.cumsum(~test)) - 1
    splits = pa.array(["train", "test"]).take(array(pa.int8(), len(test), test.astype(np.int8)))
    columns = {"split": splits, "row": array(pa.int64(), len(row), row)}
    columns |= {"side" if name == "split" else name: facts[name] for name in facts.column_names}
    return pa.table(columns)


def _selected(shard: ShardRef, number: int, rows: np.ndarray, labels: np.ndarray) -> Selected:
    gone = labels == REMOVED
    kept = None
    if gone.any():
        kept = np.ones(shard.rows, bool)
        kept[rows[gone]] = False
    return Selected(shard, number, kept, (rows[~gone].astype(np.int64), labels[~gone]))


def _names(store: Store, shards: Sequence[Selected]) -> tuple[str, ...]:
    """Return the names of the statistics that shards have."""
    return numeric(first_rows(store, shards[0].shard, 0)) if shards else NUMERIC


def _repeated(texts: Sequence[str], counts: np.ndarray) -> pa.DictionaryArray:
    known = sorted(set(texts))
    codes = np.array([known.index(text) for text in texts], np.int32)
    indices = array(pa.int32(), int(counts.sum()), np.repeat(codes, counts))
    return pa.DictionaryArray.from_arrays(indices, pa.array(known, pa.string()))


def _numbers(shards: Sequence[Selected], counts: np.ndarray) -> pa.Array:
    return array(pa.int32(), int(counts.sum()), np.repeat(np.array([one.number for one in shards], np.int32), counts))


def _rows(shards: Sequence[Selected], counts: np.ndarray) -> pa.Array:
    rows = [np.arange(one.shard.rows) if one.kept is None else np.flatnonzero(one.kept) for one in shards]
    return array(pa.int32(), int(counts.sum()), np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.int32))


KINDS = {"sha256": pa.binary(32), "label": pa.int64(), "path": pa.string()}
OF_SHARD: dict[str, Callable[[Sequence[Selected], np.ndarray], pa.Array]] = {  # columns that no file holds
    "shard": _numbers,
    "row": _rows,
    "split": lambda shards, counts: _repeated([one.shard.split for one in shards], counts),
    "first_seen": lambda shards, counts: _repeated([one.shard.first_seen for one in shards], counts),
}
