"""What one file for `nightshift predict` holds, in every format, right and wrong."""

import gzip
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from artifacts.prediction.prepare import prepare
from data.dataset import Geometry
from data.errors import BadFile
from data.sources.idx import write_idx

RNG = np.random.default_rng(0)
INK = np.zeros((28, 28), np.uint8)  # light on dark, with every grey and a dark border
INK[6:22, 6:22] = RNG.integers(0, 256, (16, 16))


def read_images(path: Path, height: int, width: int, channels: Any = 1) -> np.ndarray:
    """The images of a file, as a model of this size takes them."""
    return prepare([str(path)], Geometry(height, width, channels, "pad", (0,) * channels)).images


def saved(path: Path, array: np.ndarray, **options: Any) -> Path:
    """Write an array as the image format that the name says."""
    Image.fromarray(array).save(path, **options)
    return path


def dumped(path: Path, array: np.ndarray) -> Path:
    """Write an array as NPY."""
    np.save(path, array)
    return path


def png_header(height: int, width: int) -> bytes:
    """A PNG that claims this size and holds a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in chunks)


# -- what is read ---------------------------------------------------------------------------------------------


def test_png_comes_back_to_the_bit(tmp_path: Path) -> None:
    """A grey PNG is its pixels, as one image of a batch."""
    pixels = read_images(saved(tmp_path / "a.png", INK), 28, 28)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (1, 28, 28))
    assert (pixels[0] == INK).all()


def test_jpeg_comes_back_nearly(tmp_path: Path) -> None:
    """A JPEG loses a little and no more, whatever its ending is."""
    smooth = np.tile(np.arange(0, 196, 7, dtype=np.uint8), (28, 1))
    for name in ("a.jpg", "a.JPEG", "without-ending"):
        pixels = read_images(saved(tmp_path / name, smooth, format="JPEG", quality=95), 28, 28)
        assert np.abs(pixels[0].astype(int) - smooth).max() <= 4


def test_colour_becomes_grey_by_luma(tmp_path: Path) -> None:
    """Pure red, green and blue are as light as Rec. 601 says; a palette changes nothing."""
    colours = np.zeros((1, 3, 3), np.uint8)
    colours[0, [0, 1, 2], [0, 1, 2]] = 255
    pixels = read_images(saved(tmp_path / "rgb.png", colours), 1, 3)
    assert pixels[0, 0].tolist() == [76, 150, 29]
    Image.fromarray(colours).quantize(4).save(tmp_path / "palette.png")
    assert read_images(tmp_path / "palette.png", 1, 3)[0, 0].tolist() == [76, 150, 29]


def test_sixteen_bits_and_one_bit_are_scaled(tmp_path: Path) -> None:
    """Deeper and shallower greys keep black black and white white."""
    pixels = read_images(saved(tmp_path / "deep.png", INK.astype(np.uint16) * 257), 28, 28)
    assert (pixels[0] == INK).all()
    Image.fromarray(INK > 127).save(tmp_path / "flat.png")
    pixels = read_images(tmp_path / "flat.png", 28, 28)
    assert (pixels[0] == np.where(INK > 127, 255, 0)).all()


@pytest.mark.parametrize(("ink", "background"), [(0, 255), (255, 0)])
def test_transparent_shows_the_ground_or_what_ink_stands_out_from(ink: int, background: int, tmp_path: Path) -> None:
    """White strokes on nothing are white on the model's black; black ones, which would be invisible, are on white."""
    image = np.zeros((28, 28, 4), np.uint8)
    image[10:18, 10:18] = (ink, ink, ink, 255)
    pixels = read_images(saved(tmp_path / "strokes.png", image), 28, 28)
    assert (pixels[0, 0, 0], pixels[0, 12, 12]) == (background, ink)


def test_half_transparent_is_mixed(tmp_path: Path) -> None:
    """Alpha counts in proportion."""
    image = np.full((2, 2, 4), (255, 255, 255, 51), np.uint8)
    assert read_images(saved(tmp_path / "veil.png", image), 2, 2)[0, 0, 0] == 51


def test_a_turned_photograph_is_turned_back(tmp_path: Path) -> None:
    """EXIF orientation is obeyed."""
    tall = np.zeros((40, 20), np.uint8)
    tall[:10] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    saved(tmp_path / "turned.png", np.rot90(tall).copy(), exif=exif)
    pixels = read_images(tmp_path / "turned.png", 40, 20)
    assert (pixels[0] == tall).all()


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u8", "f2", "f4", ">f4", "f8"])
def test_npy_of_any_number_is_read_exactly(dtype: str, tmp_path: Path) -> None:
    """Whole numbers and k/255 in any precision are the same 256 greys."""
    greys = np.arange(256).reshape(1, 16, 16)
    values = greys / 255 if "f" in dtype else greys
    pixels = read_images(dumped(tmp_path / "a.npy", values.astype(dtype)), 16, 16)
    assert pixels.dtype == np.uint8
    assert (pixels == greys).all()


def test_npy_holds_one_image_or_many(tmp_path: Path) -> None:
    """(h, w) is a batch of one; column order is no obstacle."""
    assert read_images(dumped(tmp_path / "one.npy", INK), 28, 28).shape == (1, 28, 28)
    many = np.asfortranarray(np.stack([INK, INK.T]))
    pixels = read_images(dumped(tmp_path / "many.npy", many), 28, 28)
    assert (pixels == many).all()


def test_idx_is_read_packed_or_not(tmp_path: Path) -> None:
    """The datasets' own format, with the names that the datasets use."""
    idx = write_idx(np.stack([INK, INK.T]))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx))
    for path in tmp_path.iterdir():
        assert (read_images(path, 28, 28) == np.stack([INK, INK.T])).all()


@pytest.mark.parametrize(("shape", "channels"), [((3, 28, 28, 1), 1), ((3, 28, 28, 3), 3), ((3, 28, 28, 3), 1)])
def test_npy_may_have_an_axis_for_colour(shape: tuple[int, ...], channels: int, tmp_path: Path) -> None:
    """(n, h, w, 1) as Keras has it, and (n, h, w, 3), which becomes grey for a model of grey images."""
    values = RNG.integers(0, 256, shape).astype(np.uint8)
    pixels = read_images(dumped(tmp_path / "a.npy", values), 28, 28, channels)
    assert pixels.shape == ((3, 28, 28) if channels == 1 else shape)
    assert (pixels == (values if channels == 3 else pixels)).all()
    assert shape[3] == 3 or (pixels == values[..., 0]).all()


def test_what_the_model_takes_decides_what_a_last_axis_of_three_is(tmp_path: Path) -> None:
    """Images of three columns, or one image in colour."""
    values = RNG.integers(0, 256, (5, 4, 3)).astype(np.uint8)
    assert read_images(dumped(tmp_path / "a.npy", values), 4, 3).shape == (5, 4, 3)
    assert (read_images(tmp_path / "a.npy", 5, 4, 3)[0] == values).all()
    assert read_images(dumped(tmp_path / "b.npy", values[..., :1]), 5, 4).shape == (1, 5, 4)


@pytest.mark.parametrize("name", ["gif", "webp", "bmp", "tiff", "tif"])
def test_other_pictures_are_read_too(name: str, tmp_path: Path) -> None:
    """GIF, WebP, BMP and TIFF, by their content, and their names must not contradict it."""
    path = saved(tmp_path / f"a.{name}", INK, **({"lossless": True} if name == "webp" else {}))
    assert (read_images(path, 28, 28)[0] == INK).all()


def test_the_real_test_images_come_back(mirror: Path) -> None:
    """All 10,000 of both datasets, from the compressed files as they are served."""
    for dataset in ("mnist", "fashion-mnist"):
        assert read_images(mirror / dataset / "t10k-images-idx3-ubyte.gz", 28, 28).shape == (10_000, 28, 28)


# -- what is refused ------------------------------------------------------------------------------------------


def test_a_wrong_ending_is_refused_with_the_right_name(tmp_path: Path) -> None:
    """A JPEG called .png is not guessed at."""
    saved(tmp_path / "photo.png", INK, format="JPEG")
    with pytest.raises(BadFile, match="the name says PNG, the content is JPEG") as caught:
        read_images(tmp_path / "photo.png", 28, 28)
    assert ".jpg" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", "an empty file"),
        ("a.png", b"<html>404</html>", "a web page"),
        ("a.gif", b"GIF89a" + bytes(100), "complete GIF"),
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
        ("a.npz", b"PK\x03\x04" + bytes(100), "zip"),
        ("a.npy", b"\x80\x04\x95" + bytes(100), "expected NPY"),
        ("a.idx", b"\0\0\x08", "expected"),
        ("a.gz", gzip.compress(b"hello, world", mtime=0), "expected"),
    ],
)
def test_other_files_are_refused_by_what_they_are(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    """A web page, an archive, a pickle: named, not decoded."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFile, match=message):
        read_images(tmp_path / name, 28, 28)


def test_no_file_and_a_pipe_are_refused(tmp_path: Path) -> None:
    """None of them hangs or ends in a traceback."""
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "missing.png", tmp_path / "pipe.png", Path("/dev/zero"), Path("a" * 300)):
        with pytest.raises(BadFile):
            read_images(path, 28, 28)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    """An NPY of Python objects is refused, and nothing in it runs."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    np.save(tmp_path / "a.npy", np.array([[Bomb()]], dtype=object), allow_pickle=True)
    with pytest.raises(BadFile):
        read_images(tmp_path / "a.npy", 1, 1)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "array",
    [
        np.full((2, 2), 256),
        np.full((2, 2), -1),
        np.full((2, 2), 0.5),  # between 127/255 and 128/255
        np.full((2, 2), 1.5),
        np.full((2, 2), np.nan),
        np.full((2, 2), np.inf),
        np.full((2, 2), 1j),
        np.full((2, 2), True),
        np.full((2, 2), "7"),
        np.zeros((2, 2), "M8[s]"),
        np.zeros((2, 2), [("r", "u1"), ("g", "u1")]),
    ],
    ids=lambda array: f"{array.dtype}:{array.ravel()[0]}",
)
def test_numbers_that_are_not_256_greys_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    """What cannot be converted exactly is not converted at all."""
    with pytest.raises(BadFile, match=r"expected whole numbers in 0..255 or floats k/255"):
        read_images(dumped(tmp_path / "a.npy", array), 2, 2)


@pytest.mark.parametrize("shape", [(), (28,), (0, 28, 28), (28, 28, 0), (1, 28, 28, 2), (1, 1, 28, 28, 1)])
def test_shapes_that_are_not_images_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Labels, nothing, two channels, five axes."""
    with pytest.raises(BadFile):
        read_images(dumped(tmp_path / "a.npy", np.zeros(shape, np.uint8)), 28, 28)


def test_labels_are_not_images(tmp_path: Path) -> None:
    """The wrong one of two IDX files is noticed."""
    (tmp_path / "labels-idx1-ubyte").write_bytes(write_idx(np.arange(10, dtype=np.uint8)))
    with pytest.raises(BadFile, match=r"expected one image .* got 10") as caught:
        read_images(tmp_path / "labels-idx1-ubyte", 28, 28)
    assert "not labels" in caught.value.hint


# -- hostile files --------------------------------------------------------------------------------------------


def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few bytes that claim gigabytes: PNG, NPY, gzip."""
    for size in ((9_000, 9_000), (60_000, 60_000)):
        (tmp_path / "bomb.png").write_bytes(png_header(*size))
        with pytest.raises(BadFile, match="expected at most 64,000,000 pixels"):
            read_images(tmp_path / "bomb.png", 28, 28)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 28, 28)})
    (tmp_path / "bomb.npy").write_bytes(header.getvalue() + bytes(1000))
    with pytest.raises(BadFile):
        read_images(tmp_path / "bomb.npy", 28, 28)
    monkeypatch.setattr("artifacts.prediction.image_files.MAX_BYTES", 10_000_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(20_000_000)))
    with pytest.raises(BadFile, match="more"):
        read_images(tmp_path / "bomb.gz", 28, 28)


def encodings() -> dict[str, bytes]:
    """The same image in every format."""
    found = {}
    for kind in ("PNG", "JPEG"):
        stream = io.BytesIO()
        Image.fromarray(INK).save(stream, format=kind)
        found[kind] = stream.getvalue()
    stream = io.BytesIO()
    np.save(stream, INK)
    return {
        **found,
        "NPY": stream.getvalue(),
        "IDX": write_idx(INK[None]),
        "gzip": gzip.compress(write_idx(INK[None]), mtime=0),
    }


@pytest.mark.parametrize("kind", encodings())
def test_a_file_cut_anywhere_is_refused(kind: str, tmp_path: Path) -> None:
    """No length short of the whole passes for an image."""
    content, path = encodings()[kind], tmp_path / "cut"
    for end in {*range(0, len(content), 7), *range(len(content) - 25, len(content))}:
        path.write_bytes(content[:end])
        with pytest.raises(BadFile):
            read_images(path, 28, 28)


@pytest.mark.parametrize("header", ["{'descr': (", "{'descr': '|u1", "{'a': 1}", "(" * 400, ""])
def test_a_header_that_numpy_cannot_take_apart_is_refused(tmp_path: Path, header: str) -> None:
    """In every version of the format: NumPy's parser raises what it likes, found by tests/fuzz."""
    for version in (b"\1\0", b"\2\0", b"\3\0"):
        size = len(header).to_bytes(2 if version == b"\1\0" else 4, "little")
        (tmp_path / "a.npy").write_bytes(b"\x93NUMPY" + version + size + header.encode() + bytes(64))
        with pytest.raises(BadFile, match="expected an array of numbers"):
            read_images(tmp_path / "a.npy", 28, 28)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(encodings())),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_file_is_an_image_or_refused(
    kind: str, damage: list[tuple[float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bytes are changed, nothing but BadFile is raised."""
    content = bytearray(encodings()[kind])
    for place, value in damage:
        content[int(place * (len(content) - 1))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        pixels = read_images(path, 28, 28)
    except BadFile:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[1:] == (28, 28)
