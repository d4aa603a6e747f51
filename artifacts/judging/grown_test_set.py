"""Which images tonight's test set has, where images are added to it, and where those of earlier nights are in it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from artifacts.gate.evidence import Growing, Labels, Look
from artifacts.gate.growing.answers import prefixes
from data.errors import Corrupt
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from data.shards.parquet_file import digests, values
from data.shards.shard import read_rows
from data.snapshots.items import Selected, selected
from data.snapshots.nights import nights
from data.snapshots.snapshot import SnapshotRef

Identities = npt.NDArray[np.uint8]  # of shape (n, 32)
LOOKED_BACK = 400  # snapshots in which the images of earlier looks are searched for


def growing_of(store: Store, prepared: PreparedRef, looks: Sequence[Look]) -> Growing | None:
    """Return the identities of tonight's test images; None for a dataset that does not grow.

    Args:
        store: the home.
        prepared: tonight's data.
        looks: earlier looks, from the ledger.

    Raises:
        Corrupt: the snapshot or one of its shards cannot be read.
    """
    described = parquet.describe(store, prepared)
    if not described.get("snapshot"):
        return None
    reader = _Reader(store)
    items = reader.identities(SnapshotRef(prepared.dataset, described["snapshot"]))
    return Growing(described["lineage"], items, _moved(reader, prepared.dataset, items, looks))


def _moved(reader: "_Reader", dataset: str, items: Identities, looks: Sequence[Look]) -> Mapping[str, Labels]:
    """Return where the images of earlier test sets are tonight, if these are not simply the first of tonight's."""
    wanted = {look.grown.items: look.grown.images for look in looks if look.grown}
    here = prefixes(items, wanted.values())
    missing = {digest for digest, images in wanted.items() if here.get(images) != digest}
    if not missing:
        return {}
    tonight = {row.tobytes(): place for place, row in enumerate(items)}
    found = {}
    for then in reader.earlier(dataset):
        digest = prefixes(then, [len(then)])[len(then)]
        if digest in missing:
            found[digest] = np.array([tonight.get(row.tobytes(), -1) for row in then], np.int64)
    return found


class _Reader:
    """Reads the test images of snapshots; shards that several of them share are read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._first: dict[str, tuple[Identities, Identities]] = {}

    def earlier(self, dataset: str) -> Iterator[Identities]:
        """Yield the test images of earlier snapshots, the newest first; those that are gone are passed over."""
        for digest in list(dict.fromkeys(night.snapshot for night in reversed(nights(self._store, dataset))))[
            :LOOKED_BACK
        ]:
            try:
                yield self.identities(SnapshotRef(dataset, digest))
            except Corrupt:
                continue

    def identities(self, ref: SnapshotRef) -> Identities:
        """Return a hash of pixels and label of each test image of a snapshot, in its order."""
        parts = [self._of(one) for one in selected(self._store, ref, ["test"])]
        return np.concatenate(parts) if parts else np.zeros((0, 32), np.uint8)

    def _of(self, one: Selected) -> Identities:
        hashes, first = self._shard(one)
        rows, labels = one.corrected
        if len(rows):
            first = first.copy()
            first[rows] = _identities(hashes[rows], labels)
        return first if one.kept is None else first[one.kept]

    def _shard(self, one: Selected) -> tuple[Identities, Identities]:
        if one.shard.digest not in self._first:
            table = read_rows(self._store, one.shard, ["sha256", "label"])
            hashes = digests(table["sha256"].combine_chunks())
            labels = values(table["label"].combine_chunks(), np.int64)
            self._first[one.shard.digest] = hashes, _identities(hashes, labels)
        return self._first[one.shard.digest]


def _identities(hashes: Identities, labels: npt.NDArray[np.int64]) -> Identities:
    keys = (
        hashlib.sha256(row.tobytes() + int(label).to_bytes(8, "little")).digest()
        for row, label in zip(hashes, labels, strict=True)
    )
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
