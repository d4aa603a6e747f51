"""A snapshot names the images of a night under an address that follows what they are."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from data.errors import BadInput, Corrupt
from data.home.store import Store
from data.shards.shard import read_rows
from data.snapshots.items import items, statistics
from data.snapshots.snapshot import REMOVED, Snapshot, SnapshotRef, corrections, lineage, publish, read
from data.statistics.summary import COLOUR, summarise_images
from tests.data.growing import night, pictures, put, snapshot

FIRST = {"train": 40, "validation": 6, "test": 9}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty home."""
    return Store(tmp_path / "home")


def hashes(store: Store, ref: SnapshotRef, split: str) -> list[bytes]:
    """The hashes of the images of a split."""
    return [row["sha256"] for row in items(store, ref).to_pylist() if row["split"] == split]


def test_a_snapshot_comes_back_as_it_was(store: Store) -> None:
    """Geometry, class names, shards in order, and where it grew from."""
    shards = night(store, 1, FIRST)
    first = snapshot(store, shards)
    second = snapshot(store, [*shards, *night(store, 2, {"train": 5})], lineage=first.digest)
    assert read(store, first) == Snapshot("zoo", (5, 4), ("cat", "dog", "owl"), shards)
    assert len(read(store, second).shards) == 4
    assert (lineage(store, first), lineage(store, second)) == (first.digest, first.digest)
    store.verify(store.snapshot(second.digest))


def test_nothing_changed_is_the_same_address(store: Store, tmp_path: Path) -> None:
    """Whenever the night was; a correction that changes nothing is none; each real change is another address."""
    shards = night(store, 1, FIRST)
    ref = snapshot(store, shards)
    one, *_ = read_rows(store, shards[0]).to_pylist()
    same = {one["sha256"]: one["label"]}
    assert snapshot(store, shards, same, lineage="f" * 64) == ref
    assert read(store, ref).lineage == ""
    others = [
        snapshot(store, shards, {one["sha256"]: (one["label"] + 1) % 3}),
        snapshot(store, shards, {one["sha256"]: REMOVED}),
        snapshot(store, shards[:2]),
        snapshot(store, shards, names=("cat", "dog", "owl", "fox")),
    ]
    assert len({ref.digest, *(other.digest for other in others)}) == 5
    assert len(corrections(store, ref)) == 0


def test_items_are_as_they_are_now(store: Store) -> None:
    """A corrected label shows, a removed image is gone; split, night, path and place stay."""
    shards = (*night(store, 1, FIRST), *night(store, 2, {"train": 7, "test": 2}))
    before = items(store, snapshot(store, shards)).to_pylist()
    gone, other = before[0], before[-1]
    ref = snapshot(store, shards, {gone["sha256"]: REMOVED, other["sha256"]: (other["label"] + 1) % 3})
    after = items(store, ref).to_pylist()
    assert after == [*before[1:-1], {**other, "label": (other["label"] + 1) % 3}]
    assert [row["split"] for row in before] == [shard.split for shard in shards for _ in range(shard.rows)]
    assert [row["first_seen"] for row in before] == [shard.first_seen for shard in shards for _ in range(shard.rows)]
    assert [row["path"] for row in before if row["shard"] == 3] == read_rows(store, shards[3])["path"].to_pylist()
    assert [row["row"] for row in before if row["shard"] == 4] == [0, 1]
    assert items(store, ref, ["row", "label"]).column_names == ["row", "label"]
    place = {name: corrections(store, ref)[name].to_pylist() for name in ("shard", "row", "label")}
    assert place == {"shard": [0, 4], "row": [0, 1], "label": [REMOVED, (other["label"] + 1) % 3]}


def test_a_removed_image_comes_back_where_it_was(store: Store) -> None:
    """Its split and its night are for ever; the snapshot is the one before the removal."""
    shards = night(store, 1, FIRST)
    ref = snapshot(store, shards)
    gone = items(store, ref).to_pylist()[41]
    without = snapshot(store, shards, {gone["sha256"]: REMOVED})
    assert len(items(store, without)) == sum(FIRST.values()) - 1
    assert snapshot(store, shards, {}, lineage=without.digest) == ref


@pytest.mark.parametrize("shape", [(5, 4), (6, 6, 3)], ids=["grey", "colour"])
def test_statistics_are_those_of_the_images(store: Store, shape: tuple[int, ...]) -> None:
    """The columns of a summary, training images first, labels as they are now, and where each image belongs."""
    images, labels = pictures(20, 7, shape), np.arange(20) % 3
    shards = [put(store, "test", images, labels, 1), put(store, "train", pictures(10, 8, shape), np.zeros(10), 1)]
    shards += [put(store, "validation", pictures(5, 9, shape), np.ones(5), 2)]
    changed = items(store, snapshot(store, shards, shape=shape)).to_pylist()[3]
    ref = snapshot(store, shards, {changed["sha256"]: (changed["label"] + 1) % 3}, shape=shape)
    table = statistics(store, ref)
    expected = summarise_images("test", images, labels)
    assert table.column_names == [*expected.column_names[:-1], "sha256", "side", "first_seen", "path"]
    assert ("red" in table.column_names) == (len(shape) == 3) == (set(COLOUR) <= set(table.column_names))
    assert table["split"].to_pylist() == ["train"] * 15 + ["test"] * 20
    assert table["side"].to_pylist() == ["train"] * 10 + ["validation"] * 5 + ["test"] * 20
    assert table["row"].to_pylist() == [*range(15), *range(20)]
    of_hash = {row["sha256"]: row for row in expected.to_pylist()}
    for row in table.to_pylist()[15:]:
        wanted = of_hash[row["sha256"]]
        moved = row["sha256"] == changed["sha256"]
        assert row["label"] == ((wanted["label"] + 1) % 3 if moved else wanted["label"])
        assert all(row[name] == wanted[name] for name in wanted if name not in ("row", "label"))


def test_a_snapshot_without_images_has_no_items(store: Store) -> None:
    """Nothing to read is no error: what an empty dataset means is decided elsewhere."""
    ref = snapshot(store, ())
    assert len(items(store, ref)) == len(statistics(store, ref)) == 0


def test_corrections_that_mean_nothing_are_refused(store: Store) -> None:
    """An image that is in no shard, and a label without a class."""
    shards = night(store, 1, FIRST)
    known = hashes(store, snapshot(store, shards), "test")[0]
    with pytest.raises(BadInput, match="1 images were given with corrections, 0 were found"):
        snapshot(store, shards, {b"x" * 32: 1})
    with pytest.raises(BadInput, match="labels from 0 to 2"):
        snapshot(store, shards, {known: 3})


def test_what_is_missing_or_damaged_is_corrupt(store: Store) -> None:
    """No traceback of Arrow, and what to do."""
    shards = night(store, 1, FIRST)
    ref = snapshot(store, shards)
    with pytest.raises(Corrupt, match="manifest"):
        read(store, SnapshotRef("zoo", "a" * 64))
    shutil.rmtree(store.shard(shards[1].digest))
    with pytest.raises(Corrupt, match="backup"):
        items(store, ref)
    (store.snapshot(ref.digest) / "shards.parquet").write_bytes(b"PAR1")
    with pytest.raises(Corrupt, match="backup"):
        read(store, ref)


def test_publishing_again_repairs_a_damaged_snapshot(store: Store) -> None:
    """The next night makes the same folder anew."""
    shards = night(store, 1, FIRST)
    ref = snapshot(store, shards)
    (store.snapshot(ref.digest) / "shards.parquet").write_bytes(b"")
    assert publish(store, Snapshot("zoo", (5, 4), ("cat", "dog", "owl"), shards), {}) == ref
    store.verify(store.snapshot(ref.digest))
