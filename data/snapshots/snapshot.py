"""A snapshot: which images a dataset had in one night, with labels and splits, under a content address.

Pixels lie in shards: folders that hold the images of one split that were new in one night, and never change. A
snapshot is the ordered list of its shards, and the corrections since they were written: labels that changed, images
that were removed. So a night writes what is new, and nothing twice. Why: docs/decisions/0020-snapshots.md.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.errors import BadInput
from data.home.store import Store
from data.shards.parquet_file import array, read_errors, read_table, values, write_table
from data.shards.shard import LOST, ShardRef, read_rows
from data.values import digest_of

FORMAT = 1  # raise it when the same snapshot should get another address
SHARDS, CORRECTIONS = "shards.parquet", "corrections.parquet"
REMOVED = -1  # the label, in corrections, of an image that is not in the dataset any more


@dataclass(frozen=True)
class SnapshotRef:
    """Names one snapshot, `store.snapshot(digest)`.

    Args:
        dataset: the dataset's name.
        digest: content address: geometry, class names, shards in order, corrections. Two nights between which nothing
            changed have the same, whenever they were.
    """

    dataset: str
    digest: str


@dataclass(frozen=True)
class Snapshot:
    """The images of one night.

    Args:
        dataset: the dataset's name.
        shape: of an image, (height, width) or (height, width, 3).
        class_names: by label. A new class is appended: the label of a class never changes.
        shards: oldest first; those of one night in the order train, validation, test.
        lineage: the digest of the dataset's first snapshot; "" for the first itself. What has the same lineage differs
            by growth and corrections only.
    """

    dataset: str
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    shards: tuple[ShardRef, ...]
    lineage: str = ""


def publish(store: Store, snapshot: Snapshot, corrections: pa.Table | Mapping[bytes, int]) -> SnapshotRef:
    """Publish a snapshot, or return the address of the same one that was taken before.

    Args:
        store: where; the shards must lie there.
        snapshot: its shards.
        corrections: what differs from the shards: columns `sha256` (32 bytes) and `label` (int64), or a label by hash;
            `REMOVED` for an image that is gone. What equals the shard's label is left out.

    Raises:
        BadInput: a corrected image is in no shard, or is given twice, or a label has no class.
        Corrupt: a shard is missing or cannot be read.
        StorageFailed: the home cannot be written.
    """
    given = corrections if isinstance(corrections, pa.Table) else _table(corrections)
    found = _differing(store, snapshot, given)
    ref = SnapshotRef(snapshot.dataset, _digest(snapshot, found))
    target = store.snapshot(ref.digest)
    if store.intact(target) is None:
        with store.publish(target) as draft:
            draft.meta.update(
                format=FORMAT, shape=snapshot.shape, class_names=snapshot.class_names, lineage=snapshot.lineage
            )
            write_table(_shards(snapshot), draft.path / SHARDS)
            write_table(found, draft.path / CORRECTIONS)
    return ref


def read(store: Store, ref: SnapshotRef) -> Snapshot:
    """Read a snapshot; nothing is hashed.

    Raises:
        Corrupt: there is no such snapshot, or it cannot be read.
    """
    folder = store.snapshot(ref.digest)
    meta, shards = store.meta(folder), _read(folder / SHARDS)
    columns = [shards["digest"].to_pylist(), *(shards[name].to_pylist() for name in ("split", "rows", "first_seen"))]
    return Snapshot(
        dataset=ref.dataset,
        shape=tuple(meta["shape"]),
        class_names=tuple(meta["class_names"]),
        shards=tuple(ShardRef(digest.hex(), *others) for digest, *others in zip(*columns, strict=True)),
        lineage=meta["lineage"],
    )


def corrections(store: Store, ref: SnapshotRef) -> pa.Table:
    """Read what differs from the shards, in the order of the shards.

    Columns: `sha256` (32 bytes), `label` (int64, now, or `REMOVED`), `shard` (int32, its number in the snapshot) and
    `row` (int32, its place in the shard).

    Raises:
        Corrupt: there is no such snapshot, or it cannot be read.
    """
    return _read(store.snapshot(ref.digest) / CORRECTIONS)


def lineage(store: Store, ref: SnapshotRef) -> str:
    """Return the digest of the first snapshot that this one grew from: its own, if it is the first."""
    return str(store.meta(store.snapshot(ref.digest))["lineage"]) or ref.digest


def _read(path: Path) -> pa.Table:
    with read_errors(path, LOST):
        return read_table(path)


def _table(corrections: Mapping[bytes, int]) -> pa.Table:
    kinds = {"sha256": pa.binary(32), "label": pa.int64()}
    columns = [list(corrections), list(corrections.values())]
    return pa.table([pa.array(some, kind) for some, kind in zip(columns, kinds.values(), strict=True)], list(kinds))


def _shards(snapshot: Snapshot) -> pa.Table:
    columns = {
        "digest": pa.array([bytes.fromhex(shard.digest) for shard in snapshot.shards], pa.binary(32)),
        "split": pa.array([shard.split for shard in snapshot.shards], pa.string()),
        "rows": pa.array([shard.rows for shard in snapshot.shards], pa.int64()),
        "first_seen": pa.array([shard.first_seen for shard in snapshot.shards], pa.string()),
    }
    return pa.table(columns)


def _differing(store: Store, snapshot: Snapshot, given: pa.Table) -> pa.Table:
    """Return the corrections that are any, each with its place, in the order of the shards."""
    hashes, labels = given["sha256"].combine_chunks(), values(given["label"].combine_chunks(), np.int64)
    parts, placed = [_located(hashes, labels, *(np.zeros(0, np.int64),) * 2, number=0)], 0
    for number, shard in enumerate(snapshot.shards if len(given) else ()):
        known = read_rows(store, shard, ["sha256", "label"])
        found = pc.index_in(known["sha256"].combine_chunks(), value_set=hashes).fill_null(-1)
        rows = np.flatnonzero(values(found, np.int32) >= 0)
        which = values(found, np.int32)[rows].astype(np.int64)
        placed += len(rows)
        other = labels[which] != values(known["label"].combine_chunks(), np.int64)[rows]
        parts.append(_located(hashes, labels, which[other], rows[other], number))
    _require_sound(snapshot, labels, placed)
    return pa.concat_tables(parts).combine_chunks()


def _located(hashes: pa.Array, labels: np.ndarray, which: np.ndarray, rows: np.ndarray, number: int) -> pa.Table:
    n = len(which)
    columns = {
        "sha256": hashes.take(array(pa.int64(), n, which)),
        "label": array(pa.int64(), n, labels[which]),
        "shard": array(pa.int32(), n, np.full(n, number, np.int32)),
        "row": array(pa.int32(), n, rows.astype(np.int32)),
    }
    return pa.table(columns)


def _require_sound(snapshot: Snapshot, labels: np.ndarray, placed: int) -> None:
    """Raise for corrections that mean nothing; each image is in one shard at most."""
    n = len(labels)
    if placed != n:
        raise BadInput(
            f"{n:,} images were given with corrections, {placed:,} were found in the shards of {snapshot.dataset}",
            "give a correction once for each image of a shard; write new images into a shard instead",
        )
    wrong = (labels < REMOVED) | (labels >= len(snapshot.class_names))
    if wrong.any():
        raise BadInput(
            f"expected labels from 0 to {len(snapshot.class_names) - 1}, or {REMOVED} for a removed image, "
            f"got {labels[wrong][0]}",
            "append the new class to the class names first",
        )


def _digest(snapshot: Snapshot, found: pa.Table) -> str:
    differing = hashlib.sha256()
    for name, kind in (("shard", np.int32), ("row", np.int32), ("label", np.int64)):
        differing.update(values(found[name].combine_chunks(), kind).tobytes())
    address = {
        "format": FORMAT,
        "shape": snapshot.shape,
        "class_names": snapshot.class_names,
        "shards": [shard.digest for shard in snapshot.shards],
        "corrections": differing.hexdigest(),
    }
    return digest_of(address)
