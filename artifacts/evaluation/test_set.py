"""Tonight's test images, as raw pixels that are read when they are asked for."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from data.prepared.split_images import SplitImages


@dataclass(frozen=True, eq=False)
class TestSet:
    """Tonight's test images.

    Args:
        images: uint8 of shape (n, h, w) or (n, h, w, 3): an array, or `SplitImages`, which reads them slice by slice.
        labels: int64 of shape (n,).
        digest: SHA-256 of their content.
        ground: the colour around what is shown, one value in 0..255 per channel.
    """

    __test__ = False  # otherwise pytest collects it because of its name

    images: Any
    labels: npt.NDArray[np.int64]
    digest: str
    ground: tuple[int, ...] = (0,)


def read_test_set(store: Store, prepared: PreparedRef) -> TestSet:
    """Open tonight's test images; memory does not grow with their number, except for the labels.

    Raises:
        Corrupt: a prepared file is missing or has changed.
    """
    described = parquet.describe(store, prepared)
    images = SplitImages(store, prepared, "test")
    labels = parquet.read_labels(store, prepared, "test")
    return TestSet(images, labels, described["splits"]["test"]["digest"], parquet.geometry(described).ground)
