"""Which accidents would have been noticed tonight? Each is made to a small copy of the two snapshots.

An accident that statistics can show and the rules miss is a fault of this package: the night says so.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from data.drift.accidents import kinds as make
from data.drift.accidents.frame import TEST, Frame
from data.drift.accidents.kinds import HALF, Change
from data.drift.labels import telling
from data.drift.looks import look, some_rows
from data.drift.measures import rules_on_new
from data.drift.near_copies import ALIKE, NEARER, spectra, usual_repeats
from data.drift.new_images import FIRST, FLAT, SLACK, Within
from data.drift.night import Night, night
from data.drift.pictures import BLANK, NOISY
from data.drift.shift import Shift
from data.drift.whole import LEAST, whole_rules
from data.statistics.summary import numeric

KNOWN, TESTS, NEW = 1_500, 500, 200  # images of the copy, at most
BYTES = 1 << 28  # of their pixels, at most
WORSE = 1.5  # a rule that speaks anyway must measure as many times as much

Visible = Callable[[Frame, Frame], bool]


@dataclass(frozen=True)
class Accident:
    """One way in which a night can go wrong.

    Args:
        name: short, unique.
        what: the change.
        apply: returns a changed frame; draws from the generator only.
        visible: given the frame before and after: whether the rules can show it in this data; if not, it is left to
            the metric gate.
    """

    name: str
    what: str
    apply: Change
    visible: Visible


@dataclass(frozen=True)
class Catch:
    """What became of one accident.

    Args:
        accident: its name.
        what: the change.
        caught_by: the rule that noticed it first; "" if none did.
        visible: whether one had to.
    """

    accident: str
    what: str
    caught_by: str
    visible: bool

    @property
    def missed(self) -> bool:
        """Whether a rule is at fault."""
        return self.visible and not self.caught_by


def catch_table(
    old: pa.Table, new: pa.Table, *, names: Sequence[str], images: Any, ground: tuple[int, ...] = (0,)
) -> tuple[Catch, ...]:
    """Return a row per accident; the cost does not depend on the size of the snapshots.

    Args:
        old: as for `data.drift.measures.measures`.
        new: likewise.
        names: what tonight's labels mean.
        images: the images of `new`, uint8, gathered by sorted row numbers.
        ground: of the dataset.
    """
    sound = small_frame(night(old, new, names, names), images, ground)
    before = {one.rule: one.effect for one in _measured(sound) if one.notable}
    return tuple(caught(accident, sound, before) for accident in ACCIDENTS)


def small_frame(both: Night, images: Any, ground: tuple[int, ...]) -> Frame:
    """Return a copy of a night with few images.

    Where too few images are new, known ones take their place: a quarter of the copy at most.
    """
    size = max(math.prod(images.shape[1:]), 1)
    room = max(BYTES // size, 100)
    tests = both.sides[both.kept] == TEST
    added = some_rows(both, both.added, min(NEW, room // 4))
    known = some_rows(both, both.kept[~tests], min(KNOWN, room // 2))
    known = np.union1d(known, some_rows(both, both.kept[tests], min(TESTS, room // 4)))
    lent = min(max(min(NEW, room // 4) - len(added), 0), len(known) // 4)
    by_hash = known[np.argsort(both.keys[known], kind="stable")]
    old, rows = np.sort(by_hash[lent:]), np.sort(np.concatenate([known, added]))
    nights = pa.array(np.where(np.isin(rows, old), "0", "1"))  # no earlier nights: the limits are the plain ones
    table = both.new.take(rows)
    table = table.set_column(table.schema.get_field_index("first_seen"), "first_seen", nights)
    pixels = np.asarray(images[rows])
    seen = look(pixels, table["label"].to_numpy(), np.arange(len(rows)))
    return Frame(table.take(np.searchsorted(rows, old)), table, pixels, both.new_names, ground, seen)


def caught(accident: Accident, sound: Frame, before: dict[str, float]) -> Catch:
    """Make an accident, and return which rule notices it first.

    Args:
        accident: what happens.
        sound: the night without it.
        before: what rules measured that speak anyway.
    """
    after = accident.apply(sound, np.random.default_rng(0))
    found = (one.rule for one in _measured(after) if one.notable and one.effect > WORSE * before.get(one.rule, 0.0))
    return Catch(accident.name, accident.what, next(found, ""), bool(accident.visible(sound, after)))


def _measured(some: Frame) -> Iterator[Shift]:
    """Yield what the rules measure, those without pixels first: most accidents are found before any is looked at."""
    yield from whole_rules(some.night, {})
    yield from rules_on_new(some.night, some.samples)


# -- which of them the rules can show -----------------------------------------------------------------------------
#
# Each is decided by arithmetic on the changed copy: it must be twice as far away as what is told, or twice as many.


def _labels_changed(before: Frame, after: Frame) -> bool:
    return int((before.night.labels != after.night.labels).sum()) >= 2 * LEAST


def _many_gone(before: Frame, after: Frame) -> bool:
    return len(after.night.removed) - len(before.night.removed) >= 2 * LEAST


def _labels_tell(before: Frame, after: Frame) -> bool:
    """New labels are wrong, and known images show their class to the rule."""
    added = after.night.added
    wrong = before.night.labels[added] != after.night.labels[added]
    return bool(len(added) >= 100 and wrong.mean() > HALF and telling(before.night, before.samples) > HALF)


def _moves(before: Frame, after: Frame) -> bool:
    """Some statistic of the new images moved by one standard deviation of one image of its class."""
    known, labels = before.night.kept, before.night.labels
    added = after.night.added
    if len(added) < 100:
        return False
    for name in (*numeric(before.new), "roughness"):
        ours, theirs = _values(before, name), _values(after, name)
        inside = Within.of(ours[known], labels[known], before.night.n_classes, SLACK.get(name, FLAT))
        away = [inside.distance(values[added], labels[added]) for values in (ours, theirs)]
        if away[1][1] >= 100 and min(abs(away[1][0]), abs(away[1][0] - away[0][0])) > 2 * FIRST:
            return True
    return False


def _values(some: Frame, name: str) -> np.ndarray:
    if name == "roughness":
        return some.seen.roughness
    values: np.ndarray = some.new[name].to_numpy()
    return values


def _noise_is_new(before: Frame, _after: Frame) -> bool:
    usual = before.seen.roughness > NOISY
    return len(before.night.added) >= 20 and float(usual.mean()) < 0.05 and min(before.images.shape[1:3]) >= 8


def _blank_is_new(before: Frame, _after: Frame) -> bool:
    return len(before.night.added) >= 20 and float((before.new["std"].to_numpy() < BLANK).mean()) < 0.05


def _repeats_are_new(before: Frame, _after: Frame) -> bool:
    return len(before.night.added) >= 20 and usual_repeats(before.samples) < 0.1


def _nearest_is_source(before: Frame, after: Frame) -> bool:
    """The changed copies are as near to their originals as the rule demands, and more."""
    if after.source is None or len(after.source) < 10:
        return False
    tests = before.samples.test
    at = np.flatnonzero(~np.isin(after.night.keys, before.night.keys))
    alike = spectra(after.seen.where(at), tests) @ spectra(tests, tests).T
    original = np.arange(len(at)), np.searchsorted(tests.rows, after.source)
    own = alike[original]
    alike[original] = -1
    near = (own > (1 + ALIKE) / 2) & (1 - own < NEARER / 2 * (1 - alike.max(axis=1, initial=-1)))
    return bool(near.sum() >= 10)


ACCIDENTS = (
    Accident("labels permuted", "10 % of the known labels", make.permute_known, _labels_changed),
    Accident("two classes swapped", "labels of the two largest", make.swap_classes, _labels_changed),
    Accident("classes renumbered", "each has the next one's number", make.renumber, _labels_changed),
    Accident("test set halved", "every second known test image is gone", make.half_of_test_gone, _many_gone),
    Accident("a class gone", "all images of the largest", make.class_gone, _many_gone),
    Accident("all images replaced", "another camera: all 40 of 255 brighter", make.replace_all, _many_gone),
    Accident("new labels shuffled", "those of all new images", make.shuffle_new, _labels_tell),
    Accident("one label for all", "new images in the rarest class", make.one_label, _labels_tell),
    Accident("brighter", "new images + 40 of 255", make.on_new(make.brighter), _moves),
    Accident("blurred", "new images: means of 3 x 3 pixels", make.on_new(make.blurred), _moves),
    Accident("cropped", "new images: the middle 70 %, enlarged", make.on_new(make.cropped), _moves),
    Accident("inverted", "new images 255 - x", make.on_new(make.inverted), _moves),
    Accident("transposed", "new images: rows and columns swapped", make.on_new(make.transposed), _moves),
    Accident("red and blue swapped", "new images", make.on_new(make.other_channels), _moves),
    Accident("noise", "half of the new images", make.on_new(make.noise, HALF), _noise_is_new),
    Accident("blank", "half of the new images", make.on_new(make.blank, HALF), _blank_is_new),
    Accident("one image many times", "half of the new images", make.on_new(make.one_image, HALF), _repeats_are_new),
    Accident("test images recompressed", "a tenth of new train", make.leak(make.recompressed), _nearest_is_source),
    Accident("test images moved by a pixel", "a tenth of new train", make.leak(make.moved), _nearest_is_source),
    Accident("test images brighter by 1", "a tenth of new train", make.leak(make.one_brighter), _nearest_is_source),
)
