"""Folders of images, in the arrangements that people have."""

import json
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import BadFile, BadInput
from tests.data.importing.made import images, png, read, tar, write

PIXELS = images(12)
FILES = [png(image) for image in PIXELS]


def sorted_folder(folder: Path, pattern: str, *, extra: dict[str, bytes | str] | None = None) -> Path:
    """Twelve images: 0 to 7 for training, 8 to 11 for testing, cats and dogs by turns."""
    names = {
        pattern.format(split="train" if i < 8 else "test", label=("cat", "dog")[i % 2], i=i): content
        for i, content in enumerate(FILES)
    }
    return write(folder, {**names, **(extra or {})})


@pytest.mark.parametrize(
    "pattern",
    [
        "{split}/{label}/{i:02}.png",
        "{label}/{split}/{i:02}.png",
        "archive/my data/{split}/{label}/{i:02}.png",
        "{split}_set/{label}/deeper/{i:02}.PNG",
        "Images/{split}ing/{label}/{i:02}.png",
    ],
)
def test_splits_and_classes_are_folders(tmp_path: Path, pattern: str) -> None:
    """Below each other in either order, below folders that all share, deeper than necessary."""
    got = read(sorted_folder(tmp_path / "in", pattern), tmp_path / "out")
    assert got.classes == ("cat", "dog")
    assert np.array_equal(got.train_images, PIXELS[[0, 2, 4, 6, 1, 3, 5, 7]])
    assert got.train_labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert np.array_equal(got.test_images, PIXELS[[8, 10, 9, 11]])
    assert got.imported.geometry.shape == (6, 5)
    assert got.imported.geometry.ground == (0,)
    assert "read as a folder of images" in got.notes


def test_without_splits_a_share_is_set_apart_by_content(tmp_path: Path) -> None:
    """The same images whenever they are read, under whatever names; more images move none of them."""
    pixels = images(60, seed=1)
    few = {f"{'ab'[i % 2]}/{i}.png": png(image) for i, image in enumerate(pixels[:40])}
    more = {f"{'ab'[i % 2]}/other name {99 - i}.png": png(image) for i, image in enumerate(pixels)}
    first = read(write(tmp_path / "few", few), tmp_path / "out1", test_share=0.25)
    second = read(write(tmp_path / "more", more), tmp_path / "out2", test_share=0.25)
    tests = [{image.tobytes() for image in got.test_images} for got in (first, second)]
    assert 0 < len(tests[0]) < 20
    assert tests[0] <= tests[1]
    assert not tests[1] & {image.tobytes() for image in second.train_images}
    assert set(first.test_labels) == {0, 1}
    assert "of 40, about 25 % of each class, are set apart by their content" in first.notes


def test_validation_folders(tmp_path: Path) -> None:
    """Beside test images they are for training; without any, they are the test images."""
    both = {
        f"{split}/{'ab'[i % 2]}/{i}.png": FILES[i] for i, split in enumerate(["train"] * 4 + ["val"] * 4 + ["test"] * 4)
    }
    got = read(write(tmp_path / "both", both), tmp_path / "out")
    assert (len(got.train_images), len(got.test_images)) == (8, 4)
    assert "the 4 validation images join the training images" in got.notes
    none = {name.replace("test", "train"): content for name, content in both.items()}
    got = read(write(tmp_path / "none", none), tmp_path / "out2")
    assert (len(got.train_images), len(got.test_images)) == (8, 4)
    assert "the 4 validation images are the test images" in got.notes


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    """System files, texts and images in no class folder are counted, not read."""
    extra: dict[str, bytes | str] = {
        ".DS_Store": "x",
        "train/Thumbs.db": "x",
        "__MACOSX/train/cat/._0.png": "x",
        "README.md": "hello",
        "train/preview.png": FILES[0],
    }
    got = read(sorted_folder(tmp_path / "in", "{split}/{label}/{i}.png", extra=extra), tmp_path / "out")
    assert len(got.train_images) == 8
    for sentence in (
        "3 hidden or system files",
        "files that are no images are left out: 1 .md",
        "1 images in no class folder",
    ):
        assert sentence in got.notes


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    """A class may be a link to a folder elsewhere; a link back to the top, or to nothing, does no harm."""
    folder = sorted_folder(tmp_path / "in", "{split}/{label}/{i}.png")
    (folder / "train" / "dog").rename(tmp_path / "dogs")
    (folder / "train" / "dog").symlink_to(tmp_path / "dogs")
    (folder / "train" / "cat" / "loop").symlink_to(folder)
    (folder / "train" / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert len(read(folder, tmp_path / "out").train_images) == 8


def test_class_names_of_all_kinds(tmp_path: Path) -> None:
    """Numbers sort as numbers, é is one letter however the file system spells it, a class may be called train."""
    folder = write(
        tmp_path / "in",
        {
            f"{split}/{name}/{split}{i}.png": FILES[i]
            for split in ("train", "test")
            for i, name in enumerate(("10", "9", "train"))
        },
    )
    write(folder, {f"train/{unicodedata.normalize('NFD', 'é')}/x.png": FILES[5], "test/é/y.png": FILES[6]})
    assert read(folder, tmp_path / "out").classes == ("9", "10", "train", "é")
    plain = write(tmp_path / "plain", {f"{name}/{i}.png": FILES[i] for i in range(8) for name in ["train"] if i % 2})
    write(plain, {f"bus/{i}.png": FILES[i] for i in range(8) if not i % 2})
    assert read(plain, tmp_path / "out2").classes == ("bus", "train")


def test_classes_may_be_ordered_and_left_out(tmp_path: Path) -> None:
    """--classes gives the order; a folder that it does not name is refused; --ignore-labels leaves one out."""
    folder = sorted_folder(tmp_path / "in", "{split}/{label}/{i}.png", extra={"train/emu/1.png": FILES[0]})
    with pytest.raises(BadInput, match="no class is called emu; the classes are dog, cat"):
        read(folder, tmp_path / "out", classes=("dog", "cat"))
    got = read(folder, tmp_path / "out", classes=("dog", "cat"), ignore_labels=("emu",))
    assert got.classes == ("dog", "cat")
    assert got.train_labels.tolist() == [1] * 4 + [0] * 4


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "holds no files"),
        ({"notes.txt": "x"}, r"looks like nothing that can be read; it holds 1 \.txt"),
        ({"a.png": FILES[0], "b.png": FILES[1]}, "expected a folder per class, found 2 images beside each other"),
        ({"only/a.png": FILES[0], "only/b.png": FILES[1]}, r"expected 2 to 1000 classes, got 1 \(only\)"),
        (
            {"train/a/1.png": FILES[0], "test/a/1.png": FILES[1], "extra/a/1.png": FILES[2]},
            "has the folders test, train, and beside them extra: split or class",
        ),
        ({"train/a/1.png": FILES[0], "test/a/1.png": FILES[1]}, r"expected 2 to 1000 classes, got 1 \(a\)"),
        ({"test/a/1.png": FILES[0], "test/b/1.png": FILES[1]}, "there are test images, but no training images"),
        ({f"c{i}/{i}.png": FILES[i % 12] for i in range(1001)}, "expected 2 to 1000 classes, got 1001"),
        (
            {"a\nb/1.png": FILES[0], "a\nb/3.png": FILES[2], "c/1.png": FILES[1], "c/2.png": FILES[3]},
            "cannot be the name",
        ),
        (
            {f"{'x' * 61}/{i}.png": FILES[i] for i in range(4)} | {f"c/{i}.png": FILES[4 + i] for i in range(4)},
            "cannot be",
        ),
    ],
)
def test_folders_that_cannot_be_a_dataset(tmp_path: Path, files: dict[str, bytes | str], problem: str) -> None:
    """Each is refused with what was found."""
    (tmp_path / "in").mkdir()
    with pytest.raises(BadInput, match=problem):
        read(write(tmp_path / "in", files), tmp_path / "out")


def test_damaged_images_are_counted_and_named(tmp_path: Path) -> None:
    """The first few with their paths, and how many there are; nothing is imported."""
    bad: dict[str, bytes | str] = {f"train/cat/bad{i}.png": FILES[0][: 20 + i] for i in range(7)}
    bad["train/dog/page.jpg"] = "<html>"
    folder = sorted_folder(tmp_path / "in", "{split}/{label}/{i}.png", extra=bad)
    with pytest.raises(
        BadFile, match=r"8 of 20 images cannot be used:\n.*train/cat/bad0\.png: .*\n(.*\n)*.*and 3 more"
    ):
        read(folder, tmp_path / "out")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("whole", [True, False], ids=["one for all", "one per split"])
def test_metadata_as_in_hugging_faces_imagefolder(tmp_path: Path, kind: str, whole: bool) -> None:
    """Names, labels and splits are in a table beside the images, at the top or in each split's folder."""
    folder = write(
        tmp_path / "in", {f"{'train' if i < 8 else 'test'}/{i}.png": content for i, content in enumerate(FILES)}
    )
    rows = [
        {"file_name": f"{i}.png", "label": ("cat", "dog")[i % 2], "split": "train" if i < 8 else "test"}
        for i in range(12)
    ]
    if whole:
        _table(folder / f"metadata.{kind}", [row | {"file_name": f"{row['split']}/{row['file_name']}"} for row in rows])
    else:
        for split in ("train", "test"):
            some = [{key: row[key] for key in ("file_name", "label")} for row in rows if row["split"] == split]
            _table(folder / split / f"metadata.{kind}", some)
    got = read(folder, tmp_path / "out")
    assert sorted(image.tobytes() for image in got.train_images) == sorted(image.tobytes() for image in PIXELS[:8])
    assert got.test_labels.tolist() == [0, 1, 0, 1]
    assert got.classes == ("cat", "dog")


def _table(path: Path, rows: list[dict[str, str]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    else:
        path.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]))


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_archives_are_read_in_place(tmp_path: Path, form: str) -> None:
    """A folder inside an archive is the same folder; nothing is unpacked under its name."""
    folder = sorted_folder(tmp_path / "in", "top/{split}/{label}/{i}.png")
    path = tmp_path / f"data.{form}"
    names = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in names:
                archive.write(file, f"../../{file.relative_to(folder)}")
    else:
        members = [(f"../../{file.relative_to(folder)}", file.read_bytes()) for file in names]
        tar(path, members, "w:gz" if form == "tar.gz" else "w")
    got = read(path, tmp_path / "out")
    assert len(got.train_images) == 8
    assert got.classes == ("cat", "dog")
    assert {file.name for file in (tmp_path / "out").iterdir() if len(file.name) < 32} == {
        "train-images",
        "train-labels",
        "test-images",
        "test-labels",
    }
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadInput):
        read(path, tmp_path / "out2")
