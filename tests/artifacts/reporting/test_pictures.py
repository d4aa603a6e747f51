"""The pictures with images in them, decoded again and looked at pixel by pixel."""

import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from artifacts.reporting import pictures, sheets
from artifacts.reporting.canvas import BAR, BLUE, RED, picture, short
from data.errors import BadInput, StorageFailed

DIGITS = tuple("0123456789")
SEVEN = np.zeros((28, 28), np.uint8)
SEVEN[6:9, 8:20] = SEVEN[8:24, 16:19] = 255
HOSTILE = ("$\\frac{1}{", "a\nb", "<b>", "ねこ", "%s {x}", "", "x" * 500, "\ud800", "日本", "\x00")


def answer(n_classes: int, predicted: int, confidence: float) -> np.ndarray:
    """Probabilities float32 (classes,) with that maximum."""
    probabilities = np.full(n_classes, (1 - confidence) / (n_classes - 1), np.float32)
    probabilities[predicted] = confidence
    return probabilities


def decoded(path: Path) -> np.ndarray:
    """The picture as int array (height, width, 3)."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def pixels_of(image: np.ndarray, colour: str) -> np.ndarray:
    """Where the picture has that colour: (pixels, 2) of row and column."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return np.argwhere(np.abs(image - wanted).max(axis=2) <= 12)


def test_right_prediction_has_a_blue_bar_and_no_red(tmp_path: Path) -> None:
    """If the prediction is right, its bar and its label are blue."""
    pictures.prediction(SEVEN, answer(10, 7, 0.91), DIGITS, 7, tmp_path / "seven.png")
    image = decoded(tmp_path / "seven.png")
    assert len(pixels_of(image, RED)) == 0
    blue = pixels_of(image, BLUE)
    bars = blue[blue[:, 1] > image.shape[1] / 2]
    assert len(bars) > 2000
    assert (blue[:, 1] < image.shape[1] / 2).any(), "the label below the image is blue too"


def test_wrong_prediction_is_red_and_the_truth_blue(tmp_path: Path) -> None:
    """If the prediction is wrong, its bar is red and that of the true class blue, each in its class's place."""
    probabilities = answer(10, 2, 0.6)
    probabilities[7] = 0.35
    pictures.prediction(SEVEN, probabilities, DIGITS, 7, tmp_path / "two.png")
    image = decoded(tmp_path / "two.png")
    half = image.shape[1] / 2
    red, blue = (found[found[:, 1] > half] for found in (pixels_of(image, RED), pixels_of(image, BLUE)))
    assert len(red) > len(blue) > 1000
    assert red[:, 1].max() < blue[:, 1].min(), "2 stands to the left of 7"
    assert red[:, 0].min() < blue[:, 0].min(), "the more probable bar is the higher one"
    assert len(pixels_of(image, BAR)) > 0


def test_without_truth_no_bar_is_blue(tmp_path: Path) -> None:
    """Where nobody knows the truth, the predicted bar is red and the label takes no side."""
    pictures.prediction(SEVEN, answer(10, 7, 0.91), DIGITS, None, tmp_path / "seven.png")
    image = decoded(tmp_path / "seven.png")
    assert len(pixels_of(image, BLUE)) == 0
    red = pixels_of(image, RED)
    assert len(red) > 2000
    assert red[:, 1].min() > image.shape[1] / 2


def test_the_image_is_shown_dark_on_light(tmp_path: Path) -> None:
    """Ink that is stored as 255 is shown black, where it is in the image."""
    pictures.prediction(SEVEN, answer(10, 7, 0.91), DIGITS, 7, tmp_path / "seven.png")
    image = decoded(tmp_path / "seven.png")
    black = np.argwhere((image < 12).all(axis=2) & (np.arange(image.shape[1]) < image.shape[1] * 0.44))
    height = black[:, 0].max() - black[:, 0].min()
    width = black[:, 1].max() - black[:, 1].min()
    assert height / width == pytest.approx(18 / 12, rel=0.05)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    """A picture depends on its content only, not on the user's settings, and drawing leaves those alone."""
    pictures.prediction(SEVEN, answer(10, 7, 0.91), DIGITS, 7, tmp_path / "one.png")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "text.usetex": True}):
        pictures.prediction(SEVEN, answer(10, 7, 0.91), DIGITS, 7, tmp_path / "two.png")
        assert mpl.rcParams["font.size"] == 30
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert not {"date", "software"} & {key.lower() for key in image.info}


def test_many_predictions_make_a_grid(tmp_path: Path) -> None:
    """A single image gets the large form, four fill two rows, and no more than n are drawn."""
    images = np.stack([SEVEN] * 30)
    probabilities = np.stack([answer(10, 7, 0.9)] * 30)
    sizes = {}
    for n in (1, 2, 4, 30):
        pictures.predictions(images[:n], probabilities[:n], DIGITS, None, tmp_path / "grid.png")
        sizes[n] = decoded(tmp_path / "grid.png").shape[:2]
    pictures.prediction(SEVEN, probabilities[0], DIGITS, None, tmp_path / "one.png")
    assert sizes[1] == decoded(tmp_path / "one.png").shape[:2]
    assert sizes[4][0] == pytest.approx(2 * sizes[2][0], abs=5)
    assert sizes[30][0] == pytest.approx(5 * sizes[2][0], abs=5), "fifteen of thirty, in rows of three"


def test_of_a_thousand_classes_those_that_matter_are_drawn(tmp_path: Path) -> None:
    """The true class has its place among the bars even if it is the least probable of a thousand."""
    probabilities = answer(1000, 3, 0.3)
    probabilities[999] = 0.2
    names = [f"class number {index}" for index in range(1000)]
    pictures.prediction(SEVEN, probabilities, names, 999, tmp_path / "many.png")
    image = decoded(tmp_path / "many.png")
    assert len(pixels_of(image, BLUE)) > 300
    assert len(pixels_of(image, RED)) > 300
    probabilities[999] = 0.0
    pictures.prediction(SEVEN, probabilities, names, 999, tmp_path / "many.png")
    assert len(pixels_of(decoded(tmp_path / "many.png"), BLUE)) > 10, "its name"


def test_differences_show_each_kind(tmp_path: Path) -> None:
    """Images that only one model gets right take equal shares of the picture, however many there are of each kind."""
    group = np.array([0] * 100 + [1] * 4 + [2] * 100)
    chosen = sheets._shares(group, np.arange(204, dtype=np.float32), 25)
    assert np.bincount(group[chosen]).tolist() == [11, 4, 10]
    assert chosen[0] == 99, "the most confident of its kind comes first"
    labels = np.array([7, 7, 7, 7])
    a = np.stack([answer(10, predicted, 0.9) for predicted in (7, 1, 2, 7)])
    b = np.stack([answer(10, predicted, 0.8) for predicted in (1, 7, 3, 7)])
    images = np.stack([SEVEN] * 4)
    sheets.difference_grid(images, labels, a, b, DIGITS, path=tmp_path / "diff.png", names=("mnist/1", "mnist/2"))
    image = decoded(tmp_path / "diff.png")[60:]
    blue = pixels_of(image, BLUE)
    assert np.unique(blue[:, 1] // (image.shape[1] // 5)).tolist() == [0, 1], "in the third image neither is right"


def test_models_that_agree_have_a_picture_without_images(tmp_path: Path) -> None:
    """No difference is no reason to fail."""
    same = answer(10, 7, 0.9)[None]
    sheets.difference_grid(SEVEN[None], np.array([7]), same, same, DIGITS, path=tmp_path / "same.png")
    assert decoded(tmp_path / "same.png").std() > 0


def test_hostile_class_names_are_drawn_as_text(tmp_path: Path) -> None:
    """Names with formulas, line breaks, nothing, or letters the font lacks neither fail nor warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.prediction(SEVEN, answer(10, 7, 0.9), HOSTILE, 0, tmp_path / "hostile.png")
    assert decoded(tmp_path / "hostile.png").std() > 0


def test_images_of_any_size_are_drawn(tmp_path: Path) -> None:
    """One pixel, or a strip of 8 by 200, is an image too."""
    for size in ((1, 1), (8, 200)):
        pictures.prediction(np.full(size, 128, np.uint8), answer(10, 7, 0.9), DIGITS, 7, tmp_path / "odd.png")
        assert decoded(tmp_path / "odd.png").shape == (352, 704, 3)


def test_where_a_picture_cannot_go(tmp_path: Path) -> None:
    """A folder is refused as a picture's name, a missing folder is made, a file in the way is explained."""
    with pytest.raises(BadInput, match="expected a file name for the picture"):
        pictures.prediction(SEVEN, answer(10, 7, 0.9), DIGITS, None, tmp_path)
    pictures.prediction(SEVEN, answer(10, 7, 0.9), DIGITS, None, tmp_path / "new" / "seven.png")
    assert decoded(tmp_path / "new" / "seven.png").std() > 0
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed), picture(tmp_path / "file" / "x.png", 1, 1):
        pass


def test_names_are_shortened_without_losing_their_end() -> None:
    """Names of classes often differ only in their last letters."""
    assert short("class number 114", 12) == "class nu…114"
