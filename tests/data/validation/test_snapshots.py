"""A snapshot is validated by what is new in it, and a bounded sample of what was known."""

from pathlib import Path

import numpy as np
import pytest

from data.dataset import Dataset, RawRef
from data.errors import Corrupt, DataRefused
from data.home.store import Store
from data.shards.parquet_file import image_hashes
from data.shards.shard import ShardRef, Side
from data.snapshots.items import items
from data.snapshots.snapshot import REMOVED, SnapshotRef
from data.statistics.summary import summarise
from data.validation import expectations, results, snapshots
from data.validation.snapshots import OWN_SPLIT, accept, accepted, material, trust, trusted
from tests.data.growing import put, row, snapshot
from tests.data.sound import DRAWS

SHAPE = (12, 12)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty home."""
    return Store(tmp_path / "home")


def grow(store: Store, night: int, n: int, *, own: bool = False) -> list[ShardRef]:
    """Publish n sound images of three classes, split by hash or as a source would."""
    rng = np.random.default_rng(night)
    labels = np.arange(n) % 3
    images = DRAWS["bars"](rng, labels)
    first = image_hashes(images)[:, 0]
    test = np.arange(n) % 5 == 0 if own else first < 50
    sides: dict[Side, np.ndarray] = {"train": ~test & (first < 240), "validation": ~test & (first >= 240), "test": test}
    return [put(store, side, images[mask], labels[mask], night) for side, mask in sides.items() if mask.any()]


def zoo(ref: SnapshotRef) -> Dataset:
    """The row of that night."""
    return row(ref, SHAPE)


def take(store: Store, shards: list[ShardRef], corrections: dict[bytes, int] | None = None) -> SnapshotRef:
    """Publish a snapshot."""
    return snapshot(store, shards, corrections, shape=SHAPE)


def test_without_an_accepted_snapshot_everything_is_new(store: Store) -> None:
    """All images are in the table, with the statistics that their pixels have; the row counts them."""
    ref = take(store, [*grow(store, 1, 300), *grow(store, 2, 50)])
    found = material(store, zoo(ref), ref)
    sampled, raw, table = found.sample
    assert (found.row.n_train + found.row.n_test, len(found.table)) == (350, 350)
    assert sampled == found.row
    assert table.equals(found.table)
    assert summarise(raw).equals(table)
    assert found.notes == ()


def test_known_images_are_a_bounded_sample(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted is sampled, what is new is looked at whole, and what was corrected, too."""
    monkeypatch.setattr(snapshots, "KNOWN", 60)
    shards = grow(store, 1, 300)
    accept(store, take(store, shards))
    known = items(store, take(store, shards)).to_pylist()
    gone, changed = known[0], known[150]
    new = grow(store, 2, 40)
    ref = take(store, [*shards, *new], {gone["sha256"]: REMOVED, changed["sha256"]: (changed["label"] + 1) % 3})
    found = material(store, zoo(ref), ref)
    hashes = dict(zip(*(found.table[name].to_pylist() for name in ("sha256", "label")), strict=True))
    assert hashes.keys() >= {one["sha256"] for one in items(store, take(store, new)).to_pylist()}
    assert gone["sha256"] not in hashes
    assert hashes[changed["sha256"]] == (changed["label"] + 1) % 3
    assert 100 <= len(hashes) <= 104
    assert len(hashes) == len(found.table) == found.row.n_train + found.row.n_test
    assert summarise(found.sample[1]).equals(found.sample[2])
    assert len(found.sample[2]) < len(found.table)
    assert found.sheet[0].title == "Zoo, new images"
    assert (found.sheet[0].n_train, found.sheet[0].n_test) == (
        sum(shard.rows for shard in new if shard.split != "test"),
        sum(shard.rows for shard in new if shard.split == "test"),
    )


def test_what_was_accepted_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """New shards are hashed; of the others, only the first rows are read."""
    shards = grow(store, 1, 300)
    accept(store, take(store, shards))
    new = grow(store, 2, 40)
    ref, hashed = take(store, [*shards, *new]), list[Path]()
    verify = Store.verify
    monkeypatch.setattr(Store, "verify", lambda self, folder: hashed.append(folder) or verify(self, folder))
    material(store, zoo(ref), ref)
    assert sorted(hashed) == sorted([store.snapshot(ref.digest), *(store.shard(one.digest) for one in new)])


def test_a_shard_that_changed_is_refused(store: Store) -> None:
    """Before anything is computed from it."""
    shards = grow(store, 1, 60)
    ref = take(store, shards)
    path = store.shard(shards[0].digest) / "images.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Corrupt, match="has changed"):
        material(store, zoo(ref), ref)


def test_a_lost_or_torn_record_of_what_was_accepted_means_all_is_new(store: Store) -> None:
    """It is a record of work that need not be done again, nothing else."""
    shards = grow(store, 1, 60)
    ref = take(store, shards)
    assert accepted(store, "zoo") is None
    accept(store, ref)
    assert accepted(store, "zoo") == ref
    path = store.growing("zoo", "accepted.json")
    path.write_bytes(path.read_bytes()[:9])
    assert accepted(store, "zoo") is None
    accept(store, SnapshotRef("zoo", "a" * 64))
    assert accepted(store, "zoo") is None
    assert len(material(store, zoo(ref), ref).table) == 60


def test_a_test_split_of_the_source_itself_is_not_compared_with_the_training_images(store: Store) -> None:
    """It may be another camera, or have all classes equally often; the note says what is done instead."""
    ref = take(store, grow(store, 1, 300, own=True))
    found = material(store, zoo(ref), ref)
    assert found.notes == (OWN_SPLIT,)
    assert found.row.reference is not None
    assert expectations.validate(found.row, found.table, raw=found.sample[1]).success


@pytest.mark.slow
def test_nights_are_accepted_and_damage_in_them_would_be_caught(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nights, each with its result, its picture and its self-test; the third time nothing is done again."""
    shards = grow(store, 1, 600)
    for night in (2, 3):
        ref = take(store, shards)
        found = expectations.check(store, zoo(ref), RawRef("zoo", ref.digest))
        result, catches = results.read(store, found.digest)
        assert result.success
        assert result.checks > 40
        assert all(catch.ok for catch in catches)
        assert sum(catch.caught for catch in catches) >= 10
        kept = store.files(store.validation(found.digest))
        assert kept.keys() == {"contact-sheet.png", "result.json", "validation.md"}
        assert accepted(store, "zoo") == ref
        shards += grow(store, night, 60)
    monkeypatch.setattr(snapshots, "material", lambda *_: pytest.fail("looked at again"))
    assert expectations.check(store, zoo(ref), RawRef("zoo", ref.digest)) == found


@pytest.mark.fault("F-30")
@pytest.mark.slow
def test_a_night_of_wrong_labels_is_refused_until_a_person_accepts_it(store: Store) -> None:
    """A fifth of the labels changed overnight: named with its remedy, and the night before stays the accepted one."""
    shards = grow(store, 1, 300)
    before = take(store, shards)
    accept(store, before)
    known = items(store, before).to_pylist()[:60]
    ref = take(store, shards, {one["sha256"]: (one["label"] + 1) % 3 for one in known})
    raw = RawRef("zoo", ref.digest)
    with pytest.raises(DataRefused, match="drift") as refused:
        expectations.check(store, zoo(ref), raw)
    assert "60" in str(refused.value)
    assert accepted(store, "zoo") == before
    trust(store, ref, "the old labels were wrong", "me", "2026-01-02")
    assert (trusted(store, ref), trusted(store, before)) == (True, False)
    assert expectations.check(store, zoo(ref), raw)
    assert accepted(store, "zoo") == ref


def test_the_result_is_kept_for_the_snapshot_not_for_the_row_of_the_night(store: Store) -> None:
    """Counts, origin and the policy of training are no part of what is expected; the classes are."""
    from dataclasses import replace

    from data.growth import Growth

    ref = take(store, grow(store, 1, 60))
    one = expectations._expected_row(zoo(ref))
    assert one == expectations._expected_row(replace(zoo(ref), n_train=7, snapshot="", growth=Growth(retrain_days=3)))
    assert one != expectations._expected_row(replace(zoo(ref), class_names=("cat", "dog", "owl", "fox")))
    assert one != expectations._expected_row(replace(zoo(ref), growth=Growth(drift="stop")))
