"""Image files become arrays, by stated rules: PNG, JPEG, GIF, WebP, BMP and TIFF.

`decode` gives the pixels of one file, `fit` brings them to a dataset's geometry; both may be called from several
threads. No file is trusted: its content decides its format, its size is checked before it is decoded, and everything
that is wrong with it is raised as BadFile.

The rules: the first frame of an animation or page of a document; rotated as EXIF says; colour to grey by Rec. 601 luma;
grey to colour by repetition; 16 bits are scaled to 8 so that white stays white; CMYK and other colour spaces become RGB
without their ICC profile; transparency is replaced by the ground.
"""

import functools
import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Geometry
from data.errors import BadFile
from data.sources.idx import looks_like

if TYPE_CHECKING:  # Pillow is imported for the first image
    from PIL import Image

Pixels = NDArray[np.uint8]

MAX_PIXELS = 64_000_000  # of one image: a large camera's, 250 MB when decoded
# by format, as Pillow calls it: how its files begin, and how their names end
FORMATS: dict[str, tuple[tuple[bytes, ...], tuple[str, ...]]] = {
    "PNG": ((b"\x89PNG\r\n\x1a\n",), (".png",)),
    "JPEG": ((b"\xff\xd8\xff",), (".jpg", ".jpeg", ".jpe")),
    "GIF": ((b"GIF87a", b"GIF89a"), (".gif",)),
    "WEBP": ((b"RIFF",), (".webp",)),  # and WEBP after the length: see `image_format`
    "BMP": ((b"BM",), (".bmp",)),
    "TIFF": ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), (".tif", ".tiff")),
}
ENDINGS = {ending: name for name, (_, endings) in FORMATS.items() for ending in endings}
KNOWN = "PNG, JPEG, GIF, WebP, BMP or TIFF"
ORIENTED = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}  # where formats keep the orientation
PNG_END = b"IEND\xaeB`\x82"
# what Pillow raises on damaged files, found by trying
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def image_format(content: bytes) -> str:
    """Return the format of a file, a key of FORMATS, from its first 16 bytes; empty if it is none of them."""
    found = next((name for name, (magics, _) in FORMATS.items() if content.startswith(magics)), "")
    return "" if found == "WEBP" and content[8:12] != b"WEBP" else found


def decode(content: bytes, where: str, *, channels: int | None = None, ground: tuple[int, ...] | None = None) -> Pixels:
    """Return the pixels of an image file.

    Args:
        content: the whole file.
        where: its name in an error message.
        channels: 1 for grey, 3 for colour; None as the file has it, where a palette of greys counts as grey.
        ground: what replaces transparency, 0..255 per channel; None takes white behind dark ink and black behind light.

    Returns:
        uint8 of shape (h, w), or (h, w, 3).

    Raises:
        BadFile: of another format, damaged, cut short, or of more than MAX_PIXELS.
    """
    name = image_format(content)
    if not name:
        raise BadFile(f"{where}: expected {KNOWN}, got {described(content)}", "convert it to PNG")
    if name == "PNG" and PNG_END not in content:  # Pillow would accept it
        raise BadFile(f"{where}: expected a complete PNG, got one that is cut short", "fetch it again")
    from PIL import Image

    try:
        with _opened(content, name) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(where, f"{height}×{width}")
            return _pixels(_upright(image), where, channels, ground)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # a GIF's frame may be larger
        raise _too_large(where, "far more") from error
    except DAMAGED as error:
        raise BadFile(
            f"{where}: expected a complete {name}, got one that is damaged or cut short ({error})", "fetch it again"
        ) from error


def _too_large(where: str, found: str) -> BadFile:
    return BadFile(f"{where}: expected at most {MAX_PIXELS:,} pixels, got {found}", "make it smaller")


def described(content: bytes) -> str:
    """Return what a file that is no image seems to be, for an error message."""
    if not content:
        return "an empty file"
    if content[4:12] in {b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1"}:
        return "HEIC, which telephones write"
    return "AVIF" if content[4:12] == b"ftypavif" else f"a file that begins with {looks_like(content)}"


def _opened(content: bytes, name: str) -> "Image.Image":
    """Open an image with the reader of its format: `Image.open` tries others too, and warns about sizes by itself."""
    image: Image.Image = _readers()[name][0](io.BytesIO(content), "")
    return image


@functools.cache
def _readers() -> dict[str, tuple[Any, ...]]:
    from PIL import Image

    Image.init()
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # what matters is raised, too
    return Image.OPEN


def _upright(image: "Image.Image") -> "Image.Image":
    """Decode an image, and rotate or mirror it as its EXIF says."""
    from PIL import ImageOps

    image.load()  # Pillow rotates a TIFF here
    if not ORIENTED.isdisjoint(image.info):  # looking for it takes a fifth of decoding a small image
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _pixels(image: "Image.Image", where: str, channels: int | None, ground: tuple[int, ...] | None) -> Pixels:
    if image.mode == "F":
        raise BadFile(f"{where}: expected 8 or 16 bits per channel, got floats", "convert it to 8 bits")
    if image.mode.startswith("I"):
        return _in_channels(_sixteen_bits(image, where), channels or 1)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        return _composite(image, channels, ground)
    mode = "L" if (channels or _channels(image)) == 1 else "RGB"
    return np.array(image if image.mode == mode else image.convert(mode))  # a copy of its own, not Pillow's memory


def _sixteen_bits(image: "Image.Image", where: str) -> Pixels:
    deep = np.asarray(image).astype(np.int64)
    if deep.size and (deep.min() < 0 or deep.max() > 65535):
        raise BadFile(
            f"{where}: expected 8 or 16 bits per pixel, got values from {deep.min()} to {deep.max()}",
            "convert it to 8 bits",
        )
    return np.asarray((deep + 128) // 257, np.uint8)  # rounded


def _channels(image: "Image.Image") -> int:
    """Return 1 for images in grey, 3 for those in colour; a palette decides by its colours in use."""
    if image.mode in {"P", "PA"}:
        pixels = np.asarray(image.convert("RGBA"))[..., :3]
        return 1 if (pixels == pixels[..., :1]).all() else 3
    return 1 if image.mode in {"1", "L", "LA", "La"} else 3


def _composite(image: "Image.Image", channels: int | None, ground: tuple[int, ...] | None) -> Pixels:
    """Lay an image with transparency on its ground."""
    wanted = channels or _channels(image)
    whole = image.convert("RGBA")
    alpha = np.asarray(whole.getchannel("A"), np.float64) / 255
    if wanted == 3:
        alpha = alpha[..., None]
    pixels = np.asarray(whole.convert("L" if wanted == 1 else "RGB"), np.float64)
    if ground is None:
        dark_ink = float((pixels * alpha).mean()) <= 127.5 * float(alpha.mean())
        ground = (255,) if dark_ink else (0,)
    behind = in_channels(np.array(ground, np.uint8), wanted)
    return np.asarray((pixels * alpha + behind * (1 - alpha)).round(), np.uint8)


def _in_channels(grey: Pixels, channels: int) -> Pixels:
    return grey if channels == 1 else np.repeat(grey[..., None], 3, axis=-1)


def in_channels(colour: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return a colour, uint8 of shape (1,) or (3,), with another number of channels."""
    if len(colour) == channels:
        return colour
    return np.repeat(colour, 3) if channels == 3 else np.array([luma(colour)], np.uint8)


def luma(colour: NDArray[np.uint8]) -> int:
    """Return how light a colour (3,) is, 0..255: Rec. 601, in Pillow's arithmetic."""
    return (int(colour[0]) * 19595 + int(colour[1]) * 38470 + int(colour[2]) * 7471 + 0x8000) >> 16


# -- fitting --------------------------------------------------------------------------------------------------


def fit(image: Pixels, geometry: Geometry) -> Pixels:
    """Bring an image to a geometry: its channels, then its size by the geometry's rule; see `Geometry.fit`.

    What becomes less than half as large is averaged over areas, everything else interpolated linearly.

    Args:
        image: uint8 of shape (h, w) or (h, w, 3), of any size.
        geometry: the size, channels and rule.

    Returns:
        uint8 of shape `geometry.shape`; the image itself if it has that shape.
    """
    image = convert(image, geometry.channels)
    if image.shape == geometry.shape:
        return image
    height, width = image.shape[:2]
    if geometry.fit == "pad":
        return _padded(image, geometry)
    box = (0.0, 0.0, float(width), float(height))
    if geometry.fit == "crop":
        scale = max(geometry.height / height, geometry.width / width)
        high, wide = geometry.height / scale, geometry.width / scale
        top, left = (height - high) / 2, (width - wide) / 2
        box = (left, top, left + wide, top + high)
    return _resized(image, geometry.height, geometry.width, box)


def convert(image: Pixels, channels: int) -> Pixels:
    """Return an image (h, w) or (h, w, 3) in grey or in colour."""
    from PIL import Image

    if image.ndim == 2:
        return _in_channels(image, channels)
    return image if channels == 3 else np.array(Image.fromarray(image).convert("L"))


def _padded(image: Pixels, geometry: Geometry) -> Pixels:
    height, width = image.shape[:2]
    scale = min(geometry.height / height, geometry.width / width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    fitted = np.empty(geometry.shape, np.uint8)
    fitted[:] = geometry.ground if geometry.channels == 3 else geometry.ground[0]
    top, left = (geometry.height - inner[0]) // 2, (geometry.width - inner[1]) // 2
    fitted[top : top + inner[0], left : left + inner[1]] = _resized(
        image, *inner, (0.0, 0.0, float(width), float(height))
    )
    return fitted


def _resized(image: Pixels, height: int, width: int, box: tuple[float, float, float, float]) -> Pixels:
    """Return the part of an image in `box` (left, top, right, bottom) as (height, width)."""
    from PIL import Image

    much_smaller = 2 * height <= box[3] - box[1] and 2 * width <= box[2] - box[0]
    by = Image.Resampling.BOX if much_smaller else Image.Resampling.BILINEAR
    clipped = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], image.shape[1]), min(box[3], image.shape[0]))
    return np.array(Image.fromarray(image).resize((width, height), by, clipped))
