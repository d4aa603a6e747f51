"""The index of a source: what was found in each of its files, so that a file that has not changed is not read again.

It is a cache: without it everything is read, and the snapshot is the same. A file counts as unchanged if its path, size
and stamp are. Files that may have changed without a trace, because they were written just before, are not in it.
"""

import contextlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.dataset import Geometry
from data.home import files
from data.home.files import storage_errors
from data.home.store import Store
from data.importing.batches import Label
from data.importing.options import ImportOptions
from data.importing.places.place import UNSETTLED, File
from data.shards.parquet_file import array, booleans, digests, values
from data.snapshots.listing import ALONE, Container, Listing, container_of
from data.values import digest_of, from_json

FORMAT = 1  # raise it when an index should be forgotten
FILE = "index.parquet"
KEY = b"nightshift"
COLUMNS = ("size", "stamp", "container", "label", "split")  # of a listing, in this order


@dataclass(frozen=True)
class Facts:
    """What is known about the source as a whole.

    Args:
        reading: how it was read: see `how_read`.
        labels: see `Listing`.
        containers: see `Listing`.
        class_names: what the source calls its classes, if it does.
        listing: digest of the list of all files when everything was read; "" if it says nothing, because an image
            was found elsewhere, or because a file may have changed without a trace.
        snapshot: digest of the snapshot that was taken of it.
    """

    reading: str
    labels: tuple[Label, ...] = ()
    containers: tuple[Container, ...] = ()
    class_names: tuple[str, ...] = ()
    listing: str = ""
    snapshot: str = ""


@dataclass
class Index:
    """What was found in the files of a source.

    Args:
        facts: about all of it.
        where: of each entry, large_binary.
        columns: of each entry, int64 of shape (n, 5): see `Listing`.
        hashes: of each entry, uint8 of shape (n, 32); zeros where it is damaged.
        damaged: why each entry cannot be read; null if it can.
    """

    facts: Facts
    where: pa.Array = field(default_factory=lambda: pa.array([], pa.large_binary()))
    columns: np.ndarray = field(default_factory=lambda: np.zeros((0, 5), np.int64))
    hashes: np.ndarray = field(default_factory=lambda: np.zeros((0, 32), np.uint8))
    damaged: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def __len__(self) -> int:
        return len(self.where)

    def usable(self, hashes: pa.Array) -> "Index":
        """Return the entries that help: the damaged ones, and those whose image is stored; of containers, all or none.

        Args:
            hashes: of the images that are stored, 32 bytes each.
        """
        stored = pc.is_in(array(pa.binary(32), len(self), self.hashes), value_set=hashes)
        good = np.asarray(pc.or_(stored, self.damaged.is_valid()))
        bad = np.unique(self.columns[~good, 2])
        good &= ~np.isin(self.columns[:, 2], bad[bad != ALONE])
        return self if good.all() else self._only(good)

    def lookup(self, where: pa.Array, columns: np.ndarray) -> np.ndarray:
        """Return which entry each of some files was, int64; -1 for one that is new or has changed.

        Args:
            where: large_binary.
            columns: of them, int64 of shape (n, 5).
        """
        found = pc.index_in(where, value_set=self.where).fill_null(-1)
        places = values(found, np.int32).astype(np.int64)
        here = np.flatnonzero(places >= 0)
        same = (self.columns[places[here], :3] == columns[here, :3]).all(axis=1) & (columns[here, 1] != UNSETTLED)
        places[here[~same]] = -1
        return places

    def into(self, listing: Listing, file: File) -> bool:
        """Add the entries of a container to a listing, if it is unchanged; return whether it is.

        Args:
            listing: gets the entries.
            file: a file that holds several images.
        """
        container = container_of(file)
        if container.stamp == UNSETTLED or container not in self.facts.containers:
            return False
        entries = np.flatnonzero(self.columns[:, 2] == self.facts.containers.index(container))
        if not len(entries):
            return False
        columns, labels = self.columns[entries].copy(), self.facts.labels
        columns[:, 2] = listing.container(container)
        columns[:, 3] = np.array([listing.label(label) for label in labels], np.int64)[columns[:, 3]]
        where = self.where.take(array(pa.int64(), len(entries), entries))
        listing.add_known(where, columns, self.hashes[entries], self.damaged_at(entries))
        return True

    def damaged_at(self, entries: np.ndarray) -> dict[int, str]:
        """Return why some entries cannot be read, by position in these, for those that cannot."""
        some = self.damaged.take(array(pa.int64(), len(entries), entries))
        return {int(i): some[int(i)].as_py() for i in np.flatnonzero(np.asarray(some.is_valid()))}

    def _only(self, good: np.ndarray) -> "Index":
        mask = booleans(good)
        where, damaged = self.where.filter(mask), self.damaged.filter(mask)
        return Index(self.facts, where, self.columns[good], self.hashes[good], damaged)


def how_read(geometry: Geometry, options: ImportOptions) -> str:
    """Return a digest of how files are read: with another one they hold other images."""
    return digest_of({"format": FORMAT, "geometry": asdict(geometry), "options": options.given()})


def read_index(store: Store, dataset: str, wanted: str) -> Index:
    """Read the index of a dataset; an empty one if there is none, if it is damaged, or if files are read otherwise now.

    Args:
        store: where it lies.
        dataset: the dataset's name.
        wanted: how files are read: see `how_read`.
    """
    with contextlib.suppress(OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        path = store.growing(dataset, FILE)
        facts = from_json(Facts, json.loads(pq.read_schema(path).metadata[KEY]))
        if facts.reading == wanted:
            table = pq.read_table(path, page_checksum_verification=True)
            columns = np.stack([values(table[name].combine_chunks(), np.int64) for name in COLUMNS], axis=1)
            where, hashes = table["where"].combine_chunks(), digests(table["sha256"].combine_chunks())
            return Index(facts, where, columns, hashes, table["damaged"].combine_chunks())
    return Index(Facts(wanted))


def write_index(store: Store, dataset: str, facts: Facts, listing: Listing) -> None:
    """Replace the index of a dataset by what was found tonight.

    Raises:
        StorageFailed: the home cannot be written.
    """
    columns = listing.columns()
    # numbers without a container mean something only together with others: they are read whenever anything changes
    kept = (columns[:, 1] != UNSETTLED) & ((columns[:, 2] != ALONE) | np.array(_are_files(listing)))
    damaged = pa.nulls(len(columns), pa.string()) if not listing.damaged else _texts(listing)
    table = pa.table(
        {
            "where": listing.where(),
            "sha256": array(pa.binary(32), len(columns), listing.hashes()),
            "damaged": damaged,
            **{name: array(pa.int64(), len(columns), columns[:, i]) for i, name in enumerate(COLUMNS)},
        }
    ).filter(booleans(kept))
    metadata: dict[Any, Any] = {KEY: json.dumps(asdict(facts)).encode()}
    temporary, target = store.scratch(), store.growing(dataset, FILE)
    with storage_errors(target):
        try:
            _write(table.replace_schema_metadata(metadata), temporary)
            files.fsync(temporary)
            store.place(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _write(table: pa.Table, path: Any) -> None:
    pq.write_table(
        table,
        path,
        row_group_size=1 << 20,
        write_page_checksum=True,
        write_statistics=False,
        use_dictionary=["damaged"],
        compression={name: "none" if name == "sha256" else "zstd" for name in table.column_names},
        column_encoding={
            "where": "DELTA_BYTE_ARRAY",  # neighbours have most of their path in common
            **dict.fromkeys(COLUMNS, "DELTA_BINARY_PACKED"),
        },
    )


def _are_files(listing: Listing) -> list[bool]:
    return [file is not None for file in listing.files]


def _texts(listing: Listing) -> pa.Array:
    return pa.array([listing.damaged.get(i) for i in range(len(listing))], pa.string())
