"""Image files, right and wrong, and how they are fitted."""

import io
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.dataset import Geometry
from data.errors import BadFile
from data.sources.images import FORMATS, decode, fit

RNG = np.random.default_rng(0)
INK = np.zeros((28, 24), np.uint8)
INK[6:22, 6:22] = RNG.integers(0, 256, (16, 16))
COLOUR = np.repeat(np.repeat(RNG.integers(0, 256, (7, 6, 3)), 4, 0), 4, 1).astype(np.uint8)
LOSSLESS = {"PNG": {}, "GIF": {}, "WEBP": {"lossless": True, "exact": True}, "BMP": {}, "TIFF": {}}


def encoded(array: np.ndarray, name: str, mode: str = "", **options: Any) -> bytes:
    """An image file."""
    image, stream = Image.fromarray(array), io.BytesIO()
    (image.convert(mode) if mode else image).save(stream, name, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_come_back_to_the_bit(name: str) -> None:
    """Grey is grey, as uint8 (h, w), in all of them; WebP stores it as colour."""
    grey = decode(encoded(INK, name, **LOSSLESS[name]), "a", channels=1)
    assert (grey.dtype, grey.shape) == (np.uint8, (28, 24))
    assert (grey == INK).all()
    colour = decode(encoded(INK, name, **LOSSLESS[name]), "a", channels=3)
    assert (colour == INK[..., None]).all()
    assert (decode(encoded(INK, name, **LOSSLESS[name]), "a").ndim == 2) == (name != "WEBP")


@pytest.mark.parametrize("name", [name for name in LOSSLESS if name != "GIF"])
def test_colour_stays_colour(name: str) -> None:
    """As uint8 (h, w, 3), red first."""
    assert (decode(encoded(COLOUR, name, **LOSSLESS[name]), "a") == COLOUR).all()


def test_jpeg_loses_a_little() -> None:
    """In grey and in colour."""
    smooth = np.tile(np.arange(0, 196, 7, dtype=np.uint8), (28, 1))
    assert np.abs(decode(encoded(smooth, "JPEG", quality=95), "a").astype(int) - smooth).max() <= 4
    assert decode(encoded(COLOUR, "JPEG"), "a").shape == (28, 24, 3)


def test_a_palette_of_greys_is_grey() -> None:
    """The colours in use decide, and colour is converted by Rec. 601."""
    assert (decode(encoded(INK, "PNG", "P"), "a") == INK).all()
    primary = np.zeros((1, 3, 3), np.uint8)
    primary[0, [0, 1, 2], [0, 1, 2]] = 255
    palette = io.BytesIO()
    Image.fromarray(primary).quantize(4).save(palette, "PNG")
    assert decode(palette.getvalue(), "a").shape == (1, 3, 3)
    assert decode(palette.getvalue(), "a", channels=1)[0].tolist() == [76, 150, 29]


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled(name: str) -> None:
    """White stays white, and every grey times 257 comes back."""
    assert (decode(encoded(INK.astype(np.uint16) * 257, name), "a") == INK).all()


def test_one_bit_is_black_and_white() -> None:
    """0 and 255."""
    assert (decode(encoded(INK > 127, "PNG"), "a") == np.where(INK > 127, 255, 0)).all()


def test_cmyk_becomes_rgb() -> None:
    """As in JPEGs for print; no ink is white."""
    image, stream = Image.new("CMYK", (8, 8), (0, 0, 0, 0)), io.BytesIO()
    image.save(stream, "TIFF")
    assert (decode(stream.getvalue(), "a") == 255).all()
    assert decode(encoded(COLOUR, "JPEG", "CMYK"), "a").shape == (28, 24, 3)


@pytest.mark.parametrize(("channels", "expected"), [(1, 76), (3, [255, 0, 0])])
def test_transparency_shows_the_ground(channels: int, expected: Any) -> None:
    """A red ground behind nothing; in grey, its luma; half of it behind half."""
    image = np.zeros((2, 2, 4), np.uint8)
    image[0] = (255, 255, 255, 255)
    image[1, 1] = (255, 255, 255, 51)
    pixels = decode(encoded(image, "PNG"), "a", channels=channels, ground=(255, 0, 0))
    assert pixels[0, 0].tolist() == (255 if channels == 1 else [255, 255, 255])
    assert pixels[1, 0].tolist() == expected
    assert pixels[1, 1].tolist() == (112 if channels == 1 else [255, 51, 51])


def test_without_a_ground_transparent_is_what_ink_stands_out_from() -> None:
    """Black strokes on nothing are black on white, white ones white on black; a grey ground fits three channels."""
    for ink, behind in ((0, 255), (255, 0)):
        image = np.zeros((8, 8, 4), np.uint8)
        image[2:6, 2:6] = (ink, ink, ink, 255)
        assert decode(encoded(image, "PNG"), "a")[0, 0].tolist() == [behind] * 3
        assert decode(encoded(image, "PNG"), "a", ground=(7,))[0, 0].tolist() == [7] * 3


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation_is_obeyed(name: str) -> None:
    """A photograph taken with the camera on its side stands upright."""
    tall = np.zeros((40, 24), np.uint8)
    tall[:10] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    found = decode(encoded(np.rot90(tall).copy(), name, exif=exif), "a", channels=1)
    assert found.shape == (40, 24)
    assert np.abs(found.astype(int) - tall).max() <= 12


def test_the_first_frame_of_an_animation_counts() -> None:
    """Of a GIF and a WebP, and the first page of a TIFF."""
    frames = [Image.fromarray(np.full((9, 9), grey, np.uint8)) for grey in (10, 200)]
    for name in ("GIF", "WEBP", "TIFF"):
        stream = io.BytesIO()
        frames[0].save(stream, name, save_all=True, append_images=frames[1:])
        assert abs(int(decode(stream.getvalue(), "a", channels=1)[4, 4]) - 10) <= 2


# -- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"<html>404</html>", "a web page"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
        (b"\0\0\0\x18ftypavif" + bytes(50), "AVIF"),
        (b"RIFF\0\0\0\0WAVE" + bytes(50), "begins with 52 49 46 46"),
        (b"%PDF-1.4", "25 50 44 46"),
    ],
)
def test_other_files_are_named(content: bytes, message: str) -> None:
    """What came is said, with the file's name and the formats that are read."""
    with pytest.raises(BadFile, match=f"cat: expected PNG, JPEG, GIF, WebP, BMP or TIFF, got .*{message}"):
        decode(content, "cat")


def test_floats_and_32_bits_are_refused() -> None:
    """Whatever white is in them, nobody knows."""
    for pixels in (np.full((4, 4), 0.5, np.float32), np.full((4, 4), 70_000, np.int32)):
        with pytest.raises(BadFile, match="expected 8 or 16 bits"):
            decode(encoded(pixels, "TIFF"), "a")


@pytest.mark.parametrize("name", FORMATS)
def test_too_many_pixels_are_refused_before_they_are_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header's claim is enough."""
    monkeypatch.setattr("data.sources.images.MAX_PIXELS", 500)
    with pytest.raises(BadFile, match="expected at most 500 pixels, got 28×24"):
        decode(encoded(INK, name), "a")


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_short_is_refused(name: str) -> None:
    """No length without all the pixels passes for an image; a GIF's last two bytes hold none."""
    content = encoded(INK, name)
    for end in {*range(0, len(content) - 2, 7), *range(len(content) - 25, len(content) - 2)}:
        with pytest.raises(BadFile):
            decode(content[:end], "a")


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_an_image_or_refused(name: str) -> None:
    """Whatever bytes are changed, nothing but BadFile is raised."""
    dice, content = random.Random(0), encoded(COLOUR, name)
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 4)):  # early bytes more often: headers are there
            damaged[int(dice.random() ** 2 * len(damaged))] = dice.randint(0, 255)
        try:
            assert decode(bytes(damaged), "a", channels=3).ndim == 3
        except BadFile:
            continue


# -- fitting --------------------------------------------------------------------------------------------------


def test_what_fits_already_is_not_touched() -> None:
    """Not even copied."""
    assert fit(INK, Geometry(28, 24)) is INK


def test_padding_shows_everything_on_the_ground() -> None:
    """A tall image stands in the middle, in the geometry's ground colour."""
    image = np.full((56, 28), 200, np.uint8)
    fitted = fit(image, Geometry(28, 28, ground=(9,)))
    assert (fitted[:, :7] == 9).all()
    assert (fitted[:, 21:] == 9).all()
    assert (fitted[:, 7:21] == 200).all()
    colour = fit(np.full((28, 56, 3), 200, np.uint8), Geometry(28, 28, 3, "pad", (1, 2, 3)))
    assert colour[0, 0].tolist() == [1, 2, 3]
    assert (colour[7:21] == 200).all()


def test_cropping_fills_everything_from_the_middle() -> None:
    """What is cut off is the same on both sides."""
    image = np.full((28, 84), 50, np.uint8)
    image[:, 28:56] = np.arange(28, dtype=np.uint8)
    assert (fit(image, Geometry(28, 28, fit="crop")) == image[:, 28:56]).all()


def test_stretching_fills_everything_with_everything() -> None:
    """Halves stay halves."""
    image = np.zeros((10, 60), np.uint8)
    image[:, 30:] = 240
    fitted = fit(image, Geometry(20, 20, fit="stretch"))
    assert (fitted[:, :9] == 0).all()
    assert (fitted[:, 11:] == 240).all()


def test_shrinking_undoes_enlarging() -> None:
    """A digit drawn ten times as large comes back by area, to the bit."""
    assert (fit(np.kron(INK, np.ones((10, 10), np.uint8)), Geometry(28, 24)) == INK).all()


@pytest.mark.parametrize("how", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (14, 14, 3), (29, 27), (27, 29, 3)])
def test_any_size_can_be_fitted(shape: tuple[int, ...], how: Any) -> None:
    """Smaller, larger, and absurdly long images, in grey and colour, to grey and colour; a flat image stays flat."""
    for channels in (1, 3):
        geometry = Geometry(28, 20, channels, how, (200,) * channels)
        fitted = fit(np.full(shape, 200, np.uint8), geometry)
        assert (fitted.dtype, fitted.shape) == (np.uint8, geometry.shape)
        assert (fitted == 200).all()
