"""Decoding on all cores gives what decoding one by one gives, in order."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data.dataset import Geometry
from data.errors import BadFile
from data.importing import decoding
from data.importing.decoding import decode_items
from data.importing.options import ImportOptions
from data.importing.quick import _plain, decoded
from data.sources.images import decode
from tests.data.importing.made import images, png, read, write


def test_processes_read_what_threads_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images in a folder are decoded in processes once there are many; the files are the same, byte for byte."""
    pixels = images(1200, shape=(9, 7))
    folder = write(tmp_path / "in", {f"{'ab'[i % 2]}/{i:04}.png": png(image) for i, image in enumerate(pixels)})
    threads = read(folder, tmp_path / "threads", height=8, width=8)
    monkeypatch.setattr(decoding, "THREADS_FIRST", 1)
    started = []
    whole = decoding.Pool._started
    monkeypatch.setattr(decoding.Pool, "_started", lambda pool: started.append(1) or whole(pool))
    monkeypatch.setattr(decoding.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    processes = read(folder, tmp_path / "processes", height=8, width=8)
    assert started
    for role in ("train_images", "train_labels", "test_images", "test_labels"):
        assert np.array_equal(getattr(threads, role), getattr(processes, role))
    (folder / "a" / "0900.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "b" / "0901.png").unlink()
    (folder / "b" / "0901.png").write_text("hello")
    with pytest.raises(BadFile, match=r"2 of 1,200 images cannot be used:\n.*a/0900\.png: .*\n.*b/0901\.png: expected"):
        read(folder, tmp_path / "damaged", height=8, width=8)


def test_batches_that_wait_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of small images four batches per core are ahead, of large ones fewer, never fewer than there are cores."""
    monkeypatch.setattr(decoding.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    ahead = {}
    for side in (28, 256, 1024):
        with decoding.Pool(Geometry(side, side, 3), transpose=False) as pool:
            ahead[side] = pool.ahead
    assert ahead == {28: 8, 256: 5, 1024: 2}


def _saved(image: Image.Image, **how: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **how)  # type: ignore[arg-type]
    return stream.getvalue()


def _variants() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(0, 256, (9, 7), np.uint8))
    smooth = Image.fromarray(np.add.outer(np.arange(60), np.arange(50)).astype(np.uint8))
    rgb = Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8))
    info = PngInfo()
    info.add_text("Comment", "x")
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "grey": _saved(grey),
        "filtered": _saved(smooth, optimize=True),
        "colour": _saved(rgb),
        "resolution": _saved(grey, dpi=(72, 72)),
        "text": _saved(grey, pnginfo=info),
        "rotated": _saved(grey, exif=turned),
        "transparent": _saved(rgb.convert("RGBA")),
        "transparent colour": _saved(grey, transparency=7),
        "palette": _saved(rgb.quantize(8)),
        "1 bit": _saved(grey.convert("1")),
        "16 bits": _saved(Image.fromarray(rng.integers(0, 65536, (9, 7), np.uint16))),
        "JPEG": png(np.asarray(rgb), "JPEG"),
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", _variants())
def test_the_short_way_gives_the_same(name: str, channels: int) -> None:
    """For plain PNGs, and for all others, which go the usual way."""
    content = _variants()[name]
    ground = (200,) * channels
    assert np.array_equal(
        decoded(content, "it", channels, ground), decode(content, "it", channels=channels, ground=ground)
    )
    assert (_plain(content) is not None) == (name in ("grey", "filtered", "colour", "resolution"))


def test_damage_goes_the_usual_way() -> None:
    """Every cut and many changed bytes: either the pixels that Pillow gives, or the same error."""
    content = _variants()["grey"]
    rng = np.random.default_rng(1)
    broken = [content[:n] for n in range(len(content))]
    for at in rng.integers(8, len(content), 200):
        changed = bytearray(content)
        changed[at] ^= int(rng.integers(1, 256))
        broken.append(bytes(changed))
    for some in broken:
        results = []
        for way in (lambda: decoded(some, "it", 1, (0,)), lambda: decode(some, "it", channels=1, ground=(0,))):  # noqa: B023
            try:
                results.append(way().tobytes())
            except BadFile as error:
                results.append(error.problem.encode())
        assert results[0] == results[1]


def test_a_claim_of_many_pixels_allocates_nothing() -> None:
    """A header that promises more than there is, with a right checksum, is refused."""
    content = bytearray(_variants()["grey"])
    content[16:24] = (200).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    with pytest.raises(BadFile):
        decoded(bytes(content), "it", 1, (0,))


@pytest.mark.parametrize(
    "given",
    [
        {"height": 0}, {"width": 5000}, {"channels": 2}, {"fit": "squeeze"}, {"ground": (256,)}, {"ground": (1, 2)},
        {"test_share": 0.0}, {"white": 0.0}, {"kind": "zip"}, {"first_label": 1.5},
    ],
)  # fmt: skip
def test_options_out_of_their_bounds(given: dict[str, object]) -> None:
    """Are refused with the flag, what is allowed and what the option is for."""
    with pytest.raises(Exception, match=f"--{next(iter(given)).replace('_', '-')}: expected"):
        ImportOptions(**given)  # type: ignore[arg-type]


def test_options_are_remembered() -> None:
    """Only those that were given, in a form that JSON keeps."""
    options = ImportOptions(classes=("a", "b"), ground=(255,), transpose=True)
    assert options.given() == {"classes": ["a", "b"], "ground": [255], "transpose": True}
    assert ImportOptions.from_given(options.given()) == options
    with pytest.raises(ValueError, match="no field"):
        ImportOptions.from_given({"colour": True})


def test_a_batch_of_nothing_but_damaged_images() -> None:
    """Each is named with its reason, as among others."""
    found = decode_items([b"no image", b""], Geometry(4, 4), False)
    assert (found.images.shape, found.digests.shape, found.hashes.shape) == ((0, 4, 4), (0, 32), (0,))
    assert [i for i, _ in found.damaged] == [0, 1]
