"""What changed between two snapshots of a dataset: images added and removed, labels corrected, classes new."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.home.store import Store
from data.shards.parquet_file import array, booleans, values
from data.snapshots.items import Selected, selected, table_of
from data.snapshots.snapshot import SnapshotRef, read

SHOWN = ("sha256", "path", "split")


@dataclass(frozen=True)
class Changes:
    """What changed from one snapshot to another.

    Args:
        added: one row per image that only the new one has: `sha256`, `path`, `split`, and `new`, its class's name.
        removed: one row per image that only the old one has: `sha256`, `path`, `split`, and `old`, its class's name.
        relabelled: one row per image whose class changed: `sha256`, `path`, `split`, `old` and `new`.
        new_classes: names of classes that only the new one has.
    """

    added: pa.Table
    removed: pa.Table
    relabelled: pa.Table
    new_classes: tuple[str, ...]

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return the number of images by "added", "removed" and "relabelled", by split, by class name (the new one)."""
        return {name: _counts(getattr(self, name)) for name in ("added", "removed", "relabelled")}

    @property
    def total(self) -> int:
        """Number of images that were added, removed or relabelled."""
        return len(self.added) + len(self.removed) + len(self.relabelled)


def changes(store: Store, old: SnapshotRef | None, new: SnapshotRef) -> Changes:
    """Compare two snapshots of a dataset; only shards that are not the same in both are read.

    Args:
        store: where they lie.
        old: the earlier one; None if there was none: then everything was added.
        new: the later one.

    Raises:
        Corrupt: a snapshot or one of its shards cannot be read.
    """
    before, after = selected(store, old) if old else [], selected(store, new)
    names = read(store, old).class_names if old else ()
    now = read(store, new).class_names
    same = {_state(one) for one in before} & {_state(one) for one in after} if now[: len(names)] == names else set()
    one, other = (_images(store, [part for part in parts if _state(part) not in same]) for parts in (before, after))
    place = values(pc.index_in(other["sha256"], value_set=one["sha256"]).combine_chunks().fill_null(-1), np.int32)
    stays = np.zeros(len(one), bool)
    stays[place[place >= 0]] = True
    both = other.filter(booleans(place >= 0))
    was = one.take(array(pa.int32(), len(both), place[place >= 0]))
    relabelled = _named(_named(both, was["label"], "old", names), both["label"], "new", now)
    gone, come = one.filter(booleans(~stays)), other.filter(booleans(place < 0))
    return Changes(
        added=_named(come, come["label"], "new", now).drop_columns("label"),
        removed=_named(gone, gone["label"], "old", names).drop_columns("label"),
        relabelled=relabelled.filter(pc.not_equal(relabelled["old"], relabelled["new"])).drop_columns("label"),
        new_classes=tuple(name for name in now if name not in names),
    )


def _state(one: Selected) -> tuple[object, ...]:
    """Return what tells whether a shard is the same in two snapshots."""
    kept = b"" if one.kept is None else np.packbits(one.kept).tobytes()
    return (one.shard.digest, kept, *(part.tobytes() for part in one.corrected))


def _images(store: Store, shards: Sequence[Selected]) -> pa.Table:
    table = table_of(store, shards, [*SHOWN, "label"])
    at = table.schema.get_field_index("split")
    return table.set_column(at, "split", table["split"].cast(pa.string())).combine_chunks()


def _named(table: pa.Table, labels: pa.ChunkedArray, column: str, names: Sequence[str]) -> pa.Table:
    return table.append_column(column, pa.array(names, pa.string()).take(labels.combine_chunks()))


def _counts(table: pa.Table) -> dict[str, dict[str, int]]:
    name = "new" if "new" in table.column_names else "old"
    found: dict[str, dict[str, int]] = {}
    groups = table.group_by(["split", name]).aggregate([([], "count_all")])
    for row in groups.sort_by([("split", "ascending"), (name, "ascending")]).to_pylist():
        found.setdefault(row["split"], {})[row[name]] = row["count_all"]
    return found
