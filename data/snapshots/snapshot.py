"""A snapshot: which images a dataset had in one night, with labels and splits, under a content address.

Pixels lie in shards: folders that hold the images of one split that were new in one night, and never change. A
snapshot is the ordered list of its shards, and the corrections since they were written: labels that changed, images
that were removed. So a night writes what is new, and nothing twice. Why: docs/decisions/0020-snapshots.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from data.home.store import Store
from data.shards.shard import ShardRef

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
        BadInput: a shard or a corrected image is not there, a label has no class, or two corrections are of one image.
        StorageFailed: the home cannot be written.
    """
    raise NotImplementedError


def read(store: Store, ref: SnapshotRef) -> Snapshot:
    """Read a snapshot; nothing is hashed.

    Raises:
        Corrupt: there is no such snapshot, or it cannot be read.
    """
    raise NotImplementedError


def corrections(store: Store, ref: SnapshotRef) -> pa.Table:
    """Read what differs from the shards: `sha256` (32 bytes), `label` (int64), `shard` (int64) and `row` (int64).

    Raises:
        Corrupt: there is no such snapshot, or it cannot be read.
    """
    raise NotImplementedError
