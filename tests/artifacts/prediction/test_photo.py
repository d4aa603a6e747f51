"""Photographs of digits: what is cut out of them is what the makers of MNIST would have stored."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from artifacts.prediction.photo import extract
from artifacts.prediction.prepare import prepare
from data.dataset import Geometry
from data.errors import BadInput
from tests.artifacts.trained import TrainedHome

MNIST = Geometry(28, 28)


def photograph(digit: np.ndarray, light: str, dice: np.random.Generator) -> np.ndarray:
    """A digit somewhere on a sheet of paper, uint8 (450, 600); `light` says how the paper is lit."""
    y, x = np.mgrid[0:1:450j, 0:1:600j]
    paper = {
        "evenly": np.full(x.shape, 190.0),
        "from the side": 120 + 100 * x + 20 * y,
        "in the middle": 220 - 280 * ((x - 0.5) ** 2 + (y - 0.5) ** 2),
        "under a shadow": 210 - 90 * ndimage.gaussian_filter((x + 0.3 * y > 0.7).astype(float), 12),
        "chalk on a board": np.full(x.shape, 50.0),
    }[light]
    side = int(dice.integers(120, 400))
    big = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), float) / 255
    top, left = dice.integers(5, 445 - side), dice.integers(5, 595 - side)
    ink = np.zeros(x.shape)
    ink[top : top + side, left : left + side] = big
    lit = paper + 140 * ink if light.startswith("chalk") else paper * (1 - 0.7 * ink)
    return (lit + dice.normal(0, 4, x.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("light", ["evenly", "from the side", "in the middle", "under a shadow", "chalk on a board"])
def test_photographed_digits_are_recognised(light: str, built: TrainedHome) -> None:
    """However the paper is lit: by a small model nearly as often as the images that were photographed."""
    from artifacts.models import loading

    model = loading.load_recorded(built.store, built.store.trained(built.refs[0].digest))
    dice, digits, labels = np.random.default_rng(0), built.tests.images[:60], built.tests.labels[:60]
    found = np.stack([extract(photograph(digit, light, dice), MNIST).image for digit in digits])
    right = [int((loading.predict(model, images).argmax(axis=1) == labels).sum()) for images in (digits, found)]
    assert right[1] >= right[0] - 7


def test_the_ink_fills_twenty_of_twenty_eight_pixels_around_its_centre_of_mass() -> None:
    """The photograph of case 8: thin strokes in a corner, grey paper, noise."""
    dice = np.random.default_rng(0)
    photo = (185 + dice.normal(0, 4, (1200, 900))).clip(0, 255).astype(np.uint8)
    photo[100:260, 120:132] = 60
    photo[100:112, 80:200] = 60
    found = extract(photo, MNIST)
    image = found.image.astype(float)
    rows = np.flatnonzero((image > 85).any(axis=1))
    assert rows[-1] - rows[0] + 1 in {18, 19, 20}  # the outermost may be faint, as in MNIST
    assert np.median(image) == 0
    assert image.max() == 255
    assert ndimage.center_of_mass(image) == pytest.approx((13.5, 13.5), abs=0.6)
    assert "cut out, fitted and centred" in found.note


def test_the_models_ground_decides_which_way_round_it_is() -> None:
    """A model of dark ink on white paper gets dark ink on white, on whatever it was written."""
    chalk = np.full((200, 200), 40, np.uint8)
    chalk[50:150, 90:110] = 220
    for photo in (chalk, 255 - chalk):
        image = extract(photo, Geometry(28, 28, ground=(255,))).image
        assert (image[0, 0], image[14, 14]) == (255, 0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 700), (40, 30), (1500, 40)])
def test_paper_without_ink_is_empty(shape: tuple[int, int]) -> None:
    """With grain and without, whatever its size: the ground, and a note."""
    for grain in (0, 5):
        paper = (180 + np.random.default_rng(0).normal(0, grain, shape)).clip(0, 255).astype(np.uint8)
        found = extract(paper, MNIST)
        assert (found.image == 0).all()
        assert "no ink" in found.note


def test_dirt_and_the_edge_of_the_paper_are_left_out() -> None:
    """A speck in the corner does not make the digit smaller, nor does the table beside the sheet."""
    photo = np.full((300, 300), 200, np.uint8)
    photo[100:200, 140:160] = 30
    clean = extract(photo, MNIST).image
    photo[20:23, 20:23] = 30
    photo[:, 292:] = 60
    assert np.abs(extract(photo, MNIST).image.astype(int) - clean).max() <= 8


def test_a_model_of_colours_takes_no_photographs_of_ink(tmp_path: Path) -> None:
    """It is said, rather than tried."""
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match="expected a model of grey images"):
        prepare([str(tmp_path / "a.png")], Geometry(9, 9, 3, "pad", (0, 0, 0)), from_photo=True)
    (note,) = prepare([str(tmp_path / "a.png")], Geometry(9, 9), from_photo=True).notes
    assert note == "--from-photo: no ink was found in the photograph."
