"""What changed between two snapshots of a dataset: images added and removed, labels corrected, classes new."""

from dataclasses import dataclass

import pyarrow as pa

from data.home.store import Store
from data.snapshots.snapshot import SnapshotRef


@dataclass(frozen=True)
class Changes:
    """What changed from one snapshot to another.

    Args:
        added: one row per image that only the new one has: `sha256`, `path`, `split`, and `new`, its class's name.
        removed: one row per image that only the old one has: `sha256`, `path`, `split`, and `old`, its class's name.
        relabelled: one row per image whose class changed: `sha256`, `path`, `split`, `old` and `new`.
        new_classes: names of classes that only the new one has.
        counts: by "added", "removed" and "relabelled", by split, by class name: the number of images.
    """

    added: pa.Table
    removed: pa.Table
    relabelled: pa.Table
    new_classes: tuple[str, ...]
    counts: dict[str, dict[str, dict[str, int]]]

    @property
    def sentence(self) -> str:
        """What changed in one sentence, such as "12 labels changed, 3 images removed, 480 added"."""
        raise NotImplementedError


def changes(store: Store, old: SnapshotRef | None, new: SnapshotRef) -> Changes:
    """Compare two snapshots of a dataset.

    Args:
        store: where they lie.
        old: the earlier one; None if there was none: then everything was added.
        new: the later one.

    Raises:
        Corrupt: a snapshot or one of its shards cannot be read.
    """
    raise NotImplementedError
