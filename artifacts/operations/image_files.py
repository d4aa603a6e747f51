"""Image files for `nightshift predict`: PNG, JPEG, NPY and IDX become uint8 arrays of the model's size.

No file is trusted: its content decides its format, its size is checked before it is decoded, and everything that is
wrong with it is raised as BadFile.
"""

import io
import stat
import struct
import tokenize
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.errors import BadFile
from data.idx import GZIP_MAGIC, looks_like, read_idx, unpack

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]

MAX_BYTES = 1 << 30  # of a file, and of what a compressed one holds
MAX_PIXELS = 64_000_000  # of one PNG or JPEG: a large camera's, 250 MB when decoded
MAX_PIXELS_OF_ARRAY = 200_000_000  # of NPY or IDX: three times all of MNIST
KINDS: dict[str, tuple[bytes, tuple[str, ...]]] = {  # by format: the first bytes, and the file name endings
    "PNG": (b"\x89PNG\r\n\x1a\n", (".png",)),
    "JPEG": (b"\xff\xd8\xff", (".jpg", ".jpeg", ".jpe")),
    "NPY": (b"\x93NUMPY", (".npy",)),
    "IDX": (b"\0\0", (".idx", ".idx1", ".idx3")),
    "gzip": (GZIP_MAGIC, (".gz",)),
}
PNG_END = b"IEND\xaeB`\x82"
# what Pillow and NumPy raise on damaged files, found by trying
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    tokenize.TokenError,
)


def read_images(
    path: Path, height: int, width: int, *, resize: bool = False, invert: bool = False
) -> tuple[Pixels, tuple[str, ...]]:
    """Read one image or several.

    PNG and JPEG are converted to grey by Rec. 601 luma and rotated as their EXIF says. Transparent pixels get a
    background in contrast to the ink: white behind dark ink, black behind light ink. NPY and IDX hold one image (h, w)
    or several (n, h, w): whole numbers in 0..255, or floats that are such numbers divided by 255.

    Args:
        path: the file; IDX may be compressed with gzip.
        height: of the model's images, in pixels.
        width: of the model's images, in pixels.
        resize: fit images of another size: scale them, keep the proportions, centre them, and fill the rest with the
            colour of the image's border.
        invert: turn dark ink on a light background into light on dark, as in the datasets.

    Returns:
        uint8 of shape (n, height, width), n at least 1, and warnings, one sentence each.

    Raises:
        BadFile: the file is missing, of another format, damaged or too large, or has images of another size and
            `resize` is off.
    """
    content = _content(path)
    kind = _kind(path, content)
    readers: dict[str, Callable[[], Pixels]] = {
        "NPY": lambda: _npy(path),
        "IDX": lambda: _whole(read_idx(content, path.name), path),
        "gzip": lambda: _whole(read_idx(unpack(content, MAX_BYTES, path.name), path.name), path),
    }
    images = readers[kind]() if kind in readers else _picture(path, content, kind, None if resize else (height, width))
    if images.shape[1:] != (height, width):
        if not resize:
            raise _wrong_size(path, images.shape[1:], (height, width))
        images = np.stack([_fit(image, height, width) for image in images])
    images = 255 - images if invert else images
    return images, _warnings(images, invert)


def _content(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadFile(f"{path}: expected a file, got a folder or a device", "name a PNG, JPEG, NPY or IDX file")
        if status.st_size > MAX_BYTES:
            raise BadFile(f"{path}: expected at most {MAX_BYTES >> 20} MiB, got more", "split the file")
        return path.read_bytes()
    except OSError as error:
        raise BadFile(
            f"{path}: cannot be read: {error.strerror or error}", "name a PNG, JPEG, NPY or IDX file"
        ) from error


def _kind(path: Path, content: bytes) -> str:
    """Return the file's format; a file name that contradicts the content is refused."""
    kind = next((kind for kind, (magic, _) in KINDS.items() if content.startswith(magic)), "")
    named = next((name for name, (_, endings) in KINDS.items() if path.suffix.lower() in endings), "")
    if not kind:
        begins = f"a file that begins with {looks_like(content)}" if content else "an empty file"
        raise BadFile(f"{path}: expected {named or 'PNG, JPEG, NPY or IDX'}, got {begins}", "convert or fetch it again")
    if named and named != kind:
        raise BadFile(
            f"{path}: the name says {named}, the content is {kind}",
            f"rename it to {path.with_suffix(KINDS[kind][1][0]).name} if that is right",
        )
    return kind


def _wrong_size(path: Path, found: tuple[int, ...], expected: tuple[int, int]) -> BadFile:
    return BadFile(
        f"{path}: expected {expected[0]}×{expected[1]} pixels (height × width), got {found[0]}×{found[1]}",
        "add --resize to fit it",
    )


# -- PNG and JPEG ---------------------------------------------------------------------------------------------


def _picture(path: Path, content: bytes, kind: str, expected: tuple[int, int] | None) -> Pixels:
    """Decode a PNG or JPEG to uint8 (1, h, w); if `expected` is given, another size is refused before decoding."""
    from PIL import Image, ImageOps

    if kind == "PNG" and PNG_END not in content:  # Pillow would accept it
        raise BadFile(f"{path}: expected a complete PNG, got one that is cut short", "fetch it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with Image.open(io.BytesIO(content), formats=(kind,)) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise BadFile(
                        f"{path}: expected at most {MAX_PIXELS:,} pixels, got {height}×{width}", "make it smaller"
                    )
                if expected and sorted(expected) != sorted((height, width)):
                    raise _wrong_size(path, (height, width), expected)
                return _grey(ImageOps.exif_transpose(image))[None]
    except Image.DecompressionBombError as error:
        raise BadFile(f"{path}: expected at most {MAX_PIXELS:,} pixels, got far more", "make it smaller") from error
    except DAMAGED as error:
        raise BadFile(
            f"{path}: expected a complete {kind}, got one that is damaged or cut short ({error})", "fetch it again"
        ) from error


def _grey(image: "Image.Image") -> Pixels:
    """Return uint8 (h, w)."""
    if image.mode.startswith("I"):  # 16 bits
        return (np.asarray(image, np.int64).clip(0, 65535) / 257).round().astype(np.uint8)
    if "A" not in image.getbands() and "transparency" not in image.info:
        return np.asarray(image.convert("L"))
    pixels = np.asarray(image.convert("RGBA"))
    grey, alpha = np.asarray(image.convert("RGBA").convert("L"), np.float64), pixels[..., 3] / 255.0
    dark_ink = float((grey * alpha).sum()) <= 127.5 * float(alpha.sum())
    return (grey * alpha + (255.0 if dark_ink else 0.0) * (1 - alpha)).round().astype(np.uint8)


def _fit(image: Pixels, height: int, width: int) -> Pixels:
    """Scale (h, w) into (height, width), centred, on the colour of its border."""
    from PIL import Image

    scale = min(height / image.shape[0], width / image.shape[1])
    inner = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    by_area = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    scaled = np.asarray(Image.fromarray(image).resize((inner[1], inner[0]), by_area))
    fitted = np.full((height, width), round(float(np.median(_border(image)))), np.uint8)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    fitted[top : top + inner[0], left : left + inner[1]] = scaled
    return fitted


# -- NPY and IDX ----------------------------------------------------------------------------------------------


def _npy(path: Path) -> Pixels:
    try:
        array: Any = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, so a false shape allocates nothing
    except DAMAGED as error:
        raise BadFile(
            f"{path}: expected an array of numbers, got one that is damaged, cut short or holds objects ({error})",
            "write it again with numpy.save",
        ) from error
    return _whole(array, path)


def _whole(array: NDArray[Any], path: Path) -> Pixels:
    """Return an array as uint8 (n, h, w), if that is exact."""
    if array.ndim not in {2, 3} or 0 in array.shape:
        shape = "×".join(map(str, array.shape)) or "a single number"
        raise BadFile(
            f"{path}: expected one image (height, width) or several (n, height, width), got {shape}",
            "give images, not labels, without an axis for colour",
        )
    if array.size > MAX_PIXELS_OF_ARRAY:
        raise BadFile(f"{path}: expected at most {MAX_PIXELS_OF_ARRAY:,} pixels, got {array.size:,}", "split the file")
    array = array[None] if array.ndim == 2 else array
    kind, extent = array.dtype.kind, ""
    if kind in "iuf":
        low, high = float(array.min()), float(array.max())
        extent = f" from {low:g} to {high:g}"
        if kind in "iu" and low >= 0 and high <= 255:
            return np.ascontiguousarray(array, np.uint8)
        if kind == "f" and low >= -0.001 and high <= 1.001:
            scaled = array * array.dtype.type(255)
            whole = np.rint(scaled)
            if np.abs(scaled - whole).max() <= (0.13 if array.itemsize == 2 else 0.002):  # rounding of k / 255
                return np.asarray(whole, np.uint8)
    raise BadFile(
        f"{path}: expected whole numbers in 0..255 or floats k/255 in 0..1, got {array.dtype}{extent}",
        "convert it to uint8, light ink on a dark background",
    )


# -- warnings -------------------------------------------------------------------------------------------------


def _border(image: Pixels) -> Pixels:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _warnings(images: Pixels, inverted: bool) -> tuple[str, ...]:
    """Return a warning if images have a light background, and one if they have no contrast."""
    found = []
    light = sum(float(np.median(_border(image))) > 127 for image in images)
    if light:
        advice = "try it without --invert" if inverted else "add --invert if the ink is dark"
        found.append(f"{_some(light, len(images))} a light background, the model expects light ink on dark: {advice}.")
    blank = sum(int(image.max()) - int(image.min()) < 16 for image in images)
    if blank:
        found.append(f"{_some(blank, len(images))} hardly any contrast: there is nothing to recognise.")
    return tuple(found)


def _some(count: int, of: int) -> str:
    return "The image has" if of == 1 else f"{count:,} of {of:,} images have"
