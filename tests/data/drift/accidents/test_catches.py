"""Every accident that the data can show is caught, every night."""

from dataclasses import asdict

import numpy as np
import pytest

from data.drift.accidents.catches import ACCIDENTS, KNOWN, NEW, TESTS, catch_table, small_frame
from data.drift.night import night
from data.values import canonical_json
from tests.data.drift.made import Made, snapshot
from tests.data.sound import KINDS
from tests.real_data import digits


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_must_show_is_missed_in_data_of_any_kind(kind: str) -> None:
    """What the rules cannot show, in noise for example, is said to be left to the metric gate."""
    made = Made(kind=kind)
    table = catch_table(made.old, made.new, names=made.names, images=made.images, ground=made.ground)
    assert [row.accident for row in table if row.missed] == []
    assert {row.accident for row in table if row.visible} >= {"labels permuted", "test set halved", "a class gone"}
    assert canonical_json([asdict(row) for row in table])


def test_digits_show_nearly_everything() -> None:
    """The rule that notices an accident first is the one made for it."""
    raw = digits()
    known = 1200
    seen = np.repeat(["2026-01-01", "2026-02-01"], [known, len(raw.train_images) - known])
    new = snapshot(raw.train_images, raw.train_labels, seen)
    names = tuple(map(str, range(10)))
    table = catch_table(new.slice(0, known), new, names=names, images=raw.train_images)
    caught = {row.accident: row.caught_by for row in table}
    assert {name for name, rule in caught.items() if not rule} == {"red and blue swapped"}
    assert caught["new labels shuffled"] == "labels of new images"
    assert caught["inverted"] == "polarity of new images"
    assert caught["transposed"] == "orientation of new images"
    assert caught["test images moved by a pixel"] == "near copies of test images"


def test_a_night_without_new_images_lends_known_ones() -> None:
    """Otherwise nothing could be shown on that night."""
    made = Made(known=1000, new=0)
    frame = small_frame(night(made.old, made.new, made.names, made.names), made.images, made.ground)
    assert len(frame.night.added) == NEW
    assert len(frame.new) == 1000
    assert not [row for row in catch_table(made.old, made.new, names=made.names, images=made.images) if row.missed]


def test_the_small_frame_is_bounded() -> None:
    """The cost of a catch table does not follow the size of a dataset."""
    made = Made(known=4000, new=1000)
    frame = small_frame(night(made.old, made.new, made.names, made.names), made.images, made.ground)
    assert len(frame.night.added) == NEW
    assert len(frame.old) == KNOWN + TESTS


def test_a_rule_that_speaks_anyway_does_not_count_as_a_catch() -> None:
    """Tonight's images are brighter: that is no sign that an accident with the labels would be noticed."""
    made = Made()
    images = made.images.copy()
    images[made.n_old :] += 30
    new = snapshot(images, made.labels, made.seen)
    table = catch_table(made.old, new, names=made.names, images=images)
    assert {row.caught_by for row in table if row.accident == "red and blue swapped"} == {""}
    assert not [row for row in table if row.missed]


def test_tiny_datasets_have_a_table_too() -> None:
    """Most accidents cannot be noticed there, and nothing fails."""
    made = Made(known=12, new=3)
    table = catch_table(made.old, made.new, names=made.names, images=made.images)
    assert len(table) == len(ACCIDENTS)
    assert not [row for row in table if row.missed]


def test_accidents_leave_the_night_unchanged() -> None:
    """Each returns a changed copy, and draws the same each time."""
    frame = Made(known=300, new=60).frame
    before = frame.images.copy(), frame.new.to_pydict(), frame.old.to_pydict()
    for accident in ACCIDENTS:
        once, again = (accident.apply(frame, np.random.default_rng(0)) for _ in range(2))
        assert once.new.equals(again.new), accident.name
        assert len(once.new) == len(once.images) == len(once.seen), accident.name
    assert np.array_equal(frame.images, before[0])
    assert (frame.new.to_pydict(), frame.old.to_pydict()) == before[1:]
