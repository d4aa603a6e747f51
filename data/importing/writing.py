"""Decodes the images of a source on all cores and appends them to IDX files, in order and in bounded memory."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.dataset import Geometry
from data.errors import BadFile
from data.files import storage_errors
from data.idx import IdxWriter, map_idx
from data.images import fit
from data.importing.batches import Batch, Label, Split
from data.importing.options import ImportOptions
from data.importing.quick import decoded

AHEAD = 4  # batches per core that are decoded or wait for being written
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


@dataclass(frozen=True)
class _Decoded:
    images: np.ndarray
    hashes: np.ndarray
    labels: list[Label]
    splits: list[Split]
    damaged: list[str]


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
        for some in _in_order(batches, lambda batch: _decoded(batch, geometry, options)):
            done += len(some.labels)
            n_damaged += len(some.damaged)
            damaged += some.damaged[: NAMED - len(damaged)]
            with storage_errors(folder):
                _append(some, parts, writers, folder, geometry)
            progress(done + n_damaged)
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
            f"{n_damaged:,} of {done + n_damaged:,} images cannot be used:{listed}{more}",
            "replace them or remove them from the source, then add it again",
        )
    return parts


def _append(
    decoded: _Decoded, parts: dict[Split, Part], writers: dict[Split, IdxWriter], folder: Path, geometry: Geometry
) -> None:
    splits = np.array(decoded.splits)
    for split in dict.fromkeys(decoded.splits):
        if split not in parts:
            parts[split] = Part(folder / f"{split or 'all'}.idx")
            writers[split] = IdxWriter(parts[split].path, geometry.shape)
        rows = np.flatnonzero(splits == split)
        whole = len(rows) == len(splits)
        writers[split].append(decoded.images if whole else decoded.images[rows])
        parts[split].labels += decoded.labels if whole else [decoded.labels[row] for row in rows]
        parts[split].hashes.append(decoded.hashes[rows])


def _in_order(batches: Iterable[Batch], work: Callable[[Batch], _Decoded]) -> Iterator[_Decoded]:
    """Do the work on all cores and yield the results in order, a bounded number ahead."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[_Decoded]] = deque()
    with ThreadPoolExecutor(cores, "decode") as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(work, batch))
                if len(waiting) >= AHEAD * cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _decoded(batch: Batch, geometry: Geometry, options: ImportOptions) -> _Decoded:
    ignored = set(options.ignore_labels)
    rows = [i for i, label in enumerate(batch.labels) if not ignored or str(label) not in ignored]
    images, labels, splits, damaged = [], [], [], []
    if isinstance(batch.images, np.ndarray) and None not in batch.labels:
        pixels = batch.images if len(rows) == len(batch) else batch.images[rows]
        pixels = pixels.swapaxes(1, 2) if options.transpose else pixels
        labels, splits = [batch.labels[i] for i in rows], [batch.splits[i] for i in rows]
        if pixels.shape[1:] != geometry.shape:
            pixels = _stack([fit(image, geometry) for image in pixels], geometry)
        return _Decoded(pixels, _hashes(pixels), labels, splits, [])
    for i in rows:
        try:
            if batch.labels[i] is None:
                raise BadFile(f"{batch.where(i)}: it has no label")
            images.append(_image(batch, i, geometry, options))
            labels.append(batch.labels[i])
            splits.append(batch.splits[i])
        except BadFile as error:
            where = batch.where(i)
            damaged.append(error.problem if error.problem.startswith(where) else f"{where}: {error.problem}")
    pixels = _stack(images, geometry)
    return _Decoded(pixels, _hashes(pixels), labels, splits, damaged)


def _image(batch: Batch, i: int, geometry: Geometry, options: ImportOptions) -> np.ndarray:
    image = batch.images[i]
    if not isinstance(image, np.ndarray):
        content = image if isinstance(image, bytes) else image.read()
        image = decoded(content, batch.where(i), geometry.channels, geometry.ground)
    return fit(image.swapaxes(0, 1) if options.transpose else image, geometry)


def _stack(images: list[np.ndarray], geometry: Geometry) -> np.ndarray:
    return np.stack(images) if images else np.empty((0, *geometry.shape), np.uint8)


def _hashes(images: np.ndarray) -> np.ndarray:
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    digests = b"".join(hashlib.sha256(row.data).digest()[:8] for row in rows)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


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
