"""The rules on snapshots as they are stored: shards, corrections, images in Parquet."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data.dataset import Dataset
from data.drift import looks
from data.drift.looks import sampled
from data.drift.night import night
from data.growth import Growth
from data.home.store import Store
from data.shards.parquet_file import image_hashes
from data.shards.shard import ShardRef, Side
from data.snapshots.items import items, statistics
from data.snapshots.snapshot import REMOVED, SnapshotRef
from data.validation import snapshots
from data.validation.drifting import compare
from tests.data.growing import put, row, snapshot
from tests.data.sound import DRAWS

SHAPE = (12, 12)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty home."""
    return Store(tmp_path / "home")


def grow(store: Store, number: int, n: int, by: int = 0) -> list[ShardRef]:
    """Publish n images of three classes, which are split by their hashes; brighter ones, if it is said by how much."""
    labels = np.arange(n) % 3
    images = DRAWS["bars"](np.random.default_rng(number), labels) + np.uint8(by)
    first = image_hashes(images)[:, 0]
    sides: dict[Side, np.ndarray] = {
        "train": first >= 60,
        "validation": (first >= 40) & (first < 60),
        "test": first < 40,
    }
    return [put(store, side, images[mask], labels[mask], number) for side, mask in sides.items() if mask.any()]


def zoo(ref: SnapshotRef, **growth: object) -> Dataset:
    """The row of that night."""
    return replace(row(ref, SHAPE), growth=Growth(**growth))


def accepted(store: Store, shards: list[ShardRef]) -> list[ShardRef]:
    """Accept a snapshot, and return its shards."""
    snapshots.accept(store, snapshot(store, shards, shape=SHAPE))
    return shards


def test_sound_growth_is_left_alone(store: Store) -> None:
    """Three nights later, with two corrections and a removed image."""
    first = accepted(store, grow(store, 1, 600))
    known = items(store, snapshot(store, first, shape=SHAPE)).to_pylist()
    edits = {known[0]["sha256"]: REMOVED, known[5]["sha256"]: (known[5]["label"] + 1) % 3}
    ref = snapshot(store, [*first, *grow(store, 2, 60), *grow(store, 3, 60)], edits, shape=SHAPE)
    found = compare(store, zoo(ref), ref)
    assert found.shifts == found.findings == ()
    assert [one.corruption for one in found.catches if not one.ok] == []


def test_a_new_camera_warns_or_ends_the_night(store: Store) -> None:
    """As the dataset's row says."""
    first = accepted(store, grow(store, 1, 600))
    ref = snapshot(store, [*first, *grow(store, 2, 120, by=30)], shape=SHAPE)
    warned, stopped = (compare(store, zoo(ref, drift=drift), ref).findings for drift in ("warn", "stop"))
    assert "mean of new images" in {one.rule for one in warned}
    assert not any(one.refuses for one in warned)
    assert any(one.refuses for one in stopped)


def test_permuted_labels_end_the_night(store: Store) -> None:
    """Corrections of a tenth of the labels; the remedy names the command that accepts them."""
    first = accepted(store, grow(store, 1, 600))
    known = items(store, snapshot(store, first, shape=SHAPE)).to_pylist()
    edits = {one["sha256"]: (one["label"] + 1) % 3 for one in known[::10]}
    ref = snapshot(store, [*first, *grow(store, 2, 60)], edits, shape=SHAPE)
    found = {one.rule: one for one in compare(store, zoo(ref), ref).findings}["labels changed"]
    assert found.refuses
    assert "60 of 600" in found.sentence
    assert "nightshift datasets accept zoo" in found.remedy


def test_a_sample_is_the_beginning_of_each_shard(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whole row groups are read, and no more than needed."""
    monkeypatch.setattr(looks, "KNOWN", 40)
    first = grow(store, 1, 600)
    ref = snapshot(store, first, shape=SHAPE)
    table = statistics(store, ref)
    known, _, _ = sampled(night(table, table, (), ()), 1000)
    starts = np.cumsum([0, *(shard.rows for shard in first)])
    for start, end in pairwise(starts):
        inside = known[(known >= start) & (known < end)]
        assert list(inside) == list(range(start, start + len(inside)))
    assert len(known) == 40
