"""Prepared images of a dataset that grows: its snapshot, described, and read from the shards.

The order of a split is that of the shards: the images of a night follow those of the nights before, and within a night
they are ordered by hash, so that training images are mixed and a test set only gets longer, unless images were removed.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np

from data.home.store import Store
from data.shards.parquet_file import THREADS, digests, split_facts, values
from data.shards.pieces import Piece
from data.shards.shard import Side
from data.snapshots.items import SIDES, selected, table_of
from data.snapshots.snapshot import SnapshotRef, lineage, read


def described(store: Store, ref: SnapshotRef) -> dict[str, Any]:
    """Return what a prepared folder records of a snapshot: snapshot, lineage, and the splits, see `parquet.describe`.

    Raises:
        Corrupt: the snapshot has changed, or one of its shards cannot be read.
    """
    store.verify(store.snapshot(ref.digest))
    splits = {side: _facts(store, ref, side) for side in SIDES}
    return {"snapshot": ref.digest, "lineage": lineage(store, ref), "splits": splits}


def stored(store: Store, ref: SnapshotRef, split: str, verify: bool) -> list[Piece]:
    """Return the files with the images of a split, in order.

    Args:
        store: where the snapshot lies.
        ref: which one.
        split: "train", "validation" or "test".
        verify: whether to hash the snapshot and the shards first.

    Raises:
        Corrupt: a file is missing or has changed.
    """
    if verify:
        store.verify(store.snapshot(ref.digest))
    shards = selected(store, ref, [cast(Side, split)])
    starts = np.cumsum([0, *(one.images for one in shards)]).tolist()
    with ThreadPoolExecutor(THREADS) as pool:  # hashing holds no lock of Python's
        return list(pool.map(lambda one, start: one.piece(store, start, verify), shards, starts))


def _facts(store: Store, ref: SnapshotRef, side: Side) -> dict[str, Any]:
    snapshot, table = read(store, ref), table_of(store, selected(store, ref, [side]), ["sha256", "label"])
    hashes = digests(table["sha256"].combine_chunks())
    labels = values(table["label"].combine_chunks(), np.int64)
    return split_facts(snapshot.shape, hashes, labels, np.arange(len(labels)), len(snapshot.class_names))
