"""What one file for `nightshift predict` holds: a picture, or the arrays of an NPY or IDX file, as uint8 images.

No file is trusted: its content decides its format, its size is checked before it is decoded, and everything that is
wrong with it is raised as BadFile.
"""

import io
import math
import tokenize
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifacts.prediction.inputs import MAX_BYTES, File, ending
from data.dataset import Geometry
from data.errors import BadFile
from data.sources import images
from data.sources.idx import GZIP_MAGIC, read_idx, unpack
from data.sources.images import DAMAGED, Pixels, decode, described, image_format

MAX_PIXELS_OF_ARRAY = 200_000_000  # of NPY or IDX: three times all of MNIST
ARRAYS = {  # by format: the first bytes, and the file name endings
    "NPY": (b"\x93NUMPY", (".npy",)),
    "IDX": (b"\0\0", (".idx", ".idx1", ".idx3")),
    "gzip": (GZIP_MAGIC, (".gz",)),
}
ENDINGS = images.ENDINGS | {end: name for name, (_, endings) in ARRAYS.items() for end in endings}
FLAT = 16  # an image whose values differ by less shows nothing


def read_file(file: File, geometry: Geometry) -> list[Pixels]:
    """Return the images in a file, each in the channels of a geometry, in the size that it has.

    NPY and IDX hold one image (h, w) or several (n, h, w), with a last axis of 1 or 3 for colours where there is one:
    whole numbers in 0..255, or floats that are such numbers divided by 255.

    Args:
        file: PNG, JPEG, GIF, WebP, BMP, TIFF, NPY or IDX; IDX may be compressed with gzip.
        geometry: of the model's images: its ground replaces transparency.

    Raises:
        BadFile: of another format, damaged or too large.
    """
    kind = _kind(file)
    if kind not in ARRAYS:
        return [_picture(file, geometry)]
    if kind == "NPY":
        array = _npy(file)
    else:
        content = file.content if kind == "IDX" else unpack(file.content, MAX_BYTES, file.name)
        array = read_idx(content, file.name)
    return [images.convert(image, geometry.channels) for image in _whole(array, file.name, geometry)]


def _picture(file: File, geometry: Geometry) -> Pixels:
    """Decode a picture on the model's ground; where nothing is seen on it, on one that the ink stands out from."""
    pixels = decode(file.content, file.name, channels=geometry.channels, ground=geometry.ground)
    if int(pixels.max()) - int(pixels.min()) < FLAT:
        return decode(file.content, file.name, channels=geometry.channels)
    return pixels


def _kind(file: File) -> str:
    """Return the file's format; a file name that contradicts the content is refused."""
    array = next((name for name, (magic, _) in ARRAYS.items() if file.content.startswith(magic)), "")
    if file.content[4:8] == b"ftyp":  # HEIC and others: they begin with zeros, as IDX does
        array = ""
    kind, named = image_format(file.content) or array, ENDINGS.get(ending(file.name), "")
    if not kind:
        raise BadFile(
            f"{file.name}: expected {named or f'{images.KNOWN}, NPY or IDX'}, got {described(file.content)}",
            "convert or fetch it again",
        )
    if named and named != kind:
        right = next(end for end, name in ENDINGS.items() if name == kind)
        raise BadFile(
            f"{file.name}: the name says {named}, the content is {kind}",
            f"let its name end with {right} if that is right",
        )
    return kind


def _npy(file: File) -> NDArray[Any]:
    """Return the array of an NPY file as a view of its bytes, so that a false shape allocates nothing."""
    try:
        stream = io.BytesIO(file.content)
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(stream)
        if dtype.hasobject:
            raise ValueError("it holds objects")
        expected, found = math.prod(shape) * dtype.itemsize, len(file.content) - stream.tell()
        if expected != found:
            raise ValueError(f"{expected} bytes of values announced, {found} there")
        values = np.frombuffer(file.content, dtype, offset=stream.tell())
        return values.reshape(shape, order="F" if fortran else "C")
    except (*DAMAGED, tokenize.TokenError) as error:  # NumPy takes the header of old files apart as Python
        raise BadFile(
            f"{file.name}: expected an array of numbers, got one that is damaged, cut short or holds objects ({error})",
            "write it again with numpy.save",
        ) from error


def _whole(array: NDArray[Any], where: str, geometry: Geometry) -> Pixels:
    """Return an array as uint8 (n, h, w) or (n, h, w, 3), if that is exact."""
    array = _several(array, where, geometry)
    if array.size > MAX_PIXELS_OF_ARRAY:
        raise BadFile(f"{where}: expected at most {MAX_PIXELS_OF_ARRAY:,} values, got {array.size:,}", "split the file")
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
        f"{where}: expected whole numbers in 0..255 or floats k/255 in 0..1, got {array.dtype}{extent}",
        "convert it to uint8",
    )


def _several(array: NDArray[Any], where: str, geometry: Geometry) -> NDArray[Any]:
    """Return an array of images as (n, h, w) or (n, h, w, 3)."""
    shape = array.shape
    # (a, b, 3) may be a colour image, or a images of 3 columns: what the model takes decides
    one_in_colour = array.ndim == 3 and shape[2] in {1, 3} and shape[1:] != (geometry.height, geometry.width)
    if array.ndim == 2 or one_in_colour:
        array = array[None]
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in {3, 4} or (array.ndim == 4 and array.shape[3] != 3) or 0 in shape:
        found = "×".join(map(str, shape)) or "a single number"
        raise BadFile(
            f"{where}: expected one image (height, width) or several (n, height, width), in colour with a last axis of "
            f"3, got {found}",
            "give images, not labels",
        )
    return array
