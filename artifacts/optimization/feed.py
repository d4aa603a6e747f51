"""How images reach the loop: all at once where they fit into memory, otherwise chunk by chunk, read ahead."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from artifacts.recipes.recipe import DatasetInfo
from data.dataset import Geometry
from data.errors import DataRefused

# Float32 images up to this many bytes are kept in memory, as a NumPy array and as a tensor: MNIST has 172 MB.
IN_MEMORY_BYTES = 1 << 28
# A chunk of a larger dataset: 8,000 images of 28 x 28. Up to four exist at a time: one in training, as a NumPy array
# and as a tensor, one waiting and one being decoded. Below 32 MiB, because larger blocks are returned to the system by
# glibc's malloc and mapped again, page by page, which costs half as much as the decoding.
CHUNK_BYTES = 3 << 23
# A chunk has at least so many batches, however large the images are: images are shuffled within chunks only.
BATCHES_PER_CHUNK = 4


class Examples(Protocol):
    """Images and their labels, such as `data.shards.parquet_file.Split`."""

    @property
    def images(self) -> npt.NDArray[np.float32]:
        """float32 (n, h, w) in [0, 1], or (n, h, w, 3)."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 (n,)."""


@dataclass(frozen=True)
class Stream:
    """Images that are read again in every epoch, in a fixed and mixed order, and shuffled within chunks.

    Args:
        n: total number of images.
        rows: images per chunk; the last chunk may have fewer.
        read: (rows) -> chunks of `rows` images each; the last one may have fewer.
        batches: batches that a chunk has at least, also if these are more than `rows` images.
    """

    n: int
    rows: int
    read: Callable[[int], Iterable[Examples]]
    batches: int = 1

    def rows_of(self, batch: int) -> int:
        """Return how many images a chunk of whole batches has."""
        return max(self.rows // batch, self.batches) * batch

    def chunks(self, multiple_of: int) -> Iterator[Examples]:
        """Yield the chunks and read one ahead; all but the last have a multiple of `multiple_of` images."""
        chunks = iter(self.read(self.rows_of(multiple_of)))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(next, chunks, None)
            while (chunk := waiting.result()) is not None:
                waiting = pool.submit(next, chunks, None)
                yield chunk


Source = Examples | Stream


def size(source: Source) -> int:
    """Return the number of images."""
    return source.n if isinstance(source, Stream) else len(source.labels)


def parts(source: Source) -> Iterable[Examples]:
    """Return the images in as many parts as they come in: all at once from memory, or the chunks of a stream."""
    return source.chunks(1) if isinstance(source, Stream) else (source,)


@dataclass(frozen=True)
class Block:
    """The input of one compiled call.

    Args:
        images: float32 (rows, h, w) tensor on the device.
        labels: int32 (rows,) tensor on the device.
        first: index of the first image in the whole source.
        n: number of real images; black images after them keep the shape, and so the compiled function, the same.
    """

    images: Any
    labels: Any
    first: int
    n: int


class Feed:
    """Iterates over the blocks of an epoch: always the same tensors, or a stream's chunks one by one.

    Args:
        source: images and labels.
        multiple_of: the batch size; every chunk but the last has a multiple of that many images.
    """

    def __init__(self, source: Source, multiple_of: int) -> None:
        self.source, self.multiple_of = source, multiple_of
        self._whole = None if isinstance(source, Stream) else _block(source, 0, size(source))

    def __iter__(self) -> Iterator[Block]:
        if isinstance(self.source, Stream):
            rows = min(self.source.rows_of(self.multiple_of), self.source.n)
            for index, chunk in enumerate(self.source.chunks(self.multiple_of)):
                yield _block(chunk, index * rows, rows)
        elif self._whole is not None:
            yield self._whole


def _block(examples: Examples, first: int, rows: int) -> Block:
    """Return images and labels as tensors on the current device, padded to `rows` rows."""
    from artifacts.backends.current import current

    images, labels, n = examples.images, examples.labels.astype(np.int32), len(examples.labels)
    if n < rows:
        images = np.concatenate([images, np.zeros((rows - n, *images.shape[1:]), np.float32)])
        labels = np.concatenate([labels, np.zeros(rows - n, np.int32)])
    images, labels = map(current().tensor, (images, labels))
    return Block(images, labels, first, n)


@dataclass(frozen=True)
class Survey:
    """What all images of a source are like together.

    Args:
        light: how far all pixels together are from the ground, float64 of the shape of an image.
        counts: images of each class.
    """

    light: npt.NDArray[np.float64]
    counts: tuple[int, ...]


def survey(
    source: Source, shape: tuple[int, ...], n_classes: int, what: str, ground: Sequence[float] = (0.0,)
) -> Survey:
    """Check all images and labels, and return what they are like together.

    Raises:
        DataRefused: a shape does not fit, a label is out of range, or a pixel is not in [0, 1]. On a GPU a label out of
            range would not raise an error later, it would give NaN.
    """
    light, counts = np.zeros(shape), np.zeros(n_classes, np.int64)
    for examples in parts(source):
        _check(examples, shape, n_classes, what)
        light += _from_ground(examples.images, ground).sum(axis=0, dtype=np.float64)
        counts += np.bincount(examples.labels, minlength=n_classes)
    if (n := int(counts.sum())) != size(source):
        raise DataRefused(f"expected {size(source)} {what} images, got {n}", "prepare the dataset again")
    return Survey(light, tuple(counts.tolist()))


def _from_ground(images: npt.NDArray[np.float32], ground: Sequence[float]) -> npt.NDArray[np.float32]:
    return np.abs(images - np.asarray(ground, np.float32)) if any(ground) else images


def dataset_info(training: Source, geometry: Geometry, n_classes: int, mirror_symmetric: bool = False) -> DatasetInfo:
    """Return what a recipe may know about a dataset, its margin measured on the training images.

    The margin is the widest frame, up to 8 pixels, that contains at most half a percent of what differs from the
    ground, summed over all pixels: 2 for MNIST, 0 for Fashion-MNIST, whose clothes touch the border.

    Raises:
        DataRefused: see `survey`.
    """
    height, width = geometry.height, geometry.width
    ground = tuple(value / 255 for value in geometry.ground)
    surveyed = survey(training, geometry.shape, n_classes, "training", ground)
    light = surveyed.light
    total, margin = max(float(light.sum()), 1e-12), 0
    while margin < min(8, (min(height, width) - 1) // 2):
        frame = margin + 1
        if 1 - float(light[frame:-frame, frame:-frame].sum()) / total > 0.005:
            break
        margin = frame
    return DatasetInfo(
        height,
        width,
        n_classes,
        size(training),
        mirror_symmetric,
        margin,
        geometry.channels,
        ground,
        surveyed.counts,
    )


def _check(examples: Examples, shape: tuple[int, ...], n_classes: int, what: str) -> None:
    images, labels = examples.images, examples.labels
    if len(labels) == 0 or images.shape != (len(labels), *shape):
        raise DataRefused(
            f"expected {what} images (n, {', '.join(map(str, shape))}) and as many labels, "
            f"got {images.shape} and {labels.shape}",
            "prepare the dataset again",
        )
    if labels.min() < 0 or labels.max() >= n_classes:
        raise DataRefused(
            f"expected {what} labels 0..{n_classes - 1}, got {labels.min()}..{labels.max()}",
            "fix the label file, or register the dataset with all its classes",
        )
    if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
        raise DataRefused(f"expected {what} pixels in [0, 1], got others", "prepare the dataset again")
