"""From entries to items: which images there are tonight, with which label, and on which side of the split.

Items are known by the hash of their pixels. The side follows from the hash alone, or from the source's own test images,
when an image is new; afterwards it never changes. Everything here is arithmetic on columns; nothing is read or written.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.home.store import Store
from data.shards.parquet_file import array, digests, values
from data.shards.shard import read_rows, sortable
from data.shards.spool import SIDES
from data.snapshots.listing import SPLITS, TEST
from data.snapshots.snapshot import REMOVED, Snapshot, SnapshotRef, corrections

TEST_SIDE = SIDES.index("test")
VALIDATION = 1 / 12  # share of the training images to validate on
VAL = SPLITS.index("val")


@dataclass(frozen=True)
class Known:
    """The images that are stored, also those that were removed: one row per image, in the order of the shards.

    Args:
        hashes: uint8, of shape (n, 32).
        first: labels when they were first seen, int64.
        labels: labels in the last snapshot, int64; `REMOVED` for those that are not in it.
        sides: numbers of `SIDES`, int8.
    """

    hashes: np.ndarray
    first: np.ndarray
    labels: np.ndarray
    sides: np.ndarray

    @property
    def column(self) -> pa.Array:
        """The hashes as a column, 32 bytes each."""
        return array(pa.binary(32), len(self.hashes), self.hashes)


def known(store: Store, ref: SnapshotRef | None, snapshot: Snapshot | None) -> Known:
    """Read what is stored of a snapshot's images, without their pixels.

    Raises:
        Corrupt: the snapshot or one of its shards cannot be read.
    """
    shards = snapshot.shards if snapshot else ()
    tables = [read_rows(store, shard, ["sha256", "label"]) for shard in shards]
    hashes = [digests(table["sha256"].combine_chunks()) for table in tables]
    first = np.concatenate([np.zeros(0, np.int64), *(values(t["label"].combine_chunks(), np.int64) for t in tables)])
    labels, rows = first.copy(), [shard.rows for shard in shards]
    if ref is not None:
        table = corrections(store, ref)
        number, row = (values(table[name].combine_chunks(), np.int32) for name in ("shard", "row"))
        starts = np.cumsum([0, *rows])
        labels[starts[number] + row] = values(table["label"].combine_chunks(), np.int64)
    sides = np.repeat(np.array([SIDES.index(shard.split) for shard in shards], np.int8), rows)
    return Known(np.concatenate([np.zeros((0, 32), np.uint8), *hashes]), first, labels, sides)


class Stored:
    """Tells, some images at a time, which are stored already.

    Args:
        hashes: of the stored images, uint8 of shape (n, 32).
    """

    def __init__(self, hashes: np.ndarray) -> None:
        self._sorted = np.sort(sortable(hashes)) if len(hashes) else sortable(hashes)

    def __call__(self, hashes: np.ndarray) -> np.ndarray:
        """Return which of some hashes, uint8 of shape (n, 32), are those of stored images, as bool."""
        if not len(self._sorted):
            return np.zeros(len(hashes), bool)
        wanted = sortable(hashes)
        at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        found: np.ndarray = self._sorted[at] == wanted
        return found


@dataclass(frozen=True)
class Items:
    """Tonight's items, one row each.

    Args:
        hashes: uint8, of shape (n, 32).
        labels: int64.
        entries: the number of the first entry of each.
        place: the row of each among the known images, int64; -1 for a new one.
        sides: numbers of `SIDES`, int8.
        both: bool: whether the source has it on another side, too, or on another one than before.
        duplicates: entries beyond the first of each item.
    """

    hashes: np.ndarray
    labels: np.ndarray
    entries: np.ndarray
    place: np.ndarray
    sides: np.ndarray
    both: np.ndarray
    duplicates: int

    @property
    def new(self) -> np.ndarray:
        """Which items are stored nowhere, bool."""
        return self.place < 0

    def labels_of(self, before: Known) -> np.ndarray:
        """Return the label of each known image tonight, int64; `REMOVED` for those that are not there."""
        labels = np.full(len(before.labels), REMOVED, np.int64)
        here = ~self.new
        labels[self.place[here]] = self.labels[here]
        return labels


def items(
    entries: np.ndarray,
    hashes: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    own: int | None,
    share: float,
    before: Known,
) -> Items:
    """Return the items among entries that can be used; entries with equal hashes have equal labels.

    Args:
        entries: their numbers, ascending.
        hashes: of the entries, uint8 of shape (n, 32).
        labels: of the entries, int64.
        splits: of the entries: numbers of `data.snapshots.listing.SPLITS`.
        own: the split whose images are the source's own test images: see `own_test`; None if it has none.
        share: of the images that become test images if the source has none.
        before: the images that are stored.
    """
    numbers, first = numbered(hashes)
    in_test = np.zeros(len(first), bool)
    in_train = in_test.copy()
    in_test[numbers[splits == own]] = True
    in_train[numbers[splits != own]] = True
    some = hashes[first]
    found = pc.index_in(array(pa.binary(32), len(some), some), value_set=before.column).fill_null(-1)
    place = values(found, np.int32).astype(np.int64)
    sides = sides_of(some, in_test if own is not None else None, share)
    sides[place >= 0] = before.sides[place[place >= 0]]
    moved = (in_test & (sides != TEST_SIDE)) | (in_train & (sides == TEST_SIDE))
    both = moved if own is not None else np.zeros(len(first), bool)
    return Items(some, labels[first], entries[first], place, sides, both, len(hashes) - len(first))


def numbered(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the item of each entry, and the first entry of each item; both int64.

    Args:
        hashes: of the entries, uint8 of shape (n, 32).
    """
    column = array(pa.binary(32), len(hashes), hashes).dictionary_encode()
    numbers = values(column.indices, np.int32).astype(np.int64)
    latest = np.maximum.accumulate(numbers) if len(numbers) else numbers
    first = np.flatnonzero(np.diff(latest, prepend=-1))  # numbers are given in the order of the entries
    return numbers, first


def own_test(splits: np.ndarray) -> int | None:
    """Return the split whose images are the source's own test images; None if it has none.

    Validation images are test images where there are training images, but no test images.

    Args:
        splits: of all entries: numbers of `data.snapshots.listing.SPLITS`.
    """
    present = set(np.unique(splits).tolist())
    if TEST in present:
        return TEST
    return VAL if VAL in present and len(present) > 1 else None


def sides_of(hashes: np.ndarray, own: np.ndarray | None, share: float) -> np.ndarray:
    """Return the side of each new image, numbers of `SIDES`: decided by its content alone.

    Args:
        hashes: uint8, of shape (n, 32).
        own: bool: which are test images of the source; None if it has none, then a share is set apart.
        share: of the images that are test images then, in (0, 1).
    """
    test = own if own is not None else _fraction(hashes, 0, share)
    return np.where(test, TEST_SIDE, _fraction(hashes, 1, VALIDATION)).astype(np.int8)


def _fraction(hashes: np.ndarray, which: int, share: float) -> np.ndarray:
    """Return for which images 8 bytes of the hash, as a fraction of their range, are below a share."""
    part = np.ascontiguousarray(hashes[:, 8 * which : 8 * which + 8]).view(">u8").reshape(-1)
    below: np.ndarray = part < np.uint64(int(share * 2**64))
    return below
