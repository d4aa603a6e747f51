"""Appends the images of a source to IDX files, one per split, in order and in bounded memory."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.dataset import Geometry
from data.errors import BadFile
from data.home.files import storage_errors
from data.importing.batches import Batch, Label, Split
from data.importing.decoding import Pixels, Pool, in_order, named
from data.importing.options import ImportOptions
from data.sources.idx import IdxWriter, map_idx

COPIED = 1 << 24  # bytes copied together
NAMED = 5  # damaged images that a message names


@dataclass
class Part:
    """The images of one split, as they were written.

    Args:
        path: an IDX file.
        labels: of each image.
        hashes: first 8 bytes of the SHA-256 of each image's pixels.
    """

    path: Path
    labels: list[Label] = field(default_factory=list)
    hashes: list[np.ndarray] = field(default_factory=list)

    @property
    def images(self) -> np.ndarray:
        """The images, mapped: uint8 of shape (n, *geometry.shape)."""
        return map_idx(self.path)

    @property
    def content(self) -> np.ndarray:
        """The hashes, uint64 of shape (n,)."""
        return np.concatenate(self.hashes) if self.hashes else np.empty(0, np.uint64)


def write_parts(
    batches: Iterable[Batch],
    geometry: Geometry,
    options: ImportOptions,
    folder: Path,
    progress: Callable[[int], None],
) -> dict[Split, Part]:
    """Decode all images, bring them to the geometry, and write one IDX file per split.

    Args:
        batches: the images, in the order in which they are written.
        geometry: of what is written.
        options: `transpose` and `ignore_labels`.
        folder: an existing one for the files.
        progress: called with the number of images so far.

    Raises:
        BadFile: images are damaged or have no label; the message names the first, and says how many there are.
        StorageFailed: the folder cannot be written.
    """
    parts: dict[Split, Part] = {}
    writers: dict[Split, IdxWriter] = {}
    damaged: list[str] = []
    n_damaged = done = 0
    try:
        with Pool(geometry, transpose=options.transpose) as pool:
            for batch, pixels, problems in _decoded(pool, batches, options):
                done += len(batch) + len(problems)
                n_damaged += len(problems)
                damaged += problems[: NAMED - len(damaged)]
                with storage_errors(folder):
                    _append(batch, pixels, parts, writers, folder, geometry)
                progress(done)
        with storage_errors(folder):
            for writer in writers.values():
                writer.close()
    finally:
        for writer in writers.values():
            writer.discard()
    if n_damaged:
        listed = "".join(f"\n    {problem}" for problem in damaged)
        more = f"\n    and {n_damaged - len(damaged):,} more" if n_damaged > len(damaged) else ""
        raise BadFile(
            f"{n_damaged:,} of {done:,} images cannot be used:{listed}{more}",
            "replace them or remove them from the source, then add it again",
        )
    return parts


def _decoded(pool: Pool, batches: Iterable[Batch], options: ImportOptions) -> Iterator[tuple[Batch, Pixels, list[str]]]:
    """Yield batches without the ignored labels, with their pixels and with what is damaged or has no label."""
    ignored = set(options.ignore_labels)
    wanted = (only(batch, [str(label) not in ignored for label in batch.labels]) for batch in batches)
    chosen = ((batch, only(batch, [label is not None for label in batch.labels])) for batch in wanted)

    def start(pair: tuple[Batch, Batch]) -> "Future[Pixels]":
        return pool.submit(pair[1].images)

    for (batch, labelled), pixels in in_order(pool, chosen, start):
        unlabelled = [f"{batch.where(i)}: it has no label" for i, label in enumerate(batch.labels) if label is None]
        damaged = [named(problem, labelled.where(i)) for i, problem in pixels.damaged]
        whole = len(pixels.kept) == len(labelled)
        kept = labelled if whole else only(labelled, np.isin(np.arange(len(labelled)), pixels.kept).tolist())
        yield dataclasses.replace(kept, images=pixels.images), pixels, [*damaged, *unlabelled]


def only(batch: Batch, wanted: Sequence[bool]) -> Batch:
    """Return some images of a batch: those for which `wanted` is true."""
    if all(wanted):
        return batch
    rows = [i for i, so in enumerate(wanted) if so]
    images = batch.images[rows] if isinstance(batch.images, np.ndarray) else [batch.images[i] for i in rows]
    labels, splits = [batch.labels[i] for i in rows], [batch.splits[i] for i in rows]
    return Batch(images, labels, splits, lambda i: batch.where(rows[i]), batch.container)


def _append(
    batch: Batch,
    pixels: Pixels,
    parts: dict[Split, Part],
    writers: dict[Split, IdxWriter],
    folder: Path,
    geometry: Geometry,
) -> None:
    splits = np.array(batch.splits)
    for split in dict.fromkeys(batch.splits):
        if split not in parts:
            parts[split] = Part(folder / f"{split or 'all'}.idx")
            writers[split] = IdxWriter(parts[split].path, geometry.shape)
        rows = np.flatnonzero(splits == split)
        whole = len(rows) == len(splits)
        writers[split].append(pixels.images if whole else pixels.images[rows])
        parts[split].labels += batch.labels if whole else [batch.labels[int(row)] for row in rows]
        parts[split].hashes.append(pixels.hashes[rows])


def join(sources: list[tuple[np.ndarray, np.ndarray]], target: Path, item: tuple[int, ...]) -> None:
    """Write chosen rows of several arrays into one IDX file, one array after the other.

    Args:
        sources: arrays uint8 of shape (n, *item), and the rows to take of each, ascending.
        target: the file to write.
        item: shape of one item.
    """
    step = max(COPIED // max(int(np.prod(item)), 1), 1)
    with storage_errors(target):
        writer = IdxWriter(target, item)
        for array, rows in sources:
            for at in range(0, len(rows), step):
                writer.append(np.asarray(array[rows[at : at + step]]))
        writer.close()
