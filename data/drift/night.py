"""Two snapshots of one dataset side by side: which images are in both, which are new, which are gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SIDES = ("train", "validation", "test")


@dataclass(frozen=True)
class Night:
    """The last accepted snapshot, tonight's, and how their rows belong together.

    "New" is what the last accepted snapshot does not have: after a refused night that is the refused images, too.

    Args:
        old: the last accepted snapshot, one row per image: the columns of `data.statistics.summary.summarise`, and
            `side`, `first_seen`.
        new: tonight's, likewise.
        old_names: what the labels of `old` mean.
        new_names: what the labels of `new` mean.
        kept_old: int64: rows of `old` whose images are in both.
        kept: int64, of the same length: the rows of `new` with the same images.
        added: int64, sorted: rows of `new` that are not in `old`.
        removed: int64, sorted: rows of `old` that are not in `new`.
    """

    old: pa.Table
    new: pa.Table
    old_names: tuple[str, ...]
    new_names: tuple[str, ...]
    kept_old: np.ndarray
    kept: np.ndarray
    added: np.ndarray
    removed: np.ndarray

    @cached_property
    def old_labels(self) -> np.ndarray:
        """Labels of `old`, int64."""
        labels: np.ndarray = self.old["label"].to_numpy()
        return labels

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels of `new`, int64."""
        labels: np.ndarray = self.new["label"].to_numpy()
        return labels

    @cached_property
    def n_classes(self) -> int:
        """One more than the largest label with a name or an image."""
        largest = max(self.old_labels.max(initial=0), self.labels.max(initial=0))
        return max(len(self.old_names), len(self.new_names), int(largest) + 1)

    @cached_property
    def old_sides(self) -> np.ndarray:
        """Number in `SIDES` of each row of `old`, int8."""
        return _sides(self.old)

    @cached_property
    def sides(self) -> np.ndarray:
        """Number in `SIDES` of each row of `new`, int8."""
        return _sides(self.new)

    @cached_property
    def keys(self) -> np.ndarray:
        """First eight bytes of the hash of each row of `new`, uint64."""
        return keys(self.new)

    @cached_property
    def nights(self) -> np.ndarray:
        """The night in which each row of `new` was first seen, int64: 0 for the earliest, then 1, 2, ..."""
        column = self.new["first_seen"]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        encoded = column.combine_chunks().dictionary_encode()
        rank = np.argsort(np.argsort(np.array(encoded.dictionary.to_pylist(), dtype="U")))
        numbers: np.ndarray = rank.astype(np.int64)[encoded.indices.to_numpy()] if len(rank) else np.zeros(0, np.int64)
        return numbers


def night(old: pa.Table, new: pa.Table, old_names: Sequence[str], new_names: Sequence[str]) -> Night:
    """Match two snapshots by the hashes of their images; each hash occurs once in each."""
    ours, theirs = keys(old), keys(new)
    order = np.argsort(ours)
    at = np.searchsorted(ours, theirs, sorter=order)
    at[at == len(ours)] = 0
    found = order[at] if len(ours) else np.zeros(len(theirs), np.int64)
    same = ours[found] == theirs if len(ours) else np.zeros(len(theirs), bool)
    gone = np.ones(len(ours), bool)
    gone[found[same]] = False
    return Night(
        old=old,
        new=new,
        old_names=tuple(old_names),
        new_names=tuple(new_names),
        kept_old=found[same],
        kept=np.flatnonzero(same),
        added=np.flatnonzero(~same),
        removed=np.flatnonzero(gone),
    )


def keys(table: pa.Table) -> np.ndarray:
    """Return the first eight bytes of each hash, uint64: among ten million, two are equal once in 370,000 tables."""
    parts = [_words(chunk) for chunk in table["sha256"].chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def _words(chunk: pa.Array) -> np.ndarray:
    bytes_ = np.frombuffer(chunk.cast(pa.binary(32)).buffers()[1], np.uint64)
    first: np.ndarray = bytes_.reshape(-1, 4)[chunk.offset : chunk.offset + len(chunk), 0]
    return first


def _sides(table: pa.Table) -> np.ndarray:
    found = pc.index_in(table["side"].cast(pa.string()), pa.array(SIDES))  # it may be a dictionary
    numbers: np.ndarray = pc.fill_null(found, -1).to_numpy().astype(np.int8)
    return numbers
