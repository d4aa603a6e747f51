"""The items of a snapshot: one row per image, as it is now."""

from collections.abc import Sequence

import pyarrow as pa

from data.home.store import Store
from data.snapshots.snapshot import SnapshotRef

COLUMNS = ("sha256", "label", "split", "first_seen", "path", "shard", "row")


def items(store: Store, ref: SnapshotRef, columns: Sequence[str] = COLUMNS) -> pa.Table:
    """Return one row per image of a snapshot, without those that were removed, in the order of the shards.

    Args:
        store: where it lies.
        ref: which one.
        columns: which columns, in their order: `sha256` (32 bytes), `label` (int64, as it is now), `split` ("train",
            "validation" or "test", a dictionary), `first_seen` (text, a dictionary), `path` (text, where it was first
            seen), `shard` (int64, its number in the snapshot), `row` (int64, its place in the shard).

    Raises:
        Corrupt: the snapshot or one of its shards cannot be read.
    """
    raise NotImplementedError


def statistics(store: Store, ref: SnapshotRef) -> pa.Table:
    """Return one row of statistics per image of a snapshot, in the order of the shards.

    The columns are those of `data.statistics.summary.summarise`: `split` is "train" (the validation images, too) or
    "test", `row` counts from 0 in each, `label` is as it is now. In addition: `side` ("train", "validation" or "test"),
    `first_seen` and `path`.

    Raises:
        Corrupt: the snapshot or one of its shards cannot be read.
    """
    raise NotImplementedError
