"""NumPy's files, with the names and layouts that people give them."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import BadFile, BadInput
from tests.data.importing.made import images, read

X, Y = images(20), np.arange(20) % 3
TRAIN, TEST = slice(0, 14), slice(14, 20)


def npz(path: Path, **arrays: np.ndarray) -> Path:
    """Write an .npz."""
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("trainX", "trainY", "testX", "testY"),
        ("xtrain", "ytrain", "xtest", "ytest"),
        ("training_data", "training_targets", "testing_data", "testing_targets"),
    ],
)
def test_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Keras's, MedMNIST's and their relatives; in one .npz, or as .npy files in a folder."""
    values = (X[TRAIN], Y[TRAIN], X[TEST], Y[TEST])
    sources = [npz(tmp_path / "one.npz", **dict(zip(names, values, strict=True))), tmp_path / "npy"]
    sources[1].mkdir()
    for name, value in zip(names, values, strict=True):
        np.save(sources[1] / f"{name}.npy", value)
    for source in sources:
        got = read(source, tmp_path / f"out{source.name}")
        assert np.array_equal(got.train_images, X[TRAIN])
        assert np.array_equal(got.test_images, X[TEST])
        assert got.train_labels.tolist() == Y[TRAIN].tolist()
        assert got.classes == ("0", "1", "2")
        assert "read as NumPy arrays" in got.notes


def test_files_whose_names_say_the_split(tmp_path: Path) -> None:
    """KMNIST has one array per .npz, called arr_0; others have train.npz and test.npz with x and y."""
    for name, value in (
        ("train-imgs", X[TRAIN]),
        ("train-labels", Y[TRAIN]),
        ("test-imgs", X[TEST]),
        ("test-labels", Y[TEST]),
    ):
        (tmp_path / "k").mkdir(exist_ok=True)
        np.savez_compressed(tmp_path / "k" / f"kmnist-{name}.npz", value)
    (tmp_path / "xy").mkdir()
    npz(tmp_path / "xy" / "train.npz", x=X[TRAIN], y=Y[TRAIN])
    npz(tmp_path / "xy" / "test.npz", x=X[TEST], y=Y[TEST])
    for folder in ("k", "xy"):
        got = read(tmp_path / folder, tmp_path / f"out-{folder}")
        assert np.array_equal(got.train_images, X[TRAIN])
        assert np.array_equal(got.test_labels, Y[TEST])


def test_medmnists_validation_images_join_the_training_images(tmp_path: Path) -> None:
    """Labels have an axis of 1 there."""
    source = npz(
        tmp_path / "m.npz",
        train_images=X[:10],
        train_labels=Y[:10, None],
        val_images=X[10:14],
        val_labels=Y[10:14, None],
        test_images=X[TEST],
        test_labels=Y[TEST, None],
    )
    got = read(source, tmp_path / "out")
    assert np.array_equal(got.train_images, X[TRAIN])
    assert got.train_labels.tolist() == Y[TRAIN].tolist()


def test_arrays_without_splits(tmp_path: Path) -> None:
    """As scikit-learn's load_digits gives them: images, data, target; a share is set apart."""
    source = npz(tmp_path / "d.npz", data=X.reshape(20, -1), images=X, target=Y)
    got = read(source, tmp_path / "out")
    assert got.imported.n_train + got.imported.n_test == 20
    assert set(got.test_labels) == {0, 1, 2}


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda x: x[..., None], ""),
        (lambda x: x[:, None], "is read as channels, height, width"),
        (lambda x: x / 255, "1.0 means white"),
        (lambda x: (x / 255).astype(np.float16), "1.0 means white"),
        (lambda x: x.astype(np.float32), ""),
        (lambda x: x.astype(np.int64), ""),
        (lambda x: x.astype(np.uint16) * 257, "65535 means white"),
        (np.asfortranarray, ""),
        (lambda x: x.astype(">i2"), ""),
    ],
)
def test_layouts_and_ranges_that_mean_the_same(tmp_path: Path, change: object, note: str) -> None:
    """Whatever the axes, the type and the range are, the images are the same; what was assumed is said."""
    x = change(X)  # type: ignore[operator]
    got = read(
        npz(tmp_path / "a.npz", x_train=x[TRAIN], y_train=Y[TRAIN], x_test=x[TEST], y_test=Y[TEST]), tmp_path / "out"
    )
    assert np.array_equal(got.train_images, X[TRAIN])
    assert note in got.notes


def test_colour_flat_images_and_one_hot_labels(tmp_path: Path) -> None:
    """RGB with channels last or first, squares as rows of pixels, one column per class."""
    rgb, hot = images(20, shape=(6, 5, 3)), np.eye(3)[Y]
    for x in (rgb, np.moveaxis(rgb, -1, 1)):
        got = read(
            npz(tmp_path / "c.npz", x_train=x[TRAIN], y_train=hot[TRAIN], x_test=x[TEST], y_test=hot[TEST]),
            tmp_path / f"out{x.shape[-1]}",
        )
        assert np.array_equal(got.train_images, rgb[TRAIN])
        assert got.train_labels.tolist() == Y[TRAIN].tolist()
    square = images(20, shape=(7, 7))
    rows = square.reshape(20, 49)
    got = read(
        npz(tmp_path / "f.npz", x_train=rows[TRAIN], y_train=Y[TRAIN], x_test=rows[TEST], y_test=Y[TEST]),
        tmp_path / "flat",
    )
    assert np.array_equal(got.train_images, square[TRAIN])


def test_white_may_be_another_number(tmp_path: Path) -> None:
    """scikit-learn's digits run from 0 to 16: read as they are they are dark, which is said; --white 16 scales them."""
    x = np.round(X / 255 * 16)
    source = npz(tmp_path / "d.npz", x_train=x[TRAIN], y_train=Y[TRAIN], x_test=x[TEST], y_test=Y[TEST])
    got = read(source, tmp_path / "out")
    assert got.train_images.max() == 16
    assert "the brightest pixel is 16 of 255; if it means white, add --white 16" in got.notes
    assert read(source, tmp_path / "out2", white=16.0).train_images.max() == 255
    with pytest.raises(BadFile, match="--white is 8, but there are pixels up to 16"):
        read(source, tmp_path / "out3", white=8.0)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x_train": X}, "expected images with labels for training, found x_train"),
        ({"a": X, "b": Y}, "found a, b"),
        ({"x_train": X, "y_train": Y[:5]}, "20 train images, but 5 train labels"),
        ({"x_train": Y, "y_train": X}, "these are"),
        ({"x_train": X / 255 * 2 - 1, "y_train": Y}, "expected pixels from 0 on, found -1"),
        ({"x_train": X * np.nan, "y_train": Y}, "NaN"),
        ({"x_train": X.astype(np.int64) * 1000, "y_train": Y}, "expected pixels up to 255 or 65535"),
        ({"x_train": X.astype(complex), "y_train": Y}, "expected numbers, found complex128"),
        ({"x_train": X, "y_train": np.array([[1, 1, 0]] * 20)}, "expected one class per image"),
        ({"x_train": X, "y_train": Y / 2}, "expected integer labels"),
        ({"x_train": images(20, shape=(6, 5, 4)), "y_train": Y}, "expected images of height × width, or with 1 or 3"),
        (
            {"x_train": X, "y_train": Y, "x_test": images(4, shape=(9, 9)), "y_test": Y[:4]},
            "training images are 6 × 5, test",
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
            "the training images and the test images are the same",
        ),
        ({"x_train": X, "y_train": np.array([None] * 20)}, "damaged, cut short or of objects"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "expected numbers"),
    ],
)
def test_arrays_that_cannot_be_images(tmp_path: Path, arrays: dict[str, np.ndarray], problem: str) -> None:
    """Each is refused with what was found; nothing is unpickled."""
    with pytest.raises(BadInput, match=problem):
        read(npz(tmp_path / "a.npz", **arrays), tmp_path / "out")


@pytest.mark.parametrize(
    "damage", [lambda c: c[:200], lambda c: b"PK" + c[2:50], lambda _: b"", lambda c: c.replace(b"descr", b"dexcr")]
)
def test_damaged_files(tmp_path: Path, damage: object) -> None:
    """Cut short, empty, or with a false header: a message, not a traceback."""
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    (tmp_path / "a.npz").write_bytes(damage((tmp_path / "a.npz").read_bytes()))  # type: ignore[operator]
    with pytest.raises(BadFile):
        read(tmp_path / "a.npz", tmp_path / "out")
