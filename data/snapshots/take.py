"""Takes a snapshot: tonight's items of a source, of which only what is new is read.

What is published comes first, the list of nights last: whatever is interrupted, the next take begins at the same
snapshot and gives the same result. Why: docs/decisions/0020-snapshots.md.
"""

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.dataset import Dataset
from data.errors import BadInput, DataRefused
from data.growth import Growth
from data.home.files import storage_errors
from data.home.store import Store
from data.importing import classes
from data.importing.batches import Batch, Label, Source
from data.importing.classes import Numbered
from data.importing.options import ImportOptions
from data.importing.places.locations import open_place
from data.importing.places.place import UNSETTLED, Place
from data.importing.recognise import recognised
from data.shards.parquet_file import array
from data.shards.shard import read_rows
from data.shards.spool import SIDES, New, Spool, write_shards
from data.snapshots import nights, quarantine, reading, settle
from data.snapshots.index import Facts, Index, how_read, read_index, write_index
from data.snapshots.listing import Listing, shown
from data.snapshots.nights import Night
from data.snapshots.settle import Items, Known, Stored
from data.snapshots.snapshot import Snapshot, SnapshotRef, publish
from data.snapshots.snapshot import lineage as lineage_of
from data.snapshots.snapshot import read as read_snapshot

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Taken:
    """A snapshot that was taken.

    Args:
        ref: the snapshot.
        class_names: by label; those of the dataset before, then new ones.
        n_train: training images, with the validation images.
        n_test: test images.
        night: what was found, counts and names: also the last line of the dataset's list of nights.
        decoded: images that were decoded.
        notes: what was found and decided by looking, one sentence each.
    """

    ref: SnapshotRef
    class_names: tuple[str, ...]
    n_train: int
    n_test: int
    night: Night
    decoded: int
    notes: tuple[str, ...]


def take(
    store: Store,
    row: Dataset,
    options: ImportOptions,
    *,
    reread: bool = False,
    progress: Progress | None = None,
    now: datetime,
) -> Taken:
    """Find out which images a dataset's source holds, store those that are new, and publish the snapshot.

    Args:
        store: the home.
        row: the dataset, with `growth` and `origin`. `snapshot` and `class_names` are those of the last night; before
            the first "", and () or the classes of a dataset that did not grow until now.
        options: how the source is read: those of the origin.
        reread: read every file, also those that look unchanged.
        progress: called with what is being done, the number done, and the number expected (0 if unknown).
        now: the time of the night, with a time zone.

    Raises:
        BadInput: labels and classes do not fit each other, or a side of the split would be empty.
        BadFile: the source cannot be listed, or a file that holds many images cannot be read.
        DataRefused: the source holds no images, or more images than the budget allows cannot be used.
        SourceUnavailable: a URL cannot be read.
        Corrupt: the last snapshot or one of its shards cannot be read.
        StorageFailed: the home cannot be written.
    """
    if row.growth is None or row.origin is None:
        raise BadInput(f"{row.name} does not grow", f"nightshift datasets update {row.name} --grows makes it grow")
    with store.lock(f"growing-{row.name}"):
        scratch = store.scratch()
        with storage_errors(scratch):
            scratch.mkdir()
        try:
            last = SnapshotRef(row.name, row.snapshot) if row.snapshot else None
            before = read_snapshot(store, last) if last else None
            when = now.astimezone(UTC).isoformat(timespec="seconds")
            fixed = options.fixed(row.geometry)
            told = progress or _silent
            one = _Take(store, row, row.growth, row.origin.location, fixed, scratch, told, when, last, before)
            return one(reread=reread)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@dataclass
class _Read:
    """What was read of a source: the entries, the pixels of the new ones, and facts about the whole."""

    listing: Listing
    spool: Spool
    facts: Facts
    notes: tuple[str, ...]
    decoded: int = 0


@dataclass(frozen=True)
class _Take:
    """One take: see `take`. `last` is the snapshot of the night before, `before` its content."""

    store: Store
    row: Dataset
    growth: Growth
    location: str
    options: ImportOptions
    scratch: Path
    progress: Progress
    when: str
    last: SnapshotRef | None
    before: Snapshot | None

    def __call__(self, *, reread: bool) -> Taken:
        places = [self._place(location) for location in (self.location, self.options.test) if location]
        files, how = _digest_of(places), how_read(self.row.geometry, self.options)
        index = Index(Facts(how)) if reread else read_index(self.store, self.row.name, how)
        if files and files == index.facts.listing and (same := self._same(index.facts.snapshot)):
            return same
        known = settle.known(self.store, self.last, self.before)
        spool = Spool(self.scratch / "pixels", self.row.geometry.shape)
        try:
            found = self._read(places, index.usable(known.column), known, spool)
            facts = dataclasses.replace(found.facts, reading=how, listing="" if found.listing.elsewhere else files)
            return self._settled(dataclasses.replace(found, facts=facts), known)
        finally:
            spool.close()

    # -- the source ---------------------------------------------------------------------------------------------------

    def _place(self, location: str) -> Place:
        there = "://" in location or Path(location).expanduser().exists()
        place = open_place(location, self.scratch, self.progress) if there else None
        if place is None or not place.files:
            raise DataRefused(
                f"{location} holds no files" if place else f"{location} is not there", f"is it mounted? {self._stays}"
            )
        return place

    @property
    def _stays(self) -> str:
        return "the last snapshot stays as it is" if self.last else "name the folder or the file that holds the images"

    def _read(self, places: Sequence[Place], index: Index, known: Known, spool: Spool) -> _Read:
        """Read what is new or has changed; the entries of unchanged tables and shards come from the index."""
        listing = Listing()
        sources = [recognised(place, self.options, lambda file: index.into(listing, file)) for place in places]

        def batches() -> Iterator[Batch]:
            yield from sources[0].batches()
            for batch in sources[1].batches() if len(sources) > 1 else ():
                yield dataclasses.replace(batch, splits=["test"] * len(batch))

        source = Source(sources[0].kind, 0, batches)
        decoded = reading.read(
            source,
            listing,
            index,
            Stored(known.hashes),
            spool,
            self.row.geometry,
            self.options,
            lambda done: self.progress("images", done, 0),
        )
        names = sources[0].class_names or index.facts.class_names
        facts = Facts("", tuple(listing.labels), tuple(listing.containers), names)
        return _Read(listing, spool, facts, tuple(note for one in sources for note in one.notes), decoded)

    def _same(self, taken: str) -> Taken | None:
        """Return the last snapshot again if it is the one taken of these files; None if there is more to find out."""
        found = nights.nights(self.store, self.row.name)[-1:]
        if not self.last or not self.before or not found or {taken, found[0].snapshot} != {self.last.digest}:
            return None
        night = found[0].unchanged(self.when)
        quarantine.check_budget(self.growth, self.row.name, night.n_quarantined, night.images, night.quarantined)
        return self._noted(self.last, night, self.before.class_names, 0, ("no file was added, changed or removed",))

    # -- the items ----------------------------------------------------------------------------------------------------

    def _settled(self, read: _Read, known: Known) -> Taken:
        listing, where = read.listing, read.listing.where()

        def name(entry: int) -> str:
            return shown(where[int(entry)].as_py(), self.location)

        found = quarantine.usable(listing, name, lambda labels: self._classes(labels, read.facts.class_names))
        splits = listing.columns()[:, 4]
        own, share = settle.own_test(splits), self.options.test_share
        items = settle.items(found.entries, found.hashes, found.labels, splits[found.entries], own, share, known)
        some = [(name(entry), found.problems[entry]) for entry in sorted(found.problems)[: quarantine.NAMED]]
        quarantine.check_budget(self.growth, self.row.name, len(found.problems), len(items.labels), some)
        self._require_sides(items)
        names = found.classes.names
        ref = self._published(items, known, names, name, read.spool)
        night = nights.night_of(
            self.when,
            ref.digest,
            self.last.digest if self.last else "",
            items,
            known,
            (self.before.class_names if self.before else (), names),
            found.problems,
            name,
            self._paths,
        )
        write_index(self.store, self.row.name, dataclasses.replace(read.facts, snapshot=ref.digest), listing)
        return self._noted(ref, night, names, read.decoded, read.notes)

    def _classes(self, labels: list[Label], source_names: tuple[str, ...]) -> Numbered:
        if not labels:
            raise DataRefused(f"{self.location} holds no images that can be used", f"is it complete? {self._stays}")
        known = self.before.class_names if self.before else self.row.class_names
        if known:
            return classes.extended(labels, known, source_names, self.options)
        names, numbers = classes.numbered(labels, source_names, self.options)
        return Numbered(names, numbers, {})

    def _require_sides(self, items: Items) -> None:
        counts = np.bincount(items.sides, minlength=len(SIDES))
        if not counts.all():
            found = ", ".join(f"{count:,} for {side}" for side, count in zip(SIDES, counts, strict=True))
            raise BadInput(
                f"{self.location}: expected images for train, validation and test, got {found}",
                "add images: the content of each decides where it belongs, about one in 12 training images is for "
                "validation",
            )

    def _published(
        self, items: Items, known: Known, names: tuple[str, ...], name: Callable[[int], str], spool: Spool
    ) -> SnapshotRef:
        """Publish the new images and the snapshot; the last one stays if nothing changed."""
        labels, new = items.labels_of(known), np.flatnonzero(items.new)
        same = self.before is not None and self.before.class_names == names and not len(new)
        if self.last and same and (labels == known.labels).all():
            return self.last
        differs = np.flatnonzero(labels != known.first)
        hashes = array(pa.binary(32), len(differs), known.hashes[differs])
        corrections = pa.table({"sha256": hashes, "label": array(pa.int64(), len(differs), labels[differs])})
        entries = items.entries[new]
        images = New(
            spool.images(entries), items.sides[new], items.hashes[new], items.labels[new], [name(i) for i in entries]
        )
        stored = write_shards(
            self.store,
            images,
            self.when,
            self.row.ground,
            lambda done: self.progress("new images stored", done, len(new)),
        )
        shards = (*(self.before.shards if self.before else ()), *stored)
        lineage = lineage_of(self.store, self.last) if self.last else ""
        return publish(
            self.store, Snapshot(self.row.name, self.row.geometry.shape, names, shards, lineage), corrections
        )

    def _paths(self, rows: np.ndarray) -> list[str]:
        """Return where known images were first seen, by their rows."""
        shards = self.before.shards if self.before and len(rows) else ()
        paths = pa.concat_tables([read_rows(self.store, shard, ["path"]) for shard in shards]) if shards else None
        return paths["path"].take(array(pa.int64(), len(rows), rows)).to_pylist() if paths else []

    def _noted(
        self, ref: SnapshotRef, night: Night, names: tuple[str, ...], decoded: int, notes: tuple[str, ...]
    ) -> Taken:
        nights.append(self.store, self.row.name, night)
        return Taken(ref, names, night.train + night.validation, night.test, night, decoded, notes)


def _silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def _digest_of(places: Sequence[Place]) -> str:
    """Return a digest of all files with sizes and stamps; "" if one of them may change without a trace."""
    digest = hashlib.sha256()
    for place in places:
        if any(file.stamp == UNSETTLED for file in place.files):
            return ""
        for at in range(0, len(place.files), 4096):
            some = [f"{file.name}\0{file.size}\0{file.stamp}" for file in place.files[at : at + 4096]]
            digest.update("\0".join([place.location, *some]).encode(errors="surrogateescape"))
    return digest.hexdigest()
