"""How images reach the loop, and what a recipe may know about them."""

import numpy as np
import pytest

from artifacts.optimization.feed import Stream, dataset_info
from data.dataset import Geometry
from data.errors import DataRefused
from data.home.store import Store
from tests.artifacts.small import Images, blobs, info


@pytest.mark.parametrize(("frame", "margin"), [(0, 0), (1, 1), (3, 3), (5, 5)])
def test_the_margin_is_the_dark_frame(frame: int, margin: int) -> None:
    """Images may be shifted as far as the dark frame around them is wide; where they touch the border, not at all."""
    images = np.zeros((4, 20, 12), np.float32)
    images[:, frame : 20 - frame, frame : 12 - frame] = 1
    assert info(Images(images, np.zeros(4, np.int64))).margin == margin


def test_images_without_light_have_no_margin() -> None:
    """Black images cause no division by zero, and are not shifted."""
    black = Images(np.zeros((4, 9, 12), np.float32), np.zeros(4, np.int64))
    assert info(black).margin == 0


def test_a_stream_is_surveyed_before_training(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label out of range in the last chunk of a stream is refused before the first step."""
    examples = blobs(50)
    examples.labels[49] = 7
    stream = Stream(
        50,
        16,
        lambda rows: (Images(examples.images[i : i + rows], examples.labels[i : i + rows]) for i in range(0, 50, rows)),
    )
    with pytest.raises(DataRefused, match=r"labels 0\.\.2"):
        dataset_info(stream, Geometry(12, 10), 3)
    short = Stream(51, 16, stream.read)
    examples.labels[49] = 0
    with pytest.raises(DataRefused, match="expected 51 training images, got 50"):
        dataset_info(short, Geometry(12, 10), 3)


@pytest.mark.parametrize(("rows", "batch", "expected"), [(8_000, 256, 7_936), (41, 32, 128), (100, 256, 1_024)])
def test_a_chunk_has_a_few_batches_however_large_the_images_are(rows: int, batch: int, expected: int) -> None:
    """Images are shuffled within chunks: a chunk of one batch would be the same batch in every epoch."""
    stream = Stream(100_000, rows, lambda _: [], batches=4)
    assert stream.rows_of(batch) == expected
