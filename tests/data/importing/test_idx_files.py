"""IDX files under the names and in the folders in which people have them, and EMNIST's peculiarities."""

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data.errors import BadFile, BadInput
from data.sources.idx import gunzip_capped, write_idx
from tests.data.importing.made import images, read, write

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
X, Y = images(20), (np.arange(20) % 3).astype(np.uint8)
TRAIN, TEST = slice(0, 14), slice(14, 20)


def files(x: np.ndarray = X, y: np.ndarray = Y, *, pack: bool = False) -> dict[str, bytes | str]:
    """The four files by their usual names."""
    arrays = (x[TRAIN], y[TRAIN], x[TEST], y[TEST])
    return {
        name + ".gz" * pack: gzip.compress(write_idx(array)) if pack else write_idx(array)
        for name, array in zip(NAMES, arrays, strict=True)
    }


def moved(pattern: str, *, pack: bool = False) -> dict[str, bytes | str]:
    """The four files under other names."""
    return {
        pattern.format(name=name.removesuffix(".gz"), gz=".gz" * pack): content
        for name, content in files(pack=pack).items()
    }


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        ("{name}", ""),
        ("MNIST/raw/{name}", ""),
        ("{name}/{name}", ""),  # Kaggle's folders named like the files
        ("emnist-letters-{name}{gz}", ""),
        ("gzip/emnist-letters-{name}{gz}", "gzip/emnist-letters"),
    ],
)
def test_names_and_folders(tmp_path: Path, pattern: str, start: str) -> None:
    """Wherever they are below the folder; with a beginning of their names where there are several sets."""
    folder = write(tmp_path / "in", moved(pattern, pack="{gz}" in pattern))
    if start:
        write(
            folder, {name.replace("letters", "digits"): content for name, content in moved(pattern, pack=True).items()}
        )
        with pytest.raises(BadFile, match="holds 2 sets of IDX files: gzip/emnist-digits-, gzip/emnist-letters-"):
            read(folder, tmp_path / "both")
    got = read(folder / start, tmp_path / "out")
    assert np.array_equal(got.train_images, X[TRAIN])
    assert np.array_equal(got.test_labels, Y[TEST])
    assert ("add --transpose" in got.notes) == ("emnist" in pattern)


def test_torchvisions_folder_has_every_file_twice(tmp_path: Path) -> None:
    """Packed and unpacked with the same content are one file; with another they are refused, both named."""
    folder = write(tmp_path / "in", files() | files(pack=True))
    assert np.array_equal(read(folder, tmp_path / "out").train_images, X[TRAIN])
    kaggle = write(
        tmp_path / "kaggle", moved("{name}/{name}") | {name.replace("-idx", ".idx"): c for name, c in files().items()}
    )
    assert np.array_equal(read(kaggle, tmp_path / "out2").train_images, X[TRAIN])
    write(folder, {NAMES[0] + ".gz": gzip.compress(write_idx(X[TRAIN][::-1]))})
    with pytest.raises(
        BadFile,
        match="several files for the train images that differ: train-images-idx3-ubyte and",
    ):
        read(folder, tmp_path / "out3")


@pytest.mark.parametrize("tail", [b"", bytes(700)])
@pytest.mark.parametrize("cuts", [[], [1], [200], [16, 17, 300], list(range(1, 400, 7))])
def test_gzip_of_several_members(tmp_path: Path, cuts: list[int], tail: bytes) -> None:
    """As bgzip, `cat a.gz b.gz` and appended writes make them, padded with zeros or not."""
    raw = write_idx(X[TRAIN])
    ends = [0, *cuts, len(raw)]
    packed = b"".join(gzip.compress(raw[a:b]) for a, b in pairwise(ends)) + tail
    folder = write(tmp_path / "in", files(pack=True) | {NAMES[0] + ".gz": packed})
    assert np.array_equal(read(folder, tmp_path / "out").train_images, X[TRAIN])
    assert gunzip_capped(packed, len(raw), "it") == raw
    with pytest.raises(BadFile, match="expected at most"):
        gunzip_capped(packed, len(raw) - 1, "it")
    with pytest.raises(BadFile, match=r"expected the end, 3 more bytes follow"):
        gunzip_capped(packed + b"abc", len(raw), "it")
    with pytest.raises(BadFile, match="ends inside"):
        gunzip_capped(packed[: len(packed) - len(tail) - 3], len(raw), "it")
    with pytest.raises(BadFile, match=r"at most|damaged"):
        gunzip_capped(packed + gzip.compress(bytes(1 << 20)), len(raw), "it")


def test_a_large_file_is_unpacked_in_pieces(tmp_path: Path) -> None:
    """More than one piece, zeros that compress a thousandfold: every byte arrives."""
    raw = bytes(5 << 20) + b"end"
    assert gunzip_capped(gzip.compress(raw), len(raw), "it") == raw
    assert gunzip_capped(gzip.compress(raw[:3000]) + gzip.compress(raw[3000:]), len(raw), "it") == raw


def test_labels_from_1_to_26(tmp_path: Path) -> None:
    """EMNIST's letters: refused with the option that resolves it, which then names the classes as the labels."""
    letters = (1 + np.arange(78) % 26).astype(np.uint8)
    x = images(78)
    arrays = (x[:52], letters[:52], x[52:], letters[52:])
    folder = write(tmp_path / "in", {name: write_idx(array) for name, array in zip(NAMES, arrays, strict=True)})
    with pytest.raises(BadInput, match="no image has label 0; 26 classes from 1 to 26") as error:
        read(folder, tmp_path / "out")
    assert "use --first-label 1" in error.value.hint
    with pytest.raises(BadInput, match="labels run from 1 to 26, but there are 26 classes") as error:
        read(folder, tmp_path / "out2", classes=tuple("abcdefghijklmnopqrstuvwxyz"))
    assert error.value.hint == "--first-label 1 if the first name belongs to label 1"
    got = read(folder, tmp_path / "out3", first_label=1)
    assert got.classes == tuple(str(label) for label in range(1, 27))
    assert got.train_labels.tolist() == (letters[:52] - 1).tolist()
    named = read(folder, tmp_path / "out4", first_label=1, classes=tuple("abcdefghijklmnopqrstuvwxyz"))
    assert named.classes[:2] == ("a", "b")
    empty = read(folder, tmp_path / "out5", classes=("N/A", *"abcdefghijklmnopqrstuvwxyz"))  # as torchvision names it
    assert empty.classes[:2] == ("N/A", "a")
    assert empty.train_labels.tolist() == letters[:52].tolist()


def test_a_stray_label(tmp_path: Path) -> None:
    """255 for "unlabelled" is no class: refused, with three ways out, each of which works."""
    y = Y.copy()
    y[5] = 255
    folder = write(tmp_path / "in", files(y=y))
    with pytest.raises(BadInput, match="labels are 0, 1, 2, 255: 252 labels between them have no image") as error:
        read(folder, tmp_path / "out")
    assert "--ignore-labels 255" in error.value.hint
    without = read(folder, tmp_path / "out2", ignore_labels=("255",))
    assert len(without.train_images) == 13
    assert without.classes == ("0", "1", "2")
    assert read(folder, tmp_path / "out3", labels_are_names=True).classes == ("0", "1", "2", "255")
    assert len(read(folder, tmp_path / "out4", classes=tuple(map(str, range(256)))).classes) == 256


@pytest.mark.parametrize(
    ("labels", "problem", "hint"),
    [
        ((0, 1, 3), "1 label between them has no image", "--labels-are-names"),
        ((-1, 1), "labels start at -1, expected 0 or more", "--first-label -1"),
        ((2, 3), "labels are 2, 3: 2 labels between them have no image", "--labels-are-names"),
        ((0, 2000), "expected labels below 1000, got 2000", "--ignore-labels 2000"),
        ((7,), "1 label|labels are 7: 7 labels", "--ignore-labels 7"),
        ((0,), "expected 2 to 1000 classes, got 1", "two classes"),
    ],
)
def test_labels_with_gaps(tmp_path: Path, labels: tuple[int, ...], problem: str, hint: str) -> None:
    """Each is refused with what was found and what to do."""
    y = np.resize(np.array(labels, np.int16), 20)
    with pytest.raises(BadInput, match=problem) as error:
        read(write(tmp_path / "in", files(y=y)), tmp_path / "out")
    assert hint in error.value.hint


def test_labels_of_minus_one_and_one(tmp_path: Path) -> None:
    """As support vector machines have them: two classes of their own."""
    y = np.resize(np.array([-1, 1], np.int16), 20)
    got = read(write(tmp_path / "in", files(y=y)), tmp_path / "out", labels_are_names=True)
    assert got.classes == ("-1", "1")
    assert got.train_labels.tolist() == [0, 1] * 7


def test_transposed_images(tmp_path: Path) -> None:
    """--transpose swaps rows and columns of both splits, also where images are not square."""
    folder = write(tmp_path / "in", files(x=X.transpose(0, 2, 1).copy()))
    assert read(folder, tmp_path / "out").imported.geometry.shape == (5, 6)
    got = read(folder, tmp_path / "out2", transpose=True)
    assert np.array_equal(got.train_images, X[TRAIN])
    assert np.array_equal(got.test_images, X[TEST])
    assert got.imported.geometry.shape == (6, 5)


def test_the_same_file_under_both_names(tmp_path: Path) -> None:
    """A test set that is the training set is refused."""
    content = files()
    content |= {NAMES[0]: content[NAMES[2]], NAMES[1]: content[NAMES[3]]}
    with pytest.raises(BadInput, match="the training images and the test images are the same"):
        read(write(tmp_path / "in", content), tmp_path / "out")


def test_what_is_written_is_what_was_read(tmp_path: Path) -> None:
    """Grey uint8 files are copied byte for byte, so that known datasets are recognised by hash; colour is 4-D."""
    got = read(write(tmp_path / "in", files()), tmp_path / "out")
    for role, name in zip(("train_images", "train_labels", "test_images", "test_labels"), NAMES, strict=True):
        assert got.imported.paths[role].read_bytes() == files()[name]
        assert (
            got.imported.files[role].name == f"{role.replace('_', '-')}-{got.imported.files[role].raw_sha256[:12]}.idx"
        )
    rgb = images(20, shape=(6, 5, 3))
    got = read(write(tmp_path / "rgb", files(x=rgb)), tmp_path / "out2")
    assert np.array_equal(got.train_images, rgb[TRAIN])


def test_fractions_and_large_numbers(tmp_path: Path) -> None:
    """IDX of floats in 0..1 becomes bytes, and it is said."""
    got = read(write(tmp_path / "in", files(x=(X / 255).astype(np.float32))), tmp_path / "out")
    assert np.array_equal(got.train_images, X[TRAIN])
    assert "1.0 means white" in got.notes


def test_qmnists_labels(tmp_path: Path) -> None:
    """Eight numbers per label, of which the first is the class."""
    wide = np.zeros((20, 8), np.int32)
    wide[:, 0], wide[:, 1] = Y, 77
    content = {
        f"qmnist-{name.replace('t10k', 'test').replace('idx1-ubyte', 'idx2-int')}": c
        for name, c in files(y=wide).items()
    }
    got = read(write(tmp_path / "in", content), tmp_path / "out")
    assert np.array_equal(got.train_labels, Y[TRAIN])
