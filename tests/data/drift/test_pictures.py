"""New images that are noise, blank, turned, inverted or blurred."""

import numpy as np
import pytest

from data.drift.accidents.kinds import blank, blurred, inverted, noise, on_new, transposed
from tests.data.drift.made import Made
from tests.data.drift.test_near_copies import Digits, said


@pytest.mark.parametrize(
    ("change", "share", "rule", "ends"),
    [
        (noise, 0.5, "new images that consist of noise", True),
        (noise, 0.1, "new images that consist of noise", False),
        (blank, 0.5, "new images that have no contrast", True),
        (transposed, 1.0, "orientation of new images", True),
        (inverted, 1.0, "polarity of new images", True),
        (blurred, 1.0, "sharpness of new images", False),
    ],
)
def test_changed_pixels_are_noticed(change, share: float, rule: str, ends: bool) -> None:
    """The sentence speaks of new and known images."""
    found = said(on_new(change, share)(Digits().frame, np.random.default_rng(0)))[rule]
    assert found.ends_night() is ends
    assert "new images" in found.sentence or "known images" in found.sentence
    assert "test images" not in found.sentence


@pytest.mark.parametrize("kind", ["noise", "spots"])
def test_what_known_images_are_new_ones_may_be(kind: str) -> None:
    """Noise among noise is sound."""
    made = Made(kind=kind)
    assert made.found(images=made.images) == {}


def test_a_class_of_blank_images_may_grow() -> None:
    """The share is that of known images of the same class."""
    made = Made(known=800, new=600)
    rng = np.random.default_rng(0)
    empty = made.labels == 3
    made.images[empty] = (rng.integers(0, 250, (empty.sum(), 1, 1)) + rng.integers(0, 2, (empty.sum(), 12, 12))).astype(
        np.uint8
    )
    kept = np.flatnonzero((np.arange(1400) < 800) | empty)
    measured = made.measured(new=made.new.take(kept), images=made.images[kept])
    assert measured["new images that have no contrast"].effect == 0
