"""Is tonight's data like the nights before? Every rule measured, and what is worth a word.

Why these rules and limits: docs/decisions/0021-drift-between-snapshots.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from data.drift.labels import label_rules
from data.drift.looks import Samples, samples
from data.drift.near_copies import copy_rules
from data.drift.new_images import batch_rules
from data.drift.night import Night, night
from data.drift.pictures import picture_rules
from data.drift.shift import Shift
from data.drift.whole import whole_rules


def drift(
    old: pa.Table,
    new: pa.Table,
    *,
    old_names: Sequence[str],
    new_names: Sequence[str],
    images: Any = None,
    counts: Mapping[str, int] | None = None,
) -> tuple[Shift, ...]:
    """Return how tonight's data differ from the last accepted snapshot, what ends the night first.

    Arguments are those of `measures`.
    """
    return told(measures(old, new, old_names=old_names, new_names=new_names, images=images, counts=counts))


def told(measured: Iterable[Shift]) -> tuple[Shift, ...]:
    """Return what is worth a word, what ends the night first, then other accidents."""
    found = [one for one in measured if one.notable]
    found.sort(key=lambda one: (not one.ends_night(), one.kind != "accident"))
    return tuple(found)


def measures(
    old: pa.Table,
    new: pa.Table,
    *,
    old_names: Sequence[str],
    new_names: Sequence[str],
    images: Any = None,
    counts: Mapping[str, int] | None = None,
) -> tuple[Shift, ...]:
    """Return what every rule measured, also what is as it should be.

    Args:
        old: the last accepted snapshot, one row per image: the columns of `data.statistics.summary.summarise`, and
            `side` ("train", "validation" or "test") and `first_seen` (the UTC time of the night, ISO 8601).
        new: tonight's snapshot, likewise.
        old_names: what the labels of `old` mean.
        new_names: what the labels of `new` mean.
        images: the images of `new`, uint8, in the order of its rows, gathered by a sorted array of row numbers; a
            sample of them is read. None: rules that need pixels are left out.
        counts: what the snapshot counted while it was taken; see `data.drift.whole.whole_rules`.
    """
    both = night(old, new, old_names, new_names)
    found = None if images is None else samples(both, images)
    return (*whole_rules(both, counts or {}), *rules_on_new(both, found))


def rules_on_new(both: Night, found: Samples | None) -> Iterator[Shift]:
    """Yield what every rule on the new images measured, given looks at the images, or None."""
    if found is not None:
        yield from copy_rules(both, found)
        yield from picture_rules(both, found)
    yield from label_rules(both, found)
    yield from batch_rules(both)
