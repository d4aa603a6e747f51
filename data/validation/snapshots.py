"""What of a snapshot is validated: every image that is new, and a bounded sample of those that were known.

New is what was not in the last snapshot that was accepted, and every image whose label was corrected since. So a night
costs what is new; what an earlier night accepted cannot have changed, since shards are read with their checksums.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from data.dataset import Dataset, RawData
from data.errors import Corrupt
from data.home.store import Store
from data.shards.stored_images import StoredImages
from data.snapshots.items import Selected, selected, statistics_of, training_first
from data.snapshots.snapshot import SnapshotRef
from data.statistics.chance import drawn_by_hash
from data.statistics.summary import reference_of, split_mask
from data.validation.suites import columns
from data.values import canonical_json

KNOWN = 50_000  # images that were known, at most; and those of which pixels are looked at
PIXELS = 256 << 20  # bytes of them, at most
TRUSTED = "accepted-by-hand.jsonl"
SHEET = 2_000  # new images from which a contact sheet chooses
OWN_SPLIT = (
    "the source has a test split of its own, so training and test images may differ: tonight's statistics are compared "
    "with those of corrupted copies only, and with other nights by the rules for drift"
)


@dataclass(frozen=True)
class Material:
    """What is looked at, of any dataset.

    Args:
        row: the dataset, with the numbers of images of the table.
        table: a summary.
        sample: a row, its images and their summary: what is tested on corrupted copies, and compared pixel by pixel.
        sheet: a row and its images, of which a contact sheet shows some.
        notes: sentences about what could not be checked.
    """

    row: Dataset
    table: pa.Table
    sample: tuple[Dataset, RawData, pa.Table]
    sheet: tuple[Dataset, RawData]
    notes: tuple[str, ...] = ()


def material(store: Store, dataset: Dataset, ref: SnapshotRef) -> Material:
    """Return what of a snapshot is validated.

    Args:
        store: where it lies.
        dataset: the row that it belongs to.
        ref: which one.

    Raises:
        Corrupt: the snapshot, or what is new in it, has changed.
    """
    store.verify(store.snapshot(ref.digest))
    shards = training_first(selected(store, ref))
    before = _accepted(store, dataset.name)
    new = [one for one in shards if one.shard.digest not in before]
    for one in new:
        store.verify(store.shard(one.shard.digest))
    known = [one for one in shards if one.shard.digest in before]
    some = [
        _kept(one, head | _corrected(one, before[one.shard.digest]))
        for one, head in zip(known, heads(known, KNOWN), strict=True)
    ]
    chosen = training_first([*new, *(one for one in some if one.images)])
    row, table = _summarised(store, dataset, chosen)
    sample = _sample(store, row, table, chosen)
    return Material(row, table, sample, _sheet(store, dataset, new or chosen), () if _drawn(row) else (OWN_SPLIT,))


def accept(store: Store, ref: SnapshotRef) -> None:
    """Record that a snapshot was accepted, for the next night. Without the record, that validates all images anew.

    Raises:
        StorageFailed: the home cannot be written.
    """
    store.write_bytes(store.growing(ref.dataset, "accepted.json"), canonical_json({"snapshot": ref.digest}))


def accepted(store: Store, dataset: str) -> SnapshotRef | None:
    """Return the last snapshot that was accepted; None if there is none, or no record of it."""
    try:
        digest = json.loads(store.growing(dataset, "accepted.json").read_bytes())["snapshot"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    ref = SnapshotRef(dataset, str(digest))
    return ref if store.is_complete(store.snapshot(ref.digest)) else None


def trust(store: Store, ref: SnapshotRef, reason: str, who: str, when: str) -> None:
    """Record that a person says that what changed in a snapshot is meant: nothing that drifted ends its night.

    Raises:
        StorageFailed: the home cannot be written.
    """
    told = {"snapshot": ref.digest, "reason": reason, "who": who, "when": when}
    store.append_line(store.growing(ref.dataset, TRUSTED), json.dumps(told, sort_keys=True).encode())  # one line


def trusted(store: Store, ref: SnapshotRef) -> bool:
    """Return whether a person said so of this snapshot."""
    try:
        lines = store.growing(ref.dataset, TRUSTED).read_bytes().splitlines()
        return any(json.loads(line)["snapshot"] == ref.digest for line in lines)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def heads(shards: Sequence[Selected], most: int) -> list[np.ndarray]:
    """Return which images of each shard are in a sample, as bool: those with the smallest hashes, which are any images.

    Args:
        shards: what to choose from; all images, if there are not more than `most`.
        most: images altogether; one more for each shard, at most.
    """
    share = min(1.0, most / max(sum(one.images for one in shards), 1))
    return [_head(one, math.ceil(share * one.images)) for one in shards]


def _head(one: Selected, n: int) -> np.ndarray:
    kept = np.ones(one.shard.rows, bool) if one.kept is None else one.kept
    chosen: np.ndarray = kept & (np.cumsum(kept) <= n)
    return chosen


def _corrected(now: Selected, then: Selected) -> np.ndarray:
    """Return which images of a shard have another label than in an earlier snapshot, as bool."""
    labels = [np.full(now.shard.rows, -1), np.full(now.shard.rows, -1)]
    for found, one in zip(labels, (now, then), strict=True):
        rows, label = one.corrected
        found[rows] = label
    there = np.ones(now.shard.rows, bool) if now.kept is None else now.kept
    other: np.ndarray = there & (labels[0] != labels[1])
    return other


def _kept(one: Selected, kept: np.ndarray) -> Selected:
    """Return a shard with fewer of its images."""
    rows, labels = one.corrected
    return replace(one, kept=kept, corrected=(rows[kept[rows]], labels[kept[rows]]))


def _accepted(store: Store, dataset: str) -> dict[str, Selected]:
    """Return the shards of the last accepted snapshot, by digest."""
    ref = accepted(store, dataset)
    try:
        return {one.shard.digest: one for one in selected(store, ref)} if ref else {}
    except Corrupt:  # then all images are validated
        return {}


def _summarised(store: Store, dataset: Dataset, shards: Sequence[Selected]) -> tuple[Dataset, pa.Table]:
    """Return the summary of some images, and the row as if they were the dataset."""
    table = statistics_of(store, shards, ()).select(list(columns(dataset)))
    train = split_mask(table, "train")
    row = replace(dataset, n_train=int(train.sum()), n_test=int((~train).sum()), reference=None)
    if len(table) and not drawn_by_hash(table):
        row = replace(row, reference=reference_of(table, row.n_classes))
    return row, table


def _drawn(row: Dataset) -> bool:
    return row.reference is None


def _sample(
    store: Store, row: Dataset, table: pa.Table, shards: Sequence[Selected]
) -> tuple[Dataset, RawData, pa.Table]:
    most = min(KNOWN, max(PIXELS // math.prod(row.geometry.shape), 1000))
    if len(table) <= most + len(shards):
        return row, _images(store, row, table, shards), table
    fewer = [_kept(one, head) for one, head in zip(shards, heads(shards, most), strict=True)]
    row, table = _summarised(store, row, fewer)
    return row, _images(store, row, table, fewer), table


def _sheet(store: Store, dataset: Dataset, shards: Sequence[Selected]) -> tuple[Dataset, RawData]:
    n = sum(one.images for one in shards)
    most = min(SHEET, max(PIXELS // math.prod(dataset.geometry.shape), 100))
    fewer = [_kept(one, head) for one, head in zip(shards, heads(shards, most), strict=True)]
    row, table = _summarised(store, dataset, fewer)
    what = "new images" if n == len(table) else f"some of {n:,} new images"
    return replace(row, title=f"{dataset.title}, {what}"), _images(store, row, table, fewer)


def _images(store: Store, row: Dataset, table: pa.Table, shards: Sequence[Selected]) -> RawData:
    """Read the images of a summary into memory; page checksums are checked."""
    arrays: dict[str, Any] = {}
    labels = table["label"].to_numpy()
    for split, mask in (("train", split_mask(table, "train")), ("test", split_mask(table, "test"))):
        pieces = [
            one.piece(store, None, verify=False) for one in shards if (one.shard.split == "test") == (split == "test")
        ]
        arrays[f"{split}_images"] = StoredImages(pieces, row.geometry.shape)[:]
        arrays[f"{split}_labels"] = labels[mask]
    return RawData(**arrays)
