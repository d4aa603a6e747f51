"""A dataset that grows is prepared without writing an image again, and read like any other."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.dataset import RawData, RawRef
from data.errors import Corrupt, UnknownName
from data.home.store import Store
from data.prepared.parquet import (
    PreparedRef,
    chunks,
    describe,
    geometry,
    read_hashes,
    read_labels,
    read_split,
    restore,
    write_splits,
)
from data.prepared.split_images import SplitImages, slices
from data.shards import parquet_file
from data.shards.parquet_file import image_hashes
from data.snapshots.items import items
from data.snapshots.snapshot import REMOVED, SnapshotRef
from tests.data.growing import accepted, night, pictures, prepare, row, snapshot

CHECKOUT = Path(__file__).parents[3]
SIDES = ("train", "validation", "test")
SHAPES = [(5, 4), (6, 6, 3)]


@pytest.fixture(scope="module", params=SHAPES, ids=["grey", "colour"])
def grown(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, SnapshotRef, PreparedRef, dict[bytes, np.ndarray]]:
    """A home with a snapshot of three nights, labels corrected and images removed. Not to be written to.

    Also given: all images that were ever added, by their hashes.
    """
    shape = request.param
    store = Store(tmp_path_factory.mktemp("grown") / "home")
    shards = [
        *night(store, 1, {"train": 90, "validation": 8, "test": 20}, shape),
        *night(store, 2, {"train": 1}, shape),
    ]
    shards += night(store, 3, {"train": 12, "validation": 1, "test": 3}, shape)
    of_item = items(store, snapshot(store, shards, shape=shape)).to_pylist()
    corrections = {of_item[at]["sha256"]: (of_item[at]["label"] + 1) % 3 for at in (3, 100, 118)}
    corrections |= dict.fromkeys([of_item[at]["sha256"] for at in (0, 40, 89, 98, 117, 122)], REMOVED)
    sizes = {1: (90, 8, 20), 2: (1,), 3: (12, 1, 3)}
    every = [pictures(n, 100 * number + place, shape) for number, ns in sizes.items() for place, n in enumerate(ns)]
    known = {
        content.tobytes(): image
        for images in every
        for content, image in zip(image_hashes(images), images, strict=True)
    }
    ref = snapshot(store, shards, corrections, lineage="f" * 64, shape=shape)
    return store, ref, prepare(store, ref, shape), known


def expected(store: Store, ref: SnapshotRef, side: str) -> list[dict]:
    """The items of a side, in order."""
    return [item for item in items(store, ref).to_pylist() if item["split"] == side]


@pytest.mark.parametrize("side", SIDES)
def test_a_split_is_read_from_its_shards(grown: tuple, side: str) -> None:
    """Night after night, without what was removed, under today's labels, numbered from 0."""
    store, ref, prepared, known = grown
    wanted, found = expected(store, ref, side), read_split(store, prepared, side)
    assert found.labels.tolist() == [item["label"] for item in wanted] == read_labels(store, prepared, side).tolist()
    assert [one.tobytes() for one in found.hashes] == [item["sha256"] for item in wanted]
    assert found.rows.tolist() == list(range(len(wanted)))
    pixels = np.stack([known[item["sha256"]] for item in wanted])
    assert (found.images == pixels / np.float32(255)).all()
    assert (np.asarray(SplitImages(store, prepared, side)) == pixels).all()
    assert (read_hashes(store, prepared, side) == found.hashes).all()


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_chunks_cross_the_borders_of_shards(grown: tuple, rows: int) -> None:
    """Each chunk but the last is full, whatever a night added."""
    store, _, prepared, _ = grown
    whole, parts = read_split(store, prepared, "train"), list(chunks(store, prepared, "train", rows))
    assert {len(part.labels) for part in parts[:-1]} <= {rows}
    for field in ("images", "labels", "rows", "hashes"):
        assert (np.concatenate([getattr(part, field) for part in parts]) == getattr(whole, field)).all()


def test_row_groups_without_images_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removed images leave whole row groups and whole shards empty."""
    monkeypatch.setattr(parquet_file, "ROW_GROUP", 8)
    store = Store(tmp_path)
    shards = [*night(store, 1, {"train": 40}), *night(store, 2, {"train": 3}), *night(store, 3, {"train": 20})]
    listed = items(store, snapshot(store, shards)).to_pylist()
    gone = dict.fromkeys([listed[at]["sha256"] for at in [*range(6), *range(8, 24), *range(37, 45)]], REMOVED)
    prepared = prepare(store, snapshot(store, shards, gone))
    wanted = [item["sha256"] for item in listed if item["sha256"] not in gone]
    assert [one.tobytes() for one in read_split(store, prepared, "train").hashes] == wanted
    images = SplitImages(store, prepared, "train")
    assert [one.tobytes() for one in image_hashes(images[:])] == wanted
    assert (images[np.array([30, 0, 17])] == images[:][[30, 0, 17]]).all()
    assert list(slices(images)) == [slice(0, len(wanted))]


def test_the_description_names_snapshot_and_lineage(grown: tuple) -> None:
    """All that is known of another dataset is known of one that grows."""
    store, ref, prepared, _ = grown
    described = describe(store, prepared)
    assert (described["snapshot"], described["raw"], described["lineage"]) == (ref.digest, ref.digest, "f" * 64)
    assert geometry(described).shape == SplitImages(store, prepared, "test").shape[1:]
    for side in SIDES:
        split = described["splits"][side]
        labels = [item["label"] for item in expected(store, ref, side)]
        assert (split["rows"], split["class_counts"]) == (len(labels), np.bincount(labels, minlength=3).tolist())
    first = snapshot(store, night(store, 1, {"test": 20}, geometry(described).shape), shape=geometry(described).shape)
    assert describe(store, prepare(store, first, geometry(described).shape))["lineage"] == first.digest


def test_the_digest_of_a_split_follows_its_content_not_its_storage(grown: tuple, tmp_path: Path) -> None:
    """The same images, labels and order give the same digest, in Parquet files of their own or in shards."""
    store, _, prepared, _ = grown
    test = read_split(store, prepared, "test")
    images = np.asarray(SplitImages(store, prepared, "test"))
    described = write_splits(
        tmp_path,
        row(SnapshotRef("zoo", "a" * 64), images.shape[1:]),
        RawData(images, test.labels, images, test.labels),
        "",
    )
    assert described["splits"]["test"] == describe(store, prepared)["splits"]["test"]


def test_a_test_set_only_gets_longer(tmp_path: Path) -> None:
    """Tonight's test images come after those of the nights before, which keep their places."""
    store = Store(tmp_path)
    shards = night(store, 1, {"train": 20, "test": 10})
    before = read_hashes(store, prepare(store, snapshot(store, shards)), "test")
    after = read_hashes(store, prepare(store, snapshot(store, [*shards, *night(store, 2, {"test": 5})])), "test")
    assert (after[:10] == before).all()
    assert len(after) == 15


def test_a_prepared_folder_can_be_made_again_from_the_snapshot(tmp_path: Path) -> None:
    """A night can be replayed when prepared/ is gone: the same address, the same manifest."""
    store = Store(tmp_path)
    ref = snapshot(store, night(store, 1, {"train": 20, "validation": 3, "test": 10}))
    prepared = prepare(store, ref)
    before = describe(store, prepared)
    shutil.rmtree(store.prepared(prepared.digest))
    assert prepare(store, ref) == prepared
    assert describe(store, prepared) == before


def test_a_night_of_the_past_is_restored_from_its_snapshot(tmp_path: Path) -> None:
    """With tonight's row, which has other classes; without the snapshot or its validation nothing can be."""
    store = Store(tmp_path)
    shards = night(store, 1, {"train": 20, "validation": 3, "test": 10})
    ref = snapshot(store, shards)
    prepared, raw = prepare(store, ref), RawRef("zoo", ref.digest)
    accepted(store, snapshot(store, [*shards, *night(store, 2, {"train": 3})]))
    before = describe(store, prepared)
    shutil.rmtree(store.root / "prepared")
    tonight = row(ref, names=("cat", "dog", "owl", "fox"))
    assert restore(store, tonight, raw, "a" * 64) is None
    assert restore(store, tonight, raw, prepared.digest) == prepared
    assert describe(store, prepared) == before
    shutil.rmtree(store.root / "prepared")
    shutil.rmtree(store.validation(before["validation"]))
    assert restore(store, tonight, raw, prepared.digest) is None
    shutil.rmtree(store.snapshot(ref.digest))
    assert restore(store, tonight, raw, prepared.digest) is None


def test_no_image_is_written_again(grown: tuple) -> None:
    """The folder holds the verdict on the data, and no copy of anything else."""
    store, _, prepared, _ = grown
    assert set(store.files(store.prepared(prepared.digest))) == {"validation/validation.md"}


def test_damage_is_found_before_anything_is_read(grown: tuple, tmp_path: Path) -> None:
    """In a shard, and in the snapshot; page checksums stay a second line."""
    shutil.copytree(grown[0].root, tmp_path / "home")
    store, ref, prepared = Store(tmp_path / "home"), *grown[1:3]
    shard = store.shard(next(path.name for path in (store.root / "shards").iterdir()))
    side = store.meta(shard)["split"]
    _flip(shard / "images.parquet", 300)
    for read in (read_split, SplitImages, lambda *given: next(chunks(*given, 10))):
        with pytest.raises(Corrupt, match=r"images\.parquet has changed"):
            read(store, prepared, side)
    with pytest.raises(Corrupt, match="backup"):
        read_split(store, prepared, side, verify=False)
    _flip(store.snapshot(ref.digest) / "corrections.parquet", 100)
    with pytest.raises(Corrupt, match=r"corrections\.parquet has changed"):
        read_split(store, prepared, "train")
    with pytest.raises(UnknownName, match="split"):
        read_split(store, prepared, "trains")


def test_reading_shards_does_not_load_pandas(grown: tuple) -> None:
    """Importing it would take longer than reading."""
    store, _, prepared, _ = grown
    code = (
        "import sys; from pathlib import Path; from data.home.store import Store; from data.prepared import parquet\n"
        f"store, ref = Store(Path({str(store.root)!r})), parquet.PreparedRef('zoo', {prepared.digest!r})\n"
        "parquet.read_split(store, ref, 'train')\n"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, timeout=60, check=False).returncode == 0


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
