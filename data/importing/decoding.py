"""Decodes batches of images on all cores: in threads, or in processes where images are small.

Pillow releases Python's lock while it decodes, which is worth something for photographs; around an image as small as
MNIST's most of the time is spent in Python itself, and only processes use a second core.
"""

import hashlib
import math
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from data.dataset import Geometry
from data.errors import BadFile
from data.importing.batches import BATCH, Encoded
from data.importing.places.local import Folder, read_file
from data.importing.places.place import MAX_IMAGE_BYTES, File
from data.importing.quick import decoded
from data.sources.images import fit

AHEAD = 4  # batches per core that are being decoded or wait to be written
AHEAD_BYTES = 256 << 20  # of decoded pixels in them, but at least one batch per core
SMALL = 64 * 64  # pixels; larger images are decoded in threads
THREADS_FIRST = 64  # batches before processes are started: about as long as starting two takes

UNNAMED = "\0"  # stands for the name of an image, which only messages need: names cost time to make and to send

Item = bytes | str | Encoded  # str: the path of a file
T = TypeVar("T")


@dataclass(frozen=True)
class Pixels:
    """Decoded images.

    Args:
        images: uint8, of shape (n, *geometry.shape).
        digests: SHA-256 of each image's pixels, uint8 of shape (n, 32).
        kept: index of each image among the items that were given.
        damaged: index of each of the others, and what is wrong with it: see `named`.
    """

    images: np.ndarray
    digests: np.ndarray
    kept: list[int]
    damaged: list[tuple[int, str]]

    @property
    def hashes(self) -> np.ndarray:
        """The first 8 bytes of the digests, uint64 of shape (n,)."""
        return self.digests[:, :8].copy().view(">u8").reshape(-1).astype(np.uint64)


def decode_items(items: "Sequence[Item] | np.ndarray", geometry: Geometry, transpose: bool) -> Pixels:
    """Decode some images, and bring them to a geometry.

    Args:
        items: image files, or pixels.
        geometry: of the result.
        transpose: whether to swap rows and columns first.
    """
    if isinstance(items, np.ndarray):
        pixels = items.swapaxes(1, 2) if transpose else items
        if pixels.shape[1:] != geometry.shape:
            pixels = _stack([fit(image, geometry) for image in pixels], geometry)
        return Pixels(pixels, digests_of(pixels), list(range(len(pixels))), [])
    # each image goes where it stays at once: a list of them, stacked at the end, would take twice the memory
    pixels = np.empty((len(items), *geometry.shape), np.uint8)
    kept, damaged = list[int](), list[tuple[int, str]]()
    for i, item in enumerate(items):
        try:
            image = decoded(_content(item), UNNAMED, geometry.channels, geometry.ground)
            pixels[len(kept)] = fit(image.swapaxes(0, 1) if transpose else image, geometry)
            kept.append(i)
        except BadFile as error:
            damaged.append((i, error.problem))
    pixels = pixels[: len(kept)]
    return Pixels(pixels, digests_of(pixels), kept, damaged)


def named(problem: str, where: str) -> str:
    """Return what is wrong with an image as a sentence that begins with its name."""
    text = problem.replace(UNNAMED, where)
    return text if text.startswith(where) else f"{where}: {text}"


def _content(item: Item) -> bytes:
    if isinstance(item, bytes):
        return item
    if not isinstance(item, str):
        return item.read()
    try:
        return read_file(item)
    except OSError as error:
        raise BadFile(f"{UNNAMED}: it cannot be read: {error.strerror}") from error


def digests_of(images: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of each image's pixels, uint8 of shape (n, 32)."""
    rows = np.ascontiguousarray(images).reshape(len(images), math.prod(images.shape[1:]))
    digests = b"".join(hashlib.sha256(row.data).digest() for row in rows)
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def _stack(images: list[np.ndarray], geometry: Geometry) -> np.ndarray:
    return np.stack(images) if images else np.empty((0, *geometry.shape), np.uint8)


class Pool:
    """All cores, for one import.

    Args:
        geometry: of the images.
        transpose: whether to swap rows and columns.
    """

    def __init__(self, geometry: Geometry, *, transpose: bool) -> None:
        self._geometry, self._transpose = geometry, transpose
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self.cores, "decode")
        self._processes: ProcessPoolExecutor | None = None
        self._asked = 0
        batch = BATCH * math.prod(geometry.shape)
        self.ahead = max(min(AHEAD * self.cores, AHEAD_BYTES // batch), self.cores)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        if self._processes:
            self._processes.shutdown(cancel_futures=True)

    def submit(self, items: "Sequence[Item] | np.ndarray") -> "Future[Pixels]":
        """Decode some images, some time: see `decode_items`."""
        self._asked += 1
        pool: Any = self._threads
        small = self._geometry.height * self._geometry.width <= SMALL
        if small and self.cores > 1 and self._asked > THREADS_FIRST and not isinstance(items, np.ndarray):
            portable = [_portable(item) for item in items]
            if None not in portable:
                items, pool = portable, self._started()  # type: ignore[assignment]
        future: Future[Pixels] = pool.submit(decode_items, items, self._geometry, self._transpose)
        return future

    def _started(self) -> ProcessPoolExecutor:
        if self._processes is None:
            # spawn: threads are running here, and a fork would copy their locks
            self._processes = ProcessPoolExecutor(self.cores, multiprocessing.get_context("spawn"))
        return self._processes


def _portable(item: Item) -> bytes | str | None:
    """Return an item as another process can read it; None if it cannot."""
    if isinstance(item, bytes | str):
        return item
    if isinstance(item, File) and isinstance(item.place, Folder) and item.size <= MAX_IMAGE_BYTES:
        return str(Path(item.place.top, item.name)) if os.sep != "/" else f"{item.place.top}/{item.name}"
    return None


def in_order(pool: Pool, batches: Iterable[T], start: Callable[[T], "Future[Pixels]"]) -> Iterator[tuple[T, Pixels]]:
    """Yield batches with their pixels in order, while a bounded number of later ones are being decoded."""
    waiting: deque[tuple[T, Future[Pixels]]] = deque()
    for batch in batches:
        waiting.append((batch, start(batch)))
        if len(waiting) >= pool.ahead:
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()
