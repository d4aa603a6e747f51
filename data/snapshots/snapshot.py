"""A snapshot: which images a dataset had in one night, with labels and splits, under a content address.

Pixels lie in shards: folders that hold the images of one split that were new in one night, and never change. A
snapshot is the ordered list of its shards, and the corrections since they were written: labels that changed, images
that were removed. So a night writes what is new, and nothing twice. Why: docs/decisions/0020-snapshots.md.
"""

from dataclasses import dataclass
from typing import Literal

Side = Literal["train", "validation", "test"]
REMOVED = -1  # the label, in corrections, of an image that is not in the dataset any more


@dataclass(frozen=True)
class ShardRef:
    """One shard, `store.shard(digest)`.

    Args:
        digest: content address: shape, hashes, labels and paths of its images, in order.
        split: on which side its images are, for ever.
        rows: number of images.
        first_seen: the UTC time of the night in which they were new, ISO 8601 to the second.
    """

    digest: str
    split: Side
    rows: int
    first_seen: str


@dataclass(frozen=True)
class SnapshotRef:
    """Names one snapshot, `store.snapshot(digest)`.

    Args:
        dataset: the dataset's name.
        digest: content address: geometry, class names, shards in order, corrections. Two nights between which nothing
            changed have the same.
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
