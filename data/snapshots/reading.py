"""Reads what must be read: images that are new or have changed, and containers that are."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.dataset import Geometry
from data.importing.batches import BATCH, Batch, Source
from data.importing.decoding import UNNAMED, Pixels, Pool, in_order
from data.importing.options import ImportOptions
from data.importing.places.local import Folder
from data.importing.places.place import UNSETTLED, File
from data.importing.writing import only
from data.shards.spool import Spool
from data.snapshots.index import Index
from data.snapshots.listing import Listing, are_files

YOUNG_S = 300  # a file that was changed less than this before may still be being written


@dataclass(frozen=True)
class _Job:
    """Entries that have to be decoded.

    Args:
        numbers: of the entries, int64.
        images: their images.
    """

    numbers: np.ndarray
    images: Any


def read(
    source: Source,
    listing: Listing,
    index: Index,
    stored: Callable[[np.ndarray], np.ndarray],
    spool: Spool,
    geometry: Geometry,
    options: ImportOptions,
    progress: Callable[[int], None],
) -> int:
    """Find out which image each entry of a source is; return how many were decoded.

    Args:
        source: what is not known yet.
        listing: gets the entries; may hold some already.
        index: what earlier nights found.
        stored: tells which hashes are those of stored images.
        spool: gets the images that are not.
        geometry: of the images.
        options: `transpose` and `ignore_labels`.
        progress: called with the number of images that were decoded so far.

    Raises:
        BadFile: a file that holds many images cannot be read.
        StorageFailed: the home cannot be written.
    """
    done = 0
    with Pool(geometry, transpose=options.transpose) as pool:
        jobs = _jobs(source, listing, index, options)
        for job, pixels in in_order(pool, jobs, lambda job: pool.submit(job.images)):
            numbers, new = job.numbers[pixels.kept], ~stored(pixels.digests)
            listing.found(numbers, pixels.digests)
            spool.append(numbers[new], pixels.images[new])
            _note_damage(job, pixels, listing)
            done += len(job.numbers)
            progress(done)
    return done


def _jobs(source: Source, listing: Listing, index: Index, options: ImportOptions) -> Iterator[_Job]:
    """Yield what must be decoded: at once what is at hand, and when all is listed, the files that are not known."""
    for found in source.batches():
        batch = _wanted(found, options)
        if are_files(batch):
            listing.add_files(batch)
        elif len(batch):
            yield _Job(listing.add_inside(batch), batch.images)
    unknown = _look_up(listing, index)
    for at in range(0, len(unknown), BATCH):
        numbers = unknown[at : at + BATCH]
        yield _Job(numbers, [listing.files[number] for number in numbers])


def _wanted(batch: Batch, options: ImportOptions) -> Batch:
    ignored = options.ignore_labels
    return only(batch, [str(label) not in ignored for label in batch.labels]) if ignored else batch


def _look_up(listing: Listing, index: Index) -> np.ndarray:
    """Take over what the index knows about files; return the numbers of the others."""
    files = np.flatnonzero(np.array([file is not None for file in listing.files], bool))
    if not len(index):
        return files
    entries = index.lookup(listing.where(), listing.columns())[files]
    here = entries >= 0
    known = files[here]
    listing.found(known, index.hashes[entries[here]])
    listing.damaged |= {int(known[i]): text for i, text in index.damaged_at(entries[here]).items()}
    return files[~here]


def _note_damage(job: _Job, pixels: Pixels, listing: Listing) -> None:
    for i, problem in pixels.damaged:
        number = int(job.numbers[i])
        file, young = listing.files[number], _is_young(listing.files[number])
        reason = problem.removeprefix(UNNAMED).removeprefix(file.where if isinstance(file, File) else "")
        reason = reason.removeprefix(":").strip().replace(UNNAMED, "it")
        listing.damaged[number] = reason + ("; it was changed just now: is it being written?" if young else "")
        if young:
            listing.unsettle(number)
    for number in job.numbers.tolist():
        file = listing.files[number]
        if isinstance(file, File) and file.place.changed(file):
            listing.damaged[number] = "it was changed or removed while it was read"
            listing.unsettle(number)


def _is_young(file: Any) -> bool:
    """Whether an image is a file on this machine that was changed a few minutes ago."""
    if not isinstance(file, File) or not isinstance(file.place, Folder):
        return False
    return file.stamp == UNSETTLED or abs(time.time_ns() - file.stamp) < YOUNG_S * 1_000_000_000
