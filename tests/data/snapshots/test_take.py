"""A snapshot of a source: what is new is read, what is known is not, and nothing moves."""

import contextlib
import dataclasses
import itertools
import os
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from data.errors import BadFile, BadInput, DataRefused
from data.growth import Growth
from data.home.store import Store
from data.importing.importer import test_mask as chosen_for_test
from data.shards import shard
from data.snapshots import index as index_module
from data.snapshots import nights, snapshot
from data.snapshots.settle import sides_of
from tests.data.importing.made import images, png
from tests.data.snapshots.sources import SHAPE, Source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Sixty images of two classes."""
    made = Source(tmp_path)
    made.fill(60)
    return made


# -- what is read -----------------------------------------------------------------------------------------------------


def test_what_is_known_is_not_read_again(source: Source) -> None:
    """The first night decodes all, the next one nothing, a third one what is new; the digest follows the content."""
    first = source.take()
    assert (first.decoded, first.night.images, first.night.n_added) == (60, 60, 60)
    assert first.class_names == ("a", "b")
    again = source.take()
    assert (again.decoded, again.ref, again.night.changed) == (0, first.ref, 0)
    source.fill(5, seed=9, start=100)
    grown = source.take()
    assert (grown.decoded, grown.night.n_added, grown.night.images) == (5, 5, 65)
    assert grown.ref != first.ref
    assert grown.night.added == tuple(f"{'ab'[i % 2]}/{i:04}.png" for i in (100, 102, 104, 101, 103))
    assert (grown.n_train, grown.n_test) == (grown.night.train + grown.night.validation, grown.night.test)
    old, new = source.content(first), source.content(grown)
    assert old.items() <= new.items()
    assert len(new) == 65


def test_without_the_index_the_snapshot_is_the_same(source: Source) -> None:
    """Lost, damaged, of another way to read, or left aside by --reread: everything is read, nothing is different."""
    first = source.take()
    source.forget()
    assert (source.take().decoded, source.row.snapshot) == (60, first.ref.digest)
    source.store.growing("grown", "index.parquet").write_bytes(b"PAR1 no")
    assert (source.take().decoded, source.row.snapshot) == (60, first.ref.digest)
    assert (source.take(reread=True).decoded, source.row.snapshot) == (60, first.ref.digest)
    source.options = dataclasses.replace(source.options, first_label=1)
    assert (source.take().decoded, source.row.snapshot) == (60, first.ref.digest)
    assert (source.take().decoded, source.row.snapshot) == (0, first.ref.digest)


def test_what_looks_unchanged_is_found_by_reading_again(source: Source) -> None:
    """Another content of equal size and time: `reread` finds it; an earlier time is another time."""
    path = source.put("a/one.png", np.full(SHAPE, 7, np.uint8))
    source.take()
    other, clock = png(np.full(SHAPE, 8, np.uint8)), source.clock
    assert len(other) == path.stat().st_size
    source.put("a/one.png", other)
    source.clock = clock - 1_000_000_000
    source.settle(path)
    assert source.take().night.changed == 0
    assert source.take(reread=True).night.changed == 2
    source.put("a/one.png", np.full(SHAPE, 9, np.uint8))
    source.clock -= 10**18
    source.settle(path)
    assert source.take().night.changed == 2


def test_files_that_were_written_just_now_are_read_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a step of the clock a file can change without a trace, so it is not relied upon."""
    path = source.put("a/one.png", np.full(SHAPE, 7, np.uint8))
    now = path.stat().st_mtime_ns + 1_500_000_000
    for i, other in enumerate(sorted(source.folder.rglob("*.png"))):
        if other != path:
            os.utime(other, ns=(10**18 + i, 10**18 + i))
    monkeypatch.setattr("data.importing.places.local.time.time_ns", lambda: now)
    assert [source.take().decoded, source.take().decoded] == [61, 1]
    now += 1_000_000_000
    assert [source.take().decoded, source.take().decoded] == [1, 0]


def test_a_move_is_no_change_of_the_item(source: Source) -> None:
    """Under another name an image is the same; in another class folder it is relabelled."""
    first = source.take()
    source.settle((source.folder / "a/0000.png").rename(source.folder / "a/moved.png"))
    moved = source.take()
    assert (moved.decoded, moved.ref, moved.night.changed) == (1, first.ref, 0)
    source.settle((source.folder / "a/moved.png").rename(source.folder / "b/moved.png"))
    relabelled = source.take()
    assert relabelled.night.relabelled == (("b/moved.png", "a", "b"),)
    assert (relabelled.night.n_relabelled, relabelled.night.n_added, relabelled.night.n_removed) == (1, 0, 0)
    source.settle((source.folder / "b/moved.png").rename(source.folder / "a/0000.png"))
    assert source.take().ref == first.ref


def test_what_is_gone_is_removed_and_comes_back(source: Source) -> None:
    """Named by where it was first seen; what comes back is on the side where it was, and no pixel is stored twice."""
    first = source.take()
    sides = source.content(first)
    shutil.move(source.folder / "a/0002.png", source.folder.parent / "kept.png")
    gone = source.take()
    assert gone.night.removed == ("a/0002.png",)
    assert len(source.content(gone)) == 59
    source.settle(Path(shutil.move(source.folder.parent / "kept.png", source.folder / "a/again.png")))
    back = source.take()
    assert back.night.added == ("a/again.png",)
    assert back.ref == first.ref
    assert source.content(back) == sides


def test_copies_of_one_label_are_one_item(source: Source) -> None:
    """And they are counted; the item stays until the last of them is gone."""
    source.put("a/copy.png", (source.folder / "a/0000.png").read_bytes())
    first = source.take()
    assert (first.night.images, first.night.n_duplicates) == (60, 1)
    (source.folder / "a/0000.png").unlink()
    assert source.take().ref == first.ref


def test_a_file_that_becomes_a_folder(source: Source) -> None:
    """Its image is gone, and what lies in the folder belongs to the class above it."""
    source.take()
    (source.folder / "a/0000.png").unlink()
    source.put("a/0000.png/inside.png", np.full(SHAPE, 5, np.uint8))
    night = source.take().night
    assert (night.removed, night.added) == (("a/0000.png",), ("a/0000.png/inside.png",))


# -- where items are --------------------------------------------------------------------------------------------------


def test_the_side_follows_from_the_content(source: Source) -> None:
    """About the wanted shares of many images, whoever else is there; test images are those of an import."""
    hashes = np.random.default_rng(0).integers(0, 256, (60_000, 32), np.uint8)
    sides = sides_of(hashes, None, 0.2)
    counts = np.bincount(sides, minlength=3) / len(sides)
    assert counts == pytest.approx([0.8 * 11 / 12, 0.8 / 12, 0.2], abs=0.005)
    assert (sides[::2] == sides_of(hashes[::2], None, 0.2)).all()
    first = hashes[:, :8].copy().view(">u8").reshape(-1).astype(np.uint64)
    assert ((sides == 2) == chosen_for_test([0] * len(hashes), first, 0.2)).all()


def test_a_test_split_of_the_source_is_kept(tmp_path: Path) -> None:
    """Images in its folder are test images; one on both sides is a test image, once and for all, and is counted."""
    source = Source(tmp_path)
    for i, image in enumerate(images(60, shape=SHAPE)):
        source.put(f"{'test' if i >= 50 else 'train'}/{'ab'[i % 2]}/{i}.png", image)
    source.put("train/a/both.png", (source.folder / "test/a/50.png").read_bytes())
    first = source.take()
    assert (first.night.test, first.night.n_both_sides) == (10, 1)
    assert first.night.both_sides == ("test/a/50.png",)
    (source.folder / "test/a/50.png").unlink()  # now it is a training image only, but models were tested on it
    shutil.move(source.folder / "train/a/0.png", source.folder / "test/a/0.png")
    second = source.take()
    assert (second.ref, second.night.n_both_sides) == (first.ref, 2)


def test_validation_images_of_a_source_without_test_images_are_its_test_images(tmp_path: Path) -> None:
    """As an import has it."""
    source = Source(tmp_path)
    for i, image in enumerate(images(60, shape=SHAPE)):
        source.put(f"{'val' if i >= 50 else 'train'}/{'ab'[i % 2]}/{i}.png", image)
    assert source.take().n_test == 10


def test_test_images_from_elsewhere(tmp_path: Path) -> None:
    """`--test` names them; files of both places may have one name."""
    source = Source(tmp_path, test=str(tmp_path / "other"))
    source.fill(40)
    other = Source(tmp_path)
    other.folder = tmp_path / "other"
    other.fill(10, seed=5)
    first = source.take()
    assert (first.n_train, first.n_test) == (40, 10)
    assert (source.take().decoded, source.row.snapshot) == (0, first.ref.digest)
    other.fill(2, seed=6, start=50)
    assert (source.take().decoded, source.take().n_test) == (2, 12)


def test_a_side_without_images_is_refused(tmp_path: Path) -> None:
    """Three images cannot be trained on, validated and tested."""
    source = Source(tmp_path)
    source.fill(3)
    with pytest.raises(BadInput, match="expected images for train, validation and test, got"):
        source.take()


# -- classes ----------------------------------------------------------------------------------------------------------


def test_a_new_class_is_appended(source: Source) -> None:
    """Whatever its name: no label of an old class changes."""
    first = source.take()
    source.fill(4, "A", seed=3, start=200)
    second = source.take()
    assert second.class_names == ("a", "b", "A")
    assert second.night.new_classes == ("A",)
    assert source.content(first).items() <= source.content(second).items()
    shutil.rmtree(source.folder / "A")
    third = source.take()
    assert third.class_names == ("a", "b", "A")
    assert source.content(third) == source.content(first)


def test_a_dataset_that_begins_to_grow_keeps_its_classes(source: Source) -> None:
    """In their order, also those without images."""
    source.row = dataclasses.replace(source.row, class_names=("none", "b"))
    assert source.take().class_names == ("none", "b", "a")


def test_a_new_class_is_left_out_where_the_classes_are_given(tmp_path: Path) -> None:
    """With the way to change that."""
    source = Source(tmp_path, classes=("b", "a"))
    source.fill(60)
    first = source.take()
    assert first.class_names == ("b", "a")
    source.put("c/new.png", np.full(SHAPE, 3, np.uint8))
    second = source.take()
    assert second.ref == first.ref
    assert second.night.quarantined == (("c/new.png", "no class is called c, and --classes names them all"),)


# -- what cannot be used ----------------------------------------------------------------------------------------------


def test_damaged_files_are_left_out_and_come_back(source: Source) -> None:
    """Named with the reason, every night anew without being read again; the repaired file is read."""
    source.put("a/bad.png", png(images(1, seed=8, shape=SHAPE)[0])[:-20])
    first = source.take()
    assert first.night.images == 60
    assert first.night.quarantined == (("a/bad.png", "expected a complete PNG, got one that is cut short"),)
    source.put("b/more.png", np.full(SHAPE, 3, np.uint8))
    second = source.take()
    assert (second.decoded, second.night.quarantined) == (1, first.night.quarantined)
    assert source.take().night.quarantined == first.night.quarantined
    source.put("a/bad.png", images(1, seed=8, shape=SHAPE)[0])
    assert (source.take().night.added, source.take().night.n_quarantined) == (("a/bad.png",), 0)


def test_a_known_image_that_breaks_is_removed(source: Source) -> None:
    """It cannot be used tonight; repaired, it is the old item again."""
    first = source.take()
    content = (source.folder / "a/0000.png").read_bytes()
    source.put("a/0000.png", content[:20])
    broken = source.take()
    assert (broken.night.n_removed, broken.night.n_quarantined) == (1, 1)
    source.put("a/0000.png", content)
    assert source.take().ref == first.ref


def test_a_file_that_is_being_written_is_tried_again(source: Source) -> None:
    """Cut short and changed a moment ago: left out tonight, read again next night even if nothing shows a change."""
    source.put("a/young.png", b"").write_bytes(png(images(1, seed=8, shape=SHAPE)[0])[:30])
    first = source.take()
    assert [problem.endswith("is it being written?") for _, problem in first.night.quarantined] == [True]
    assert source.take().decoded == 1


def test_a_file_that_changes_while_it_is_read_is_left_out(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read may be a mixture of both contents."""
    from data.importing import decoding

    real, path = decoding.read_file, source.folder / "a/0000.png"

    def read_file(name: str) -> bytes:
        content = real(name)
        if name == str(path):
            path.write_bytes(png(np.full((9, 9), 3, np.uint8)))
        return content

    first_content = path.read_bytes()
    monkeypatch.setattr("data.importing.places.local.read_file", read_file)
    night = source.take().night
    assert night.quarantined == (("a/0000.png", "it was changed or removed while it was read"),)
    monkeypatch.undo()
    source.put("a/0000.png", first_content)
    assert source.take().night.added == ("a/0000.png",)


def test_an_image_with_two_labels_is_left_out_under_both(source: Source) -> None:
    """Nobody knows which is right; when one of the files is gone, it is back with the label of the other."""
    first = source.take()
    copy = source.put("b/copy.png", (source.folder / "a/0000.png").read_bytes())
    second = source.take()
    assert second.night.quarantined == (
        ("a/0000.png", "b/copy.png has the same pixels and the label b"),
        ("b/copy.png", "a/0000.png has the same pixels and the label a"),
    )
    assert second.night.removed == ("a/0000.png",)
    copy.unlink()
    assert source.take().ref == first.ref
    pixels = np.full(SHAPE, 3, np.uint8)  # the same with an image that was never stored
    for name in ("a/x.png", "b/x.png"):
        source.put(name, pixels)
    assert (source.take().ref, source.take().night.n_quarantined) == (first.ref, 2)
    (source.folder / "a/x.png").unlink()
    assert source.take().night.added == ("b/x.png",)


def test_too_much_that_cannot_be_used_refuses_the_night(source: Source) -> None:
    """With counts, the first five and a way out that works; nothing is published or noted."""
    first = source.take()
    for i in range(6):
        source.put(f"a/bad{i}.png", b"not an image")
    before = sorted(source.store.root.rglob("*"))
    with pytest.raises(DataRefused, match="6 of 66 images of grown cannot be used, expected at most 3:") as error:
        source.take()
    assert str(error.value).count("\n    a/bad") == 5
    assert "and 1 more" in str(error.value)
    assert "nightshift datasets update grown --quarantine-least 6" in error.value.hint
    assert sorted(source.store.root.rglob("*")) == before
    source.row = dataclasses.replace(source.row, growth=Growth(quarantine_least=6))
    taken = source.take()
    assert (taken.ref, taken.night.n_quarantined) == (first.ref, 6)
    source.row = dataclasses.replace(source.row, growth=Growth())
    with pytest.raises(DataRefused, match="6 of 66"):  # also when nothing has to be read
        source.take()


def test_a_source_that_is_not_there_is_refused(source: Source) -> None:
    """Not mounted, or emptied, or without images: never an empty snapshot, and never another folder of a like name."""
    source.take()
    source.folder.rename(source.folder.with_name("source-old"))
    with pytest.raises(DataRefused, match="is not there"):
        source.take()
    source.folder.mkdir()
    with pytest.raises(DataRefused, match="holds no files"):
        source.take()
    (source.folder / "readme.txt").write_text("moved")
    with pytest.raises(BadFile, match="looks like nothing that can be read"):
        source.take()
    for i in range(2):
        source.put(f"{'ab'[i]}/bad.png", b"not an image")
    with pytest.raises(DataRefused, match="holds no images that can be used"):
        source.take()
    assert len(nights.nights(source.store, "grown")) == 1


def test_a_folder_that_cannot_be_listed_is_refused(source: Source) -> None:
    """Without its images the others would look complete."""
    source.take()
    here = os.open(source.folder, os.O_RDONLY)
    try:
        for _ in range(25):  # deeper than a path can be long
            os.mkdir("x" * 200, dir_fd=here)
            below = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    with pytest.raises(BadFile, match=r"cannot be read: File name too long"):
        source.take()
    shutil.rmtree(source.folder / ("x" * 200))


@pytest.mark.fault("F-07")
def test_hostile_names(source: Source) -> None:
    """Line breaks, bytes that are no text, the longest names, dots: each is an image, and is named legibly."""
    source.take()
    names = [b"a/li\nne.png", b"a/\xff\xfe.png", b"a/" + b"l" * 251 + b".png", b"b/a...png", b"b/\xe2\x80\xae.png"]
    for i, name in enumerate(names):
        source.put(name.decode(errors="surrogateescape"), np.full(SHAPE, i + 1, np.uint8))
    source.put("caf\udce9/x.png", np.full(SHAPE, 99, np.uint8))
    night = source.take().night
    assert set(night.added) == {
        r"a/li\nne.png",
        r"a/\xff\xfe.png",
        f"a/{'l' * 251}.png",
        "b/a...png",
        r"b/\u202e.png",
        r"caf\xe9/x.png",
    }
    assert night.new_classes == (r"caf\xe9",)
    assert source.take().decoded == 0


def test_links_and_copies_of_folders(source: Source, tmp_path: Path) -> None:
    """A link to an image is another place of the same item; one that leads back is followed no further."""
    (source.folder / "a/link.png").symlink_to(source.folder / "a/0000.png")
    (source.folder / "a/nowhere.png").symlink_to(tmp_path / "nowhere")
    (source.folder / "a/loop").symlink_to(source.folder)
    night = source.take().night
    assert (night.images, night.n_duplicates, night.n_quarantined) == (60, 1, 0)


# -- the list of nights, and interruptions ----------------------------------------------------------------------------


def test_every_night_is_listed(source: Source) -> None:
    """Also one that finds nothing new; broken lines are passed over."""
    first, second = source.take(), source.take()
    assert nights.nights(source.store, "grown") == [first.night, second.night]
    assert [night.when for night in (first.night, second.night)] == [
        "2026-11-02T02:00:00+00:00",
        "2026-11-03T02:00:00+00:00",
    ]
    with source.store.growing("grown", "nights.jsonl").open("ab") as stream:
        stream.write(b'{"when": "20')
    assert nights.nights(source.store, "grown") == [first.night, second.night]


def test_names_in_the_list_are_limited(source: Source) -> None:
    """Sixty were added, fifty are named."""
    night = source.take().night
    assert (night.n_added, len(night.added)) == (60, 50)


class Stop(BaseException):
    """What ends a take at some point; nothing catches it."""


class Watch:
    """Stops whoever makes the n-th change to the file system below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.left = str(folder), -1
        sys.addaudithook(self)

    def __call__(self, event: str, given: tuple[object, ...]) -> None:
        """Hear of an event of the interpreter: see `sys.addaudithook`."""
        flags = given[2] if event == "open" else 0
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if self.left < 0 or not (writes or event in ("os.rename", "os.mkdir", "os.remove", "os.truncate")):
            return
        if str(given[0]).startswith(self.folder):
            self.left -= 1
            if self.left < 0:
                raise Stop


@pytest.mark.fault("F-11")
@pytest.mark.slow
def test_a_take_that_is_stopped_anywhere_is_repeated(tmp_path: Path) -> None:
    """Before any change to the home, the next take gives the same snapshot, and lists the night once."""
    source = Source(tmp_path)
    source.fill(50)
    source.take()
    source.fill(6, seed=4, start=300)
    start, home, row = tmp_path / "start", source.store.root, source.row
    shutil.copytree(home, start)
    expected, watch = source.take(), Watch(home)
    for n in itertools.count():
        shutil.rmtree(home)
        shutil.copytree(start, home)
        source.row, watch.left = row, n
        with contextlib.suppress(Stop):
            source.take()
        finished, watch.left = watch.left >= 0, -1
        source.row = row
        taken = source.take()
        assert (taken.ref, taken.night.n_added) == (expected.ref, 6)
        assert [night.n_added for night in nights.nights(source.store, "grown")] == [50, 6]
        if finished:
            break
    assert n > 10


def test_a_night_that_did_not_keep_its_snapshot_takes_it_again(source: Source) -> None:
    """All was written but the row: the next take begins where the row stands, and lists the night once."""
    source.take()
    row = source.row
    source.fill(6, seed=4, start=300)
    first = source.take()
    source.row = row
    second = source.take()
    assert (second.ref, second.decoded, second.night.n_added) == (first.ref, 6, 6)
    assert [night.n_added for night in nights.nights(source.store, "grown")] == [60, 6]


def test_one_take_at_a_time(source: Source) -> None:
    """Two at once give the same snapshot, one after the other."""
    row, options, when = source.row, source.options, source.night
    from data.snapshots.take import take

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(take(source.store, row, options, now=when))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0].ref == found[1].ref
    assert len(nights.nights(source.store, "grown")) == 1


def test_new_images_are_cut_into_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of their hashes, so that a large import has shards of bounded size, and no class comes alone."""
    monkeypatch.setattr("data.shards.spool.MOST", 16)
    source = Source(tmp_path)
    source.fill(60)
    taken = source.take()
    shards = snapshot.read(source.store, taken.ref).shards
    assert max(one.rows for one in shards) == 16
    sides = [one.split for one in shards]
    assert sides == sorted(sides, key=("train", "validation", "test").index)
    hashes = [
        value
        for one in shards
        if one.split == "train"
        for value in shard.read_rows(source.store, one)["sha256"].to_pylist()
    ]
    assert hashes == sorted(hashes)


def test_a_dataset_that_does_not_grow_is_refused(source: Source) -> None:
    """With the command that changes that."""
    source.row = dataclasses.replace(source.row, growth=None)
    with pytest.raises(BadInput, match="does not grow"):
        source.take()


def test_an_index_of_another_format_is_forgotten(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a home outlives the code that wrote it."""
    source.take()
    monkeypatch.setattr(index_module, "FORMAT", 99)
    assert source.take().decoded == 60


def test_scratch_files_are_removed(source: Source) -> None:
    """Also those with the pixels of new images."""
    source.take()
    assert list(Store(source.store.root).tmp().iterdir()) == []
