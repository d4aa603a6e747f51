"""The geometry that is guessed from a sample, and the options that say otherwise."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import BadInput
from tests.data.importing.made import images, png, read, write


def folder(path: Path, pictures: list[np.ndarray]) -> Path:
    """Pictures of two classes."""
    return write(path, {f"{'ab'[i % 2]}/{i:03}.png": png(picture) for i, picture in enumerate(pictures)})


def test_one_size_is_kept(tmp_path: Path) -> None:
    """However odd; a few images of another size are brought to it."""
    pictures = [*images(40, shape=(7, 11)), *images(2, shape=(30, 30))]
    got = read(folder(tmp_path / "in", pictures), tmp_path / "out")
    assert got.imported.geometry.shape == (7, 11)
    assert got.imported.n_train + got.imported.n_test == 42


def test_sizes_that_differ_give_a_round_median(tmp_path: Path) -> None:
    """A square if they are nearly square; it is said, with the options for another."""
    sizes = [(38, 45), (41, 39), (44, 50), (60, 52), (30, 33), (39, 41)]
    got = read(folder(tmp_path / "in", [images(1, shape=size)[0] for size in sizes]), tmp_path / "out")
    assert got.imported.geometry.shape == (40, 40)
    assert "sizes differ, from 30 × 33 to 60 × 52 (height × width): all become 40 × 40" in got.notes
    assert "--height and --width" in got.notes


def test_large_images_are_scaled_down(tmp_path: Path) -> None:
    """To 224 pixels at most, keeping their proportions, unless an option gives the size."""
    source = folder(tmp_path / "in", list(images(6, shape=(300, 600))))
    got = read(source, tmp_path / "out")
    assert got.imported.geometry.shape == (112, 224)
    assert "images of 300 × 600 are scaled to 112 × 224" in got.notes
    assert read(source, tmp_path / "out2", height=30).imported.geometry.shape == (30, 60)
    assert read(source, tmp_path / "out3", height=20, width=20).imported.geometry.shape == (20, 20)


def test_colour_only_where_there_is_colour(tmp_path: Path) -> None:
    """Grey images saved as RGB are grey; one image in colour is enough; an option decides otherwise."""
    grey = [np.repeat(image[..., None], 3, axis=-1) for image in images(8)]
    assert read(folder(tmp_path / "grey", grey), tmp_path / "out").imported.geometry.shape == (6, 5)
    coloured = [*grey, *images(1, shape=(6, 5, 3))]
    got = read(folder(tmp_path / "colour", coloured), tmp_path / "out2")
    assert got.imported.geometry.shape == (6, 5, 3)
    assert got.train_images.shape[1:] == (6, 5, 3)
    assert read(tmp_path / "colour", tmp_path / "out3", channels=1).imported.geometry.shape == (6, 5)


def test_the_ground_is_the_colour_of_the_borders(tmp_path: Path) -> None:
    """White paper is ground 255, in each channel; it fills what padding adds; an option decides otherwise."""
    paper = [255 - image for image in images(8)]
    got = read(folder(tmp_path / "paper", paper), tmp_path / "out", height=10, width=10)
    assert got.imported.geometry.ground == (255,)
    assert (got.train_images[:, :, 0] == 255).all()
    red = [np.where(image[..., None] > 0, image[..., None], np.array([200, 10, 20], np.uint8)) for image in images(8)]
    got = read(folder(tmp_path / "red", [image.astype(np.uint8) for image in red]), tmp_path / "out2")
    assert got.imported.geometry.ground == (200, 10, 20)
    assert read(tmp_path / "red", tmp_path / "out3", ground=(7,)).imported.geometry.ground == (7, 7, 7)
    with pytest.raises(BadInput, match="--ground has 3 values, but the images are grey"):
        read(tmp_path / "paper", tmp_path / "out4", ground=(1, 2, 3))


def test_fit_is_obeyed(tmp_path: Path) -> None:
    """Padded, cropped, stretched: the border of a wide image shows which."""
    wide = np.full((4, 8), 200, np.uint8)
    wide[:, :2] = 50
    source = folder(tmp_path / "in", [np.roll(wide, i, axis=1) if i else wide for i in range(8)])
    shapes = {
        fit: read(source, tmp_path / fit, height=8, width=8, fit=fit, ground=(9,)) for fit in ("pad", "crop", "stretch")
    }
    assert (shapes["pad"].train_images[:, 0] == 9).all()
    assert (shapes["stretch"].train_images != 9).all()
    assert (shapes["crop"].train_images != 9).all()
