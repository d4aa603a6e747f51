"""Tonight's test images, as raw pixels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from artifacts.models.loading import raw_pixels
from data import parquet
from data.parquet import PreparedRef
from data.store import Store

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TestSet:
    """Tonight's test images.

    Args:
        images: uint8 of shape (n, h, w).
        labels: int64 of shape (n,).
        digest: SHA-256 of their content.
        ground: the colour around what they show, one value in 0..255 per channel.
    """

    __test__ = False  # otherwise pytest collects it because of its name

    images: Images
    labels: npt.NDArray[np.int64]
    digest: str
    ground: tuple[int, ...] = (0,)


def read_test_set(store: Store, prepared: PreparedRef) -> TestSet:
    """Read tonight's test images.

    Raises:
        Corrupt: a prepared file is missing or has changed.
    """
    split = parquet.read_split(store, prepared, "test")
    described = parquet.describe(store, prepared)
    digest, ground = described["splits"]["test"]["digest"], parquet.geometry(described).ground
    return TestSet(raw_pixels(split.images), split.labels, digest, ground)
