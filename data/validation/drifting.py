"""A snapshot beside the last one that was accepted: what shifted, and which accidents would have been noticed."""

from dataclasses import dataclass, replace

from data.dataset import Dataset
from data.drift.accidents.catches import catch_table
from data.drift.measures import drift
from data.drift.shift import ACCEPT, Shift
from data.home.store import Store
from data.inspection.findings import Finding
from data.shards.stored_images import StoredImages
from data.snapshots import nights
from data.snapshots.items import selected, statistics, training_first
from data.snapshots.snapshot import SnapshotRef, read
from data.validation import snapshots
from data.validation.results import Catch


@dataclass(frozen=True)
class Compared:
    """Tonight's snapshot beside the last accepted one.

    Args:
        shifts: what is worth a word, what ends the night first.
        findings: the same, as a validation takes it.
        catches: accidents that were made to a copy of tonight's data, and whether a rule noticed them.
    """

    shifts: tuple[Shift, ...] = ()
    findings: tuple[Finding, ...] = ()
    catches: tuple[Catch, ...] = ()


def compare(store: Store, row: Dataset, ref: SnapshotRef) -> Compared:
    """Compare a snapshot with the last accepted one; nothing is found if there is none, or if it is the same.

    Args:
        store: where both lie.
        row: of the dataset, which grows: whether a shift ends the night is written there.
        ref: tonight's snapshot.

    Raises:
        Corrupt: a snapshot, or one of its shards, cannot be read.
    """
    before = snapshots.accepted(store, row.name)
    if row.growth is None or before is None or before == ref:
        return Compared()
    old, new = (statistics(store, one) for one in (before, ref))
    names, now = (read(store, one).class_names for one in (before, ref))
    shards = training_first(selected(store, ref))
    images = StoredImages([one.piece(store, None, verify=False) for one in shards], row.geometry.shape)
    shifts = tuple(
        replace(one, remedy=one.remedy.replace(ACCEPT, f"if it is meant: nightshift datasets accept {row.name}"))
        for one in drift(old, new, old_names=names, new_names=now, images=images, counts=_counts(store, ref))
    )
    trusted = snapshots.trusted(store, ref)
    findings = tuple(
        Finding(one.rule, one.ends_night(row.growth.drift) and not trusted, one.sentence, one.remedy) for one in shifts
    )
    catches = catch_table(old, new, names=now, images=images, ground=row.ground)
    return Compared(
        shifts,
        findings,
        tuple(
            Catch(
                f"overnight: {one.accident}",
                one.what,
                bool(one.caught_by),
                (one.caught_by,) if one.caught_by else (),
                one.visible,
            )
            for one in catches
        ),
    )


def _counts(store: Store, ref: SnapshotRef) -> dict[str, int]:
    night = next((one for one in reversed(nights.nights(store, ref.dataset)) if one.snapshot == ref.digest), None)
    return {"on_both_sides": night.n_both_sides} if night else {}
