"""What changed between two nights is told image by image."""

from pathlib import Path

import pytest

from data.home.store import Store
from data.shards import shard as shards_module
from data.snapshots import items as items_module
from data.snapshots.changes import Changes, changes
from data.snapshots.items import items
from data.snapshots.snapshot import REMOVED
from tests.data.growing import CLASSES, night, snapshot


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty home."""
    return Store(tmp_path / "home")


def test_the_first_snapshot_adds_everything(store: Store) -> None:
    """Its images and classes are all new."""
    ref = snapshot(store, night(store, 1, {"train": 6, "test": 3}))
    found = changes(store, None, ref)
    assert found.total == 9
    assert found.new_classes == CLASSES
    assert found.counts()["added"] == {"test": dict.fromkeys(CLASSES, 1), "train": dict.fromkeys(CLASSES, 2)}
    assert sorted(found.added["path"].to_pylist()) == sorted(items(store, ref)["path"].to_pylist())


def test_growth_corrections_and_removals_are_told(store: Store) -> None:
    """Each with its path and the names of its classes, old and new."""
    shards = night(store, 1, {"train": 6, "test": 3})
    old = snapshot(store, shards)
    one, two, three = (items(store, old).to_pylist()[at] for at in (0, 7, 8))
    changed = {one["sha256"]: (one["label"] + 1) % 3, two["sha256"]: 3, three["sha256"]: REMOVED}
    more = night(store, 2, {"train": 4})
    new = snapshot(store, [*shards, *more], changed, names=(*CLASSES, "fox"))
    found = changes(store, old, new)
    assert sizes(found) == {"relabelled": 2, "removed": 1, "added": 4}
    assert found.relabelled.to_pylist() == [
        {**_shown(one), "old": CLASSES[one["label"]], "new": CLASSES[(one["label"] + 1) % 3]},
        {**_shown(two), "old": CLASSES[two["label"]], "new": "fox"},
    ]
    assert found.removed.to_pylist() == [{**_shown(three), "old": CLASSES[three["label"]]}]
    assert found.added["new"].to_pylist() == [CLASSES[row["label"]] for row in items(store, new).to_pylist()[-4:]]
    assert found.counts()["removed"] == {"test": {CLASSES[three["label"]]: 1}}
    assert found.new_classes == ("fox",)
    back = changes(store, new, old)
    assert sizes(back) == {"relabelled": 2, "removed": 4, "added": 1}


def test_a_label_that_changes_again_is_compared_with_the_night_before(store: Store) -> None:
    """Not with the label when the image was first seen."""
    shards = night(store, 1, {"train": 3})
    one = items(store, snapshot(store, shards)).to_pylist()[0]
    then, now = (snapshot(store, shards, {one["sha256"]: (one["label"] + step) % 3}) for step in (1, 2))
    (row,) = changes(store, then, now).relabelled.to_pylist()
    assert (row["old"], row["new"]) == (CLASSES[(one["label"] + 1) % 3], CLASSES[(one["label"] + 2) % 3])
    assert changes(store, then, then).total == 0


def test_classes_are_compared_by_name(store: Store) -> None:
    """Two snapshots that number their classes differently differ where the names do."""
    shards = night(store, 1, {"train": 6})
    old, new = snapshot(store, shards), snapshot(store, shards, names=("dog", "cat", "owl"))
    assert sizes(changes(store, old, new)) == {"relabelled": 4, "removed": 0, "added": 0}


def test_only_what_is_not_the_same_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of a million known images cost nothing."""
    shards = night(store, 1, {"train": 6, "test": 3})
    old, new = snapshot(store, shards), snapshot(store, [*shards, *night(store, 2, {"train": 4})])
    read = []

    def recording(store: Store, shard: shards_module.ShardRef, *given: object) -> object:
        read.append(shard.rows)
        return shards_module.first_rows(store, shard, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(items_module, "first_rows", recording)
    assert sizes(changes(store, old, new)) == {"relabelled": 0, "removed": 0, "added": 4}
    assert read == [4]


def _shown(item: dict) -> dict:
    return {name: item[name] for name in ("sha256", "path", "split")}


def sizes(found: Changes) -> dict[str, int]:
    """Return how many images changed in each way."""
    return {way: sum(sum(split.values()) for split in found.counts()[way].values()) for way in found.counts()}
