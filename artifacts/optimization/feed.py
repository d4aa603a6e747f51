"""How training images reach the loop: all at once where they fit, otherwise chunk by chunk as the last one trains."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from artifacts.recipes.recipe import DatasetInfo
from data.errors import DataRefused

# Float32 images up to this many bytes are kept in memory, as NumPy array and as tensor: MNIST has 172 MB.
IN_MEMORY_BYTES = 1 << 28
# A chunk of a larger dataset: 8,000 images of 28 x 28. Up to four exist at a time: one trains, as NumPy array and as
# tensor, one waits and one is being decoded. Below 32 MiB, the most that glibc's malloc keeps for the next one instead
# of having it mapped anew, page by page, which costs as much as half of the decoding.
CHUNK_BYTES = 3 << 23


class Examples(Protocol):
    """Images and their labels, such as `data.parquet.Split`."""

    @property
    def images(self) -> npt.NDArray[np.float32]:
        """float32 (n, h, w) in [0, 1]."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 (n,)."""


@dataclass(frozen=True)
class Stream:
    """Images that are read anew in every epoch, in a fixed order, and shuffled within chunks.

    Args:
        n: images in all.
        rows: images per chunk; the last one may have fewer.
        read: (rows) -> the chunks, each of `rows` images but the last.
    """

    n: int
    rows: int
    read: Callable[[int], Iterable[Examples]]

    def chunks(self, multiple_of: int) -> Iterator[Examples]:
        """Yield the chunks, the next one being read while the caller works; all but the last a multiple of a batch."""
        rows = max(self.rows // multiple_of, 1) * multiple_of
        chunks = iter(self.read(rows))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(next, chunks, None)
            while (chunk := waiting.result()) is not None:
                waiting = pool.submit(next, chunks, None)
                yield chunk


Source = Examples | Stream


def size(source: Source) -> int:
    """Return the number of images."""
    return source.n if isinstance(source, Stream) else len(source.labels)


@dataclass(frozen=True)
class Block:
    """What one compiled call works on.

    Args:
        images: float32 (rows, h, w) tensor on the device.
        labels: int32 (rows,) tensor on the device.
        first: number of the first of them in the whole source.
        n: how many of them are real; black images behind them keep the shape, and so the compiled function, the same.
    """

    images: Any
    labels: Any
    first: int
    n: int


class Feed:
    """Gives the loop its blocks, epoch after epoch: the same tensors again, or a stream's chunks one by one.

    Args:
        source: images and labels.
        multiple_of: the batch size; a chunk, except the last, has a multiple of that many images.
    """

    def __init__(self, source: Source, multiple_of: int) -> None:
        self.source, self.multiple_of = source, multiple_of
        self._whole = None if isinstance(source, Stream) else _block(source, 0, size(source))

    def __iter__(self) -> Iterator[Block]:
        if isinstance(self.source, Stream):
            rows = min(max(self.source.rows // self.multiple_of, 1) * self.multiple_of, self.source.n)
            for index, chunk in enumerate(self.source.chunks(self.multiple_of)):
                yield _block(chunk, index * rows, rows)
        elif self._whole is not None:
            yield self._whole


def _block(examples: Examples, first: int, rows: int) -> Block:
    """Return images and labels as tensors on the current device, filled up to so many rows."""
    from artifacts.backends.current import current

    images, labels, n = examples.images, examples.labels.astype(np.int32), len(examples.labels)
    if n < rows:
        images = np.concatenate([images, np.zeros((rows - n, *images.shape[1:]), np.float32)])
        labels = np.concatenate([labels, np.zeros(rows - n, np.int32)])
    images, labels = map(current().tensor, (images, labels))
    return Block(images, labels, first, n)


def survey(source: Source, shape: tuple[int, int], n_classes: int, what: str) -> npt.NDArray[np.float64]:
    """Look at all images and labels once, and return the sum of the images, float64 (h, w).

    Raises:
        DataRefused: a shape does not fit, a label is out of range, or a pixel is not in [0, 1]. On a GPU a label out
            of range would not raise later, it would give NaN.
    """
    light, n = np.zeros(shape), 0
    for examples in source.chunks(1) if isinstance(source, Stream) else (source,):
        _check(examples, shape, n_classes, what)
        light += examples.images.sum(axis=0, dtype=np.float64)
        n += len(examples.labels)
    if n != size(source):
        raise DataRefused(f"expected {size(source)} {what} images, came {n}", "prepare the dataset again")
    return light


def dataset_info(
    training: Source, shape: tuple[int, int], n_classes: int, mirror_symmetric: bool = False
) -> DatasetInfo:
    """Return what a recipe may know about a dataset, its margin measured on the training images.

    The margin is the widest frame, up to 8 pixels, that holds at most half a percent of the light of all images: 2 for
    MNIST, 0 for Fashion-MNIST, whose clothes touch the border.

    Raises:
        DataRefused: see `survey`.
    """
    height, width = shape
    light = survey(training, shape, n_classes, "training")
    total, margin = max(float(light.sum()), 1e-12), 0
    while margin < min(8, (min(height, width) - 1) // 2):
        frame = margin + 1
        if 1 - float(light[frame:-frame, frame:-frame].sum()) / total > 0.005:
            break
        margin = frame
    return DatasetInfo(height, width, n_classes, size(training), mirror_symmetric, margin)


def _check(examples: Examples, shape: tuple[int, int], n_classes: int, what: str) -> None:
    images, labels = examples.images, examples.labels
    if len(labels) == 0 or images.shape != (len(labels), *shape):
        raise DataRefused(
            f"expected {what} images (n, {shape[0]}, {shape[1]}) and as many labels, "
            f"came {images.shape} and {labels.shape}",
            "prepare the dataset again",
        )
    if labels.min() < 0 or labels.max() >= n_classes:
        raise DataRefused(
            f"expected {what} labels 0..{n_classes - 1}, came {labels.min()}..{labels.max()}",
            "mend the label file, or register the dataset with all its classes",
        )
    if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
        raise DataRefused(f"expected {what} pixels in [0, 1], came others", "prepare the dataset again")
