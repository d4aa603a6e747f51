"""The datasets that are there, and the ones that users bring."""

import gzip
import json
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data
from benchmarks import make_sample
from data import adding, catalogue
from data.builtin import DATASETS
from data.dataset import ROLES, Dataset, Origin
from data.errors import BadFile, BadInput, Corrupt, SourceUnavailable, UnknownName
from data.home.store import Store
from data.importing.options import ImportOptions
from data.sources.idx import write_idx
from data.sources.source import download, read_raw
from data.values import canonical_json, digest_of, from_json

USUAL_NAMES = {
    f"{split}_{what}": (f"{name}-{what}-idx{n}-ubyte", f"{name}-{what}.idx{n}-ubyte")
    for split, name in (("train", "train"), ("test", "t10k"))
    for what, n in (("images", 3), ("labels", 1))
}
SAMPLES = Path(data.__file__).parent / "samples" / "mnist-sample"
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def _arrays(*, n_classes: int = 4, height: int = 7, width: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.uint8 if n_classes <= 256 else np.int16
    n_train = 40 * -(-n_classes // 40)
    return {
        "train_images": rng.integers(0, 256, (n_train, height, width), np.uint8),
        "train_labels": (np.arange(n_train) % n_classes).astype(labels),
        "test_images": rng.integers(0, 256, (12, height, width), np.uint8),
        "test_labels": rng.integers(0, n_classes, 12).astype(labels),
    }


def _write(folder: Path, arrays: dict[str, np.ndarray], *, spelling: int = 0, packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for role, array in arrays.items():
        name, content = USUAL_NAMES[role][spelling], write_idx(array)
        (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return folder


# -- what is built in -------------------------------------------------------------------------------------------------


def test_the_built_in_rows_hold_together() -> None:
    """Names, roles, sizes and class names fit each other in every row."""
    assert tuple(DATASETS) == ("mnist", "fashion-mnist", "kmnist", "mnist-sample")
    for name, row in DATASETS.items():
        assert row.name == name
        assert tuple(row.files) == ROLES
        assert row.files["train_images"].raw_bytes == 16 + row.n_train * row.height * row.width
        assert row.files["test_labels"].raw_bytes == 8 + row.n_test
        assert len(set(row.class_names)) == row.n_classes == 10
        assert row.licence
        assert row.citation
        assert row.mirrors
        hashes = [one for file in row.files.values() for one in (file.served_sha256, file.raw_sha256) if one]
        assert len(set(hashes)) == len(hashes) >= 4
        assert all(len(one) == 64 for one in hashes)
        if row.reference:
            assert sum(row.reference.train_counts) == row.n_train
            assert sum(row.reference.test_counts) == row.n_test


def test_a_misspelt_name_gets_the_list_and_the_nearest(store: Store) -> None:
    """The error helps with the spelling and shows what there is."""
    with pytest.raises(UnknownName, match="no dataset is called 'fashon-mnist'") as error:
        catalogue.get(store, "fashon-mnist")
    assert "did you mean 'fashion-mnist'?" in error.value.hint
    assert "kmnist, mnist, mnist-sample" in error.value.hint


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a/b", "MNIST", "nothing\0"])
def test_odd_names_are_unknown_names(store: Store, name: str) -> None:
    """Whatever is asked for, nothing outside the catalogue is looked at."""
    with pytest.raises(UnknownName):
        catalogue.get(store, name)


def test_rows_survive_json() -> None:
    """A row is the same after it was written and read."""
    for row in DATASETS.values():
        assert from_json(Dataset, json.loads(json.dumps(asdict(row)))) == row


def test_the_sample_is_small_and_says_whose_it_is() -> None:
    """Well under a megabyte, with attribution and licence beside it."""
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 500_000
    attribution = (SAMPLES / "ATTRIBUTION").read_text()
    assert all(word in attribution for word in ("LeCun", "Cortes", "Attribution-ShareAlike 3.0"))


def test_the_sample_can_be_made_again(mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The script chooses the same digits in the same order, in proportion to the classes."""
    make_sample.main(str(mirror), tmp_path)
    printed = capsys.readouterr().out
    for role, file in DATASETS["mnist-sample"].files.items():
        assert gzip.decompress((tmp_path / file.name).read_bytes()) == gzip.decompress(
            (SAMPLES / file.name).read_bytes()
        )
        assert f"{role}: " in printed
    whole, part = DATASETS["mnist"].reference, DATASETS["mnist-sample"].reference
    assert whole is not None
    assert part is not None
    for all_of_class, chosen in zip(whole.train_counts, part.train_counts, strict=True):
        assert abs(chosen - all_of_class / 30) < 1


# -- what users bring -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False], ids=["gz", "raw"])
@pytest.mark.parametrize("spelling", [0, 1])
@pytest.mark.parametrize(("n_classes", "height", "width"), [(4, 7, 5), (2, 1, 9), (1000, 3, 40)])
def test_a_folder_becomes_a_dataset(
    store: Store, tmp_path: Path, packed: bool, spelling: int, n_classes: int, height: int, width: int
) -> None:
    """Any size, 2 to 1000 classes, usual spellings: known from then on, even when the folder is gone."""
    arrays = _arrays(n_classes=n_classes, height=height, width=width)
    folder = _write(tmp_path / "mine", arrays, spelling=spelling, packed=packed)
    names = ImportOptions(classes=tuple(map(str, range(n_classes))))
    row = adding.add(
        store, "mine", folder, names, title="Mine", licence="CC0", citation="me", mirror_symmetric=True
    ).row
    for path in folder.iterdir():
        path.unlink()

    assert catalogue.names(store) == (*DATASETS, "mine")
    assert catalogue.get(store, "mine") == row
    assert (row.height, row.width, row.n_train, row.n_test) == (height, width, 40 * -(-n_classes // 40), 12)
    assert row.class_names == tuple(map(str, range(n_classes)))
    assert (row.title, row.licence, row.citation, row.mirror_symmetric) == ("Mine", "CC0", "me", True)
    assert row.reference is not None
    assert row.reference.train_counts == tuple(np.bincount(arrays["train_labels"], minlength=n_classes))
    raw = read_raw(store, row, download(store, row))
    for role, array in arrays.items():
        assert np.array_equal(getattr(raw, role), array)


def test_class_names_may_be_given(store: Store, tmp_path: Path) -> None:
    """One name per label, in the order of the labels; a class without images is allowed."""
    folder = _write(tmp_path, _arrays())
    row = adding.add(store, "mine", folder, ImportOptions(classes=("ant", "bee", "cat", "dog", "none yet"))).row
    assert row.class_names == ("ant", "bee", "cat", "dog", "none yet")
    assert row.reference is not None
    assert row.reference.train_counts[4] == 0


def test_what_the_images_must_show_may_be_given(store: Store, tmp_path: Path) -> None:
    """Known statistics are pinned instead of those of the files, so that bad files are refused later."""
    expected = DATASETS["mnist-sample"].reference
    row = adding.add(store, "mine", _write(tmp_path, _arrays()), expected=expected).row
    assert row.reference == catalogue.get(store, "mine").reference == expected


def test_adding_the_same_again_changes_nothing_and_mends(store: Store, tmp_path: Path) -> None:
    """The second time is fine if nothing differs, and restores a damaged copy; a difference is refused."""
    folder = _write(tmp_path / "mine", _arrays())
    row = adding.add(store, "mine", folder).row
    ref = download(store, row)
    store.raw("mine", row.files["test_images"].name).write_bytes(b"damaged")
    with pytest.raises(SourceUnavailable, match="it has no mirror") as error:
        download(store, row)
    assert "datasets add" in error.value.hint
    assert adding.add(store, "mine", folder).row == row
    assert download(store, row) == ref

    other = _write(tmp_path / "other", _arrays(seed=1))
    with pytest.raises(BadInput, match="there is a dataset 'mine' already"):
        adding.add(store, "mine", other)
    with pytest.raises(BadInput, match="already"):
        adding.add(store, "mine", folder, title="Another title")
    assert catalogue.get(store, "mine") == row
    assert download(store, row) == ref


def test_a_dataset_can_be_forgotten(store: Store, tmp_path: Path) -> None:
    """Removed, its name is free again; built-in ones cannot be removed."""
    adding.add(store, "mine", _write(tmp_path / "a", _arrays()))
    catalogue.remove(store, "mine")
    assert catalogue.names(store) == tuple(DATASETS)
    with pytest.raises(UnknownName):
        catalogue.remove(store, "mine")
    with pytest.raises(BadInput, match="built in"):
        catalogue.remove(store, "mnist")
    adding.add(store, "mine", _write(tmp_path / "b", _arrays(seed=1)))


@pytest.mark.parametrize(
    "name", ["mnist", "kmnist", "", "../x", "a/b", "UPPER", "with space", ".hidden", "x" * 41, "é", "dot."]
)
def test_names_that_cannot_be_taken(store: Store, tmp_path: Path, name: str) -> None:
    """Built-in names and names that could not be a folder are refused, and nothing is written."""
    folder = _write(tmp_path / "mine", _arrays())
    with pytest.raises(BadInput, match=r"built-in|cannot be the name"):
        adding.add(store, name, folder)
    assert _files(store) == []


def _files(store: Store) -> list[Path]:
    """What lies in the home, apart from locks and what tells that it can be written."""
    found = store.root.rglob("*") if store.root.exists() else ()
    return [path for path in found if path.is_file() and "locks" not in path.parts and path.name != ".writable"]


def _labels_as(value: int, dtype: type) -> dict[str, np.ndarray]:
    arrays = _arrays()
    labels = arrays["train_labels"].astype(dtype)
    labels[3] = value
    return {**arrays, "train_labels": labels}


def _swapped() -> dict[str, np.ndarray]:
    arrays = _arrays()
    return {**arrays, "train_images": arrays["train_labels"], "train_labels": arrays["train_images"]}


def _crossed() -> dict[str, np.ndarray]:
    arrays = _arrays()
    return {**arrays, "train_labels": arrays["test_labels"], "test_labels": arrays["train_labels"]}


@pytest.mark.parametrize(
    ("arrays", "names", "problem"),
    [
        (_swapped(), (), "expected 3 dimensions, found 1: these are labels"),
        (_crossed(), (), "40 train images, but 12 train labels"),
        ({**_arrays(), "train_images": np.zeros((40, 7), np.uint8)}, (), "expected 7 numbers per image to be a square"),
        ({**_arrays(), "train_images": np.full((40, 7, 5), -9, np.int16)}, (), "expected pixels from 0 on, found -9"),
        ({**_arrays(), "train_images": np.zeros((0, 7, 5), np.uint8)}, (), "expected numbers, found uint8 of shape"),
        ({**_arrays(), "train_labels": np.full(40, 0.5, np.float32)}, (), "expected integer labels, found float32"),
        (
            {**_arrays(), "test_images": np.zeros((12, 5, 7), np.uint8)},
            (),
            "training images are 7 × 5, test images 5 × 7",
        ),
        (_arrays(), ("a", "b", "c"), "labels run from 0 to 3, but there are 3 classes"),
        (_labels_as(-1, np.int8), (), "labels start at -1, expected 0 or more"),
        (_labels_as(1000, np.int16), (), "expected labels below 1000, got 1000"),
        ({role: array * 0 for role, array in _arrays().items()}, (), "expected 2 to 1000 classes, got 1"),
        (_arrays(), ("a", "b", "c", "a"), "two classes have the same name"),
        (_arrays(), ("a", "b", "c", " "), "cannot be the name of a class"),
        (_arrays(), ("a", "b", "c", "line\nbreak"), "cannot be the name of a class"),
    ],
)
def test_what_does_not_fit_is_refused(
    store: Store, tmp_path: Path, arrays: dict[str, np.ndarray], names: tuple[str, ...], problem: str
) -> None:
    """Swapped files, wrong types, labels without a class: said clearly, and nothing is written."""
    folder = _write(tmp_path / "mine", arrays)
    with pytest.raises(BadInput, match=problem):
        adding.add(store, "mine", folder, ImportOptions(classes=names))
    assert _files(store) == []


def test_images_and_labels_under_each_others_names_are_recognised(store: Store, tmp_path: Path) -> None:
    """The hint asks the right question."""
    with pytest.raises(BadFile, match="these are labels") as error:
        adding.add(store, "mine", _write(tmp_path, _swapped()))
    assert "swapped" in error.value.hint


def _gz(name: str) -> str:
    return name + ".gz"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda folder: (folder / _gz(TRAIN_LABELS)).unlink(), "has no file for the train labels; it holds t10k"),
        (lambda folder: (folder / TRAIN_LABELS).write_bytes(b""), "several files for the train labels"),
        (lambda folder: _cut(folder / _gz(TRAIN_IMAGES), 700), "byte 700: the file ends inside its gzip stream"),
        (lambda folder: _cut(folder / _gz(TRAIN_IMAGES), 5), "byte 0: expected 4 bytes|ends inside"),
        (lambda folder: (folder / _gz(TRAIN_IMAGES)).write_bytes(b"\x89PNG"), r"found 89 50 4e 47 \(PNG\)"),
        (lambda folder: (folder / _gz(TRAIN_IMAGES)).write_bytes(_bomb()), "expected at most 1416 bytes when unpacked"),
        (lambda folder: (folder / _gz(TRAIN_IMAGES)).write_bytes(_huge()), "expected at most 16 GiB of values"),
    ],
    ids=["missing", "several", "cut", "cut in the header", "PNG", "bomb", "huge"],
)
def test_files_that_are_not_right_are_refused(store: Store, tmp_path: Path, change: object, problem: str) -> None:
    """Missing, doubled, truncated, not IDX, or a bomb: named, and nothing is written."""
    folder = _write(tmp_path / "mine", _arrays())
    change(folder)  # type: ignore[operator]
    with pytest.raises(BadFile, match=problem):
        adding.add(store, "mine", folder)
    assert _files(store) == []


def _cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def _bomb() -> bytes:
    return gzip.compress(write_idx(_arrays()["train_images"]) + bytes(100 << 20), compresslevel=1)


def _huge() -> bytes:
    return gzip.compress(bytes.fromhex("00000803 ffffffff 0000ffff 0000ffff"))


def test_a_folder_that_is_not_there(store: Store, tmp_path: Path) -> None:
    """A wrong path is said to be one."""
    with pytest.raises(BadFile, match="is not there"):
        adding.add(store, "mine", tmp_path / "nowhere")


@pytest.mark.parametrize("damage", [b"{}", b"not json", b"\xff", b'{"row": {"name": "mine"}, "digest": "x"}'])
def test_a_damaged_row_is_named(store: Store, tmp_path: Path, damage: bytes) -> None:
    """A row that was changed by hand or by the disk is an error with its path, not a traceback."""
    adding.add(store, "mine", _write(tmp_path, _arrays()))
    path = store.dataset_rows() / "mine.json"
    path.write_bytes(damage)
    with pytest.raises(Corrupt, match=r"mine\.json"):
        catalogue.get(store, "mine")


def test_a_row_that_was_edited_is_refused(store: Store, tmp_path: Path) -> None:
    """Hashes were pinned when the dataset was added; they cannot be pinned anew by hand."""
    row: Dataset = adding.add(store, "mine", _write(tmp_path, _arrays())).row
    path = store.dataset_rows() / "mine.json"
    pinned = path.read_bytes()
    edited = json.loads(pinned)
    edited["row"] = asdict(replace(row, n_train=39))
    path.write_text(json.dumps(edited))
    with pytest.raises(Corrupt, match="was changed"):
        catalogue.get(store, "mine")
    (store.dataset_rows() / "other.json").write_bytes(pinned)
    with pytest.raises(Corrupt, match="was changed"):
        catalogue.get(store, "other")


# -- sources of any kind ----------------------------------------------------------------------------------------------


def _pictures(folder: Path, n: int = 24, *, seed: int = 0) -> Path:
    """White paper with dark squares in two places, a folder per class."""
    for i in range(n):
        image = np.full((8, 8), 255, np.uint8)
        image[2:4, 2:4] = np.random.default_rng(seed * 1000 + i).integers(0, 90, (2, 2))
        path = folder / ("left", "right")[i % 2] / f"{seed}-{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image if i % 2 == 0 else image[:, ::-1]).save(path)
    return folder


def test_a_folder_of_pictures_becomes_a_dataset(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row remembers where it came from and how it was read, whichever folder was current then."""
    _pictures(tmp_path / "forms")
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[str, int, int]] = []
    added = adding.add(
        store, "forms", "forms", ImportOptions(test_share=0.3), progress=lambda *report: seen.append(report)
    )
    row = catalogue.get(store, "forms")
    assert row == added.row
    assert row.origin == Origin(str(tmp_path / "forms"), {"test_share": 0.3})
    assert (row.geometry.shape, row.ground, row.class_names) == ((8, 8), (255,), ("left", "right"))
    assert row.n_train + row.n_test == 24
    assert added.notes[0] == "read as a folder of images"
    assert added.sheet is not None
    assert added.sheet.read_bytes().startswith(b"\x89PNG")
    assert seen[-1] == ("images", 24, 24)
    raw = read_raw(store, row, download(store, row))
    assert raw.train_images.shape == (row.n_train, 8, 8)
    assert list(store.tmp().iterdir()) == []


def test_update_reads_the_source_again_as_before(store: Store, tmp_path: Path) -> None:
    """With the same options, geometry and class names; test images stay test images; old files go."""
    folder = _pictures(tmp_path / "forms")
    before = adding.add(store, "forms", folder, ImportOptions(height=6, width=6), title="Forms", licence="CC0").row
    old = read_raw(store, before, download(store, before))
    assert adding.update(store, "forms").row == before
    _pictures(folder, 10, seed=1)
    (folder / "left" / "large.png").write_bytes((folder / "left" / "1-0.png").read_bytes())
    Image.fromarray(np.full((90, 90), 7, np.uint8)).save(folder / "left" / "large.png")
    after = adding.update(store, "forms").row
    new = read_raw(store, after, download(store, after))
    assert after.n_train + after.n_test == 35
    assert (after.geometry, after.title, after.licence, after.origin) == (
        before.geometry, "Forms", "CC0", before.origin,
    )  # fmt: skip
    tests = [{image.tobytes() for image in raw.test_images} for raw in (old, new)]
    assert tests[0] <= tests[1]
    kept = {path.name for path in store.raw("forms", "x").parent.iterdir()}
    assert kept == {file.name for file in after.files.values()}


def test_update_refuses_what_would_be_another_dataset(store: Store, tmp_path: Path) -> None:
    """A new class, a source that is gone, a dataset whose origin is not known: refused, and the old one stays."""
    folder = _pictures(tmp_path / "forms")
    row = adding.add(store, "forms", folder).row
    (folder / "up").mkdir()
    (folder / "left" / "0-0.png").rename(folder / "up" / "0.png")
    with pytest.raises(BadInput, match="no class is called up; the classes are left, right"):
        adding.update(store, "forms")
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(BadFile, match="is not there"):
        adding.update(store, "forms")
    with pytest.raises(BadInput, match="'mnist' is built in"):
        adding.update(store, "mnist")
    with pytest.raises(UnknownName):
        adding.update(store, "other")
    _write_row(store, replace(row, origin=None))
    with pytest.raises(BadInput, match="where 'forms' was read from is not known"):
        adding.update(store, "forms")
    download(store, row)


def _write_row(store: Store, row: Dataset) -> None:
    content = {"row": asdict(row), "digest": digest_of(asdict(row))}
    (store.dataset_rows() / f"{row.name}.json").write_bytes(canonical_json(content))


def test_replace_takes_the_place_of_another(store: Store, tmp_path: Path) -> None:
    """Only when it is asked for; without it the files of the first stay as they are."""
    first = adding.add(store, "forms", _pictures(tmp_path / "a")).row
    other = _pictures(tmp_path / "b", seed=5)
    with pytest.raises(BadInput, match="there is a dataset 'forms' already"):
        adding.add(store, "forms", other)
    assert download(store, first)
    second = adding.add(store, "forms", other, replace=True).row
    assert catalogue.get(store, "forms") == second != first
    assert download(store, second)


def test_rows_from_before_work_unchanged(store: Store, tmp_path: Path) -> None:
    """A row that names packed files and has neither geometry nor origin is read; adding its folder again is fine."""
    arrays = _arrays()
    for array in (arrays["train_images"], arrays["test_images"]):
        array[:, [0, -1]] = 0
        array[:, :, [0, -1]] = 0
    folder = _write(tmp_path / "mine", arrays)
    now = adding.add(store, "mine", folder).row
    files = {}
    for role, name in ((role, USUAL_NAMES[role][0] + ".gz") for role in ROLES):
        content = (folder / name).read_bytes()
        store.write_bytes(store.raw("mine", name), content)
        files[role] = replace(
            now.files[role], name=name, served_sha256=sha256(content).hexdigest(), served_bytes=len(content)
        )
    row = {
        key: value
        for key, value in asdict(replace(now, files=files)).items()
        if key not in ("channels", "fit", "ground", "origin")
    }
    line = {"row": row, "digest": digest_of(row)}
    (store.dataset_rows() / "mine.json").write_bytes(canonical_json(line))
    before = catalogue.get(store, "mine")
    ref = download(store, before)
    assert np.array_equal(read_raw(store, before, ref).train_images, arrays["train_images"])
    again = adding.add(store, "mine", folder).row
    assert download(store, again) == ref
    assert adding.update(store, "mine").row == again


def test_a_damaged_picture_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    """Nor do a name that is taken, and labels that do not fit."""
    folder = _pictures(tmp_path / "forms")
    (folder / "left" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(BadFile, match="1 of 25 images cannot be used"):
        adding.add(store, "forms", folder)
    assert _files(store) == []
    assert list(store.tmp().iterdir()) == []
