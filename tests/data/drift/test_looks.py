"""A bounded sample of the images is read, once."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from data.drift import looks
from data.drift.looks import look, samples, some_rows
from data.drift.night import night
from tests.data.drift.made import Made


@dataclass
class Counted:
    """Images that note which rows were read."""

    images: np.ndarray
    read: list[int] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the images."""
        return self.images.shape

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        assert (np.diff(rows) > 0).all()
        self.read += rows.tolist()
        return self.images[rows]


def test_each_image_of_the_sample_is_read_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known ones, test images and new ones, each at most as many as stated."""
    monkeypatch.setattr(looks, "KNOWN", 100)
    monkeypatch.setattr(looks, "TEST", 50)
    monkeypatch.setattr(looks, "NEW", 30)
    made = Made()
    counted = Counted(made.images)
    found = samples(night(made.old, made.new, made.names, made.names), counted)
    assert (len(found.known), len(found.test), len(found.new)) == (100, 50, 30)
    assert len(set(counted.read)) == len(counted.read) == 180


def test_the_sample_has_the_smallest_hashes() -> None:
    """Shards are in the order of hashes: the images of a sample stand together there."""
    made = Made(known=300, new=0)
    both = night(made.old, made.new, made.names, made.names)
    rows = some_rows(both, np.arange(300), 20)
    digests = made.new["sha256"].to_pylist()
    assert sorted(digests[row] for row in rows) == sorted(digests)[:20]


@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 8, 8), (2, 28, 28), (2, 100, 40), (2, 64, 64, 3), (0, 28, 28)])
def test_images_of_any_size_are_looked_at(shape: tuple[int, ...]) -> None:
    """At most 32 pixels a side are kept."""
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = look(images, np.zeros(shape[0], np.int64), np.arange(shape[0]))
    assert len(found.small) == len(found.cells) == len(found.spectrum) == len(found.roughness) == shape[0]
    assert max(found.small.shape[1:]) <= 32
    assert np.isfinite(found.spectrum).all()
