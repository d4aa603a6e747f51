"""The images of a prepared split as raw pixels, read from Parquet files when they are asked for."""

from collections.abc import Iterator
from typing import Any

from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from data.shards.parquet_file import at_once
from data.shards.stored_images import StoredImages

AT_ONCE = 8000  # images; a multiple of the 1000 that a model is given at a time, so that its batches stay the same
AT_ONCE_BYTES = 64 << 20  # of float32 pixels


class SplitImages(StoredImages):
    """What looks like a uint8 array of shape (n, h, w) or (n, h, w, 3), but holds one row group at a time.

    Args:
        store: where the prepared folder lies.
        ref: which one.
        split: "train", "validation" or "test"; its files are hashed once, here.

    Raises:
        UnknownName: there is no such split.
        Corrupt: a file is not what was written; also later, while reading.
    """

    def __init__(self, store: Store, ref: PreparedRef, split: str) -> None:
        pieces = parquet.stored(store, ref, split)
        super().__init__(pieces, parquet.geometry(parquet.describe(store, ref)).shape)


def slices(images: Any) -> Iterator[slice]:
    """Yield slices that cover all images in order, each of a bounded number of bytes."""
    step = at_once(images.shape[1:], AT_ONCE, AT_ONCE_BYTES)
    step -= step % 1000 if step > 1000 else 0
    for start in range(0, len(images), step):
        yield slice(start, min(start + step, len(images)))
