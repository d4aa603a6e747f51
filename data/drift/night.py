"""Two snapshots of one dataset side by side: which images are in both, which are new, which are gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

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
        codes, texts = _coded(self.new["first_seen"])
        rank = np.argsort(np.argsort(np.array(texts, dtype="U")))
        numbers: np.ndarray = rank[codes].astype(np.int64) if len(rank) else np.zeros(0, np.int64)
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
    words = np.frombuffer(chunk.cast(pa.binary(32)).buffers()[1], ">u8")  # in the order of the hashes as bytes
    first: np.ndarray = words.reshape(-1, 4)[chunk.offset : chunk.offset + len(chunk), 0].astype(np.uint64)
    return first


def _sides(table: pa.Table) -> np.ndarray:
    codes, texts = _coded(table["side"])
    number = np.array([SIDES.index(text) if text in SIDES else -1 for text in texts], np.int8)
    sides: np.ndarray = number[codes] if len(number) else np.zeros(0, np.int8)
    return sides


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Return a column of texts, plain or a dictionary, as numbers and the texts that they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunks = column.unify_dictionaries().chunks
    codes = [np.zeros(0, np.int64), *(chunk.indices.to_numpy(zero_copy_only=False) for chunk in chunks)]
    used = np.unique(np.concatenate(codes), return_inverse=True)
    texts = chunks[0].dictionary.to_pylist() if chunks else []
    return used[1], [texts[code] for code in used[0]]
