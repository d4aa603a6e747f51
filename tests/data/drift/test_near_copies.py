"""Test images that turn up among the new ones, changed a little, and one image many times."""

import numpy as np
import pytest

from data.drift.accidents.kinds import leak, moved, on_new, one_brighter, one_image, recompressed
from data.drift.measures import drift
from data.drift.shift import Shift
from tests.data.drift.made import Made, snapshot
from tests.real_data import digits


class Digits(Made):
    """scikit-learn's digits: 1,300 known and 200 new ones."""

    def __init__(self) -> None:
        raw = digits()
        self.images, self.labels = raw.train_images[:1400], raw.train_labels[:1400]
        self.names, self.ground, self.n_old = tuple(map(str, range(10))), (0,), 1200
        self.seen = np.repeat(["2026-01-01", "2026-02-01"], [1200, 200])


def said(some: object) -> dict[str, Shift]:
    """Return what the rules say of a frame."""
    found = drift(some.old, some.new, old_names=some.names, new_names=some.names, images=some.images)
    return {one.rule: one for one in found}


@pytest.mark.parametrize("change", [recompressed, moved, one_brighter])
def test_changed_test_images_among_new_training_images_end_the_night(change) -> None:
    """A tenth of the new training images; the sentence has their number."""
    frame = leak(change)(Digits().frame, np.random.default_rng(0))
    found = said(frame)["near copies of test images"]
    assert found.ends_night()
    assert found.effect == pytest.approx(0.1, abs=0.04)
    assert "new training images are nearly a test image" in found.sentence


def test_digits_that_look_alike_are_no_copies() -> None:
    """Two ones by different hands are more alike than most images; others are as near as the nearest."""
    assert said(Digits().frame) == {}


def test_new_test_images_may_look_like_known_test_images() -> None:
    """Both are on the same side."""
    made = Digits()
    side = np.array(made.new["side"].to_pylist())
    tests = np.flatnonzero((side == "test") & (np.arange(1400) < 1200))[:30]
    new = snapshot(one_brighter(made.images[tests], np.random.default_rng(0)), made.labels[tests], "2026-02-01")
    new = new.set_column(new.schema.get_field_index("side"), "side", [["test"] * len(new)])
    both = made.new.slice(0, 1200)
    images = np.concatenate([made.images[:1200], one_brighter(made.images[tests], np.random.default_rng(0))])
    table = type(both).from_batches([*both.to_batches(), *new.cast(both.schema).to_batches()])
    found = drift(made.old, table, old_names=made.names, new_names=made.names, images=images)
    assert "near copies of test images" not in {one.rule for one in found}


def test_half_of_the_new_images_nearly_the_same_end_the_night() -> None:
    """A camera got stuck."""
    found = said(on_new(one_image, 0.5)(Digits().frame, np.random.default_rng(0)))["one image many times"]
    assert found.ends_night()
    assert found.effect == pytest.approx(0.5, abs=0.1)


def test_images_without_any_contrast_are_compared() -> None:
    """A spectrum of nothing has no direction."""
    made = Made(known=200, new=60)
    made.images = np.zeros_like(made.images) + (np.arange(len(made.images)) % 250).astype(np.uint8)[:, None, None]
    made.images[:, 0, 0] = np.arange(len(made.images)) // 250
    measured = made.measured(images=made.images)
    assert np.isfinite([one.effect for one in measured.values()]).all()
