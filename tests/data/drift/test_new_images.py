"""The statistics of new images, against the rest and against how earlier nights varied."""

import numpy as np
import pytest

from data.drift.new_images import LEAST, batches, yardstick
from data.drift.night import night
from tests.data.drift.made import Made, snapshot

NIGHTS = (120,) * 8


def brighter(made: Made, by: int, since: int | None = None) -> np.ndarray:
    """Return the images, those from a row on (tonight's) made brighter."""
    images = made.images.astype(int)
    images[made.n_old if since is None else since :] += by
    return np.clip(images, 0, 255).astype(np.uint8)


def test_brighter_new_images_are_a_shift_with_its_size() -> None:
    """Cohen's d, the limit and both means are said; the night ends only by policy."""
    made = Made()
    found = made.found(new=snapshot(brighter(made, 25), made.labels, made.seen))["mean of new images"]
    assert found.effect > found.warns_above == 0.5
    assert "200 new images are brighter than the rest" in found.sentence
    assert not found.ends_night("warn")
    assert found.ends_night("stop")


def test_one_class_only_is_not_a_new_camera() -> None:
    """Statistics are compared within classes."""
    made = Made(new=800)
    rows = np.flatnonzero((np.arange(2000) < 1200) | (made.labels == 0))
    measured = made.measured(new=made.new.take(rows))
    assert measured["class shares of new images"].effect > 0.7
    assert [rule for rule, one in measured.items() if one.notable and "class shares" not in rule] == []


@pytest.mark.parametrize(("new", "shown"), [(LEAST - 1, False), (LEAST, True)])
def test_few_new_images_show_nothing(new: int, shown: bool) -> None:
    """The smallest number is stated in LEAST."""
    made = Made(new=new)
    found = made.found(new=snapshot(brighter(made, 60), made.labels, made.seen))
    assert ("mean of new images" in found) is shown


def test_small_nights_are_taken_together() -> None:
    """Three nights of 20 images from another camera show what one cannot."""
    made = Made(nights=(20, 20), new=20)
    images = brighter(made, 60, since=made.n_known)
    old, new = (snapshot(images[:n], made.labels[:n], made.seen[:n]) for n in (made.n_old, len(images)))
    assert "60 new images (of the last 3 nights)" in made.found(old, new)["mean of new images"].sentence


def test_large_nights_stand_alone() -> None:
    """The images of the last night are known ones."""
    made = Made(nights=(100,), new=200)
    parts = batches(night(made.old, made.new, made.names, made.names))
    assert (parts.nights, len(parts.recent), parts.n_earlier) == (1, 200, 1)
    assert set(parts.earlier[:1200]) == {-1}


def test_refused_images_of_last_night_are_still_new() -> None:
    """New is what the last accepted snapshot does not have."""
    made = Made(nights=(100,), new=200)
    accepted = snapshot(made.images[:1200], made.labels[:1200], made.seen[:1200])
    parts = batches(night(accepted, made.new, made.names, made.names))
    assert len(parts.recent) == 300


def test_nights_that_vary_little_make_a_finer_yardstick() -> None:
    """Without earlier nights the same shift is below the limit."""
    nights = (200,) * 20
    alone, after = Made(known=1200 + sum(nights), new=500), Made(nights=nights, new=500)
    for made, shown in ((alone, False), (after, True)):
        images = brighter(made, 3)
        images[made.n_old :: 6] = made.images[made.n_old :: 6]
        measured = made.measured(new=snapshot(images, made.labels, made.seen))["mean of new images"]
        assert 0.4 < measured.effect < 0.5
        assert measured.notable is shown


def test_nights_that_vary_make_a_coarser_yardstick() -> None:
    """A source whose brightness differs from night to night may differ tonight, too."""
    made = Made(nights=NIGHTS, new=240)
    number = np.unique(made.seen, return_inverse=True)[1]
    by = np.where(number > 0, (-1) ** number * 4, 0)
    images = np.clip(made.images + by[:, None, None], 0, 255).astype(np.uint8)
    old, new = (snapshot(images[:n], made.labels[:n], made.seen[:n]) for n in (made.n_old, len(images)))
    measured = made.measured(old, new)["mean of new images"]
    assert measured.effect > 0.5
    assert not measured.notable


def test_sorted_deliveries_are_usual_once_they_were_usual() -> None:
    """After mixed nights, one class alone is a shift of the class shares; after sorted ones it is not."""
    made = Made(known=1200, nights=NIGHTS, new=400)
    tonight = np.flatnonzero((np.arange(len(made.images)) < made.n_old) | (made.labels == 3))
    assert set(made.found(new=made.new.take(tonight))) == {"class shares of new images"}
    number = np.maximum(np.arange(len(made.images)) - made.n_known, 0) // 120
    kept = np.flatnonzero((np.arange(len(made.images)) < made.n_known) | (made.labels == number % 4))
    new = made.new.take(kept)
    assert made.found(new.slice(0, int((kept < made.n_old).sum())), new) == {}


def test_a_yardstick_is_wide_for_few_nights() -> None:
    """One night in 10,000 is beyond it: 12.9 spreads for five nights, 5.1 for thirty."""
    rng = np.random.default_rng(0)
    for n, factor in ((5, 12.9), (30, 5.14)):
        nights = rng.normal(0, 1, (2000, n))
        spread = np.array([yardstick(some, np.zeros(n)) for some in nights])
        assert np.median(spread / nights.std(axis=1, ddof=1)) == pytest.approx(factor, rel=0.01)
        assert np.mean(np.abs(rng.normal(0, 1, 2000)) > spread) < 0.003


def test_another_class_is_usual_where_most_nights_bring_one_class() -> None:
    """Eight nights of one class each say nothing of which class is next, however rare it is."""
    made = Made(known=1200, nights=(400,) * 8, new=1000)
    row = np.arange(len(made.images))
    first, number = row < made.n_known, (row - made.n_known) // 400
    rare = (made.labels != 3) | (row % 4 == 0)
    kept = np.flatnonzero(np.where(first, rare, made.labels == np.where(number < 8, number % 2, 3)))
    new = made.new.take(kept)
    old = new.slice(0, int((kept < made.n_old).sum()))
    assert made.measured(old, new)["class shares of new images"].effect > 0.8
    assert "class shares of new images" not in made.found(old, new)
