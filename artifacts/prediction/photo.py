"""From a photograph of one character on paper to what MNIST's makers made of theirs.

They fitted the ink into a box of 20 pixels of 28, its proportions kept, and moved the centre of its mass into the
centre of the image (LeCun et al., 1998). Before that the ink has to be separated from the paper, which is never
equally bright everywhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.dataset import Geometry
from data.sources.images import Pixels

BOX = 20 / 28  # of the image's sides: what the ink is fitted into
WORKING_SIDE = 400  # pixels: larger photographs are made smaller first
NOISE = 5.0  # standard deviations of the paper's noise that ink must differ by
FAINT = 0.3  # of the strongest ink: what is fainter is shadow or paper
SPECK = 0.03  # of the largest shape's area: what is smaller is dirt
STROKE = 2.0  # pixels: how thick a stroke is at least made, at the size of the box

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Extracted:
    """The ink of a photograph.

    Args:
        image: uint8 of the geometry's shape: ink on the ground.
        note: what was done, or why nothing was found; for people.
    """

    image: Pixels
    note: str


def extract(photo: Pixels, geometry: Geometry) -> Extracted:
    """Return the character on a photograph as MNIST's makers would have stored it.

    Args:
        photo: uint8 (h, w), dark ink on light ground or the other way round.
        geometry: of the model's images, which are grey; its ground tells whether ink is light or dark.

    Returns:
        The image, empty if there is no ink.
    """
    grey = _smaller(photo)
    ink = _ink(grey.astype(np.float64))
    mask, shapes = _shapes(ink)
    ground = geometry.ground[0]
    if not mask.any():
        return Extracted(np.full(geometry.shape, ground, np.uint8), "no ink was found in the photograph")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    cut = (ink * mask)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    strength = _centred(_boxed(cut, geometry), geometry)
    full = 255 if ground < 128 else 0
    image = np.asarray((ground + (full - ground) * strength).round(), np.uint8)
    several = f"; it shows {shapes} separate shapes, of one character?" if shapes > 2 else ""
    share = cut.shape[0] * cut.shape[1] / grey.size
    return Extracted(image, f"the ink, in {share:.0%} of the photograph, was cut out, fitted and centred{several}")


def _smaller(photo: Pixels) -> Pixels:
    from PIL import Image

    factor = max(photo.shape) / WORKING_SIDE
    if factor <= 1:
        return photo
    size = max(1, round(photo.shape[1] / factor)), max(1, round(photo.shape[0] / factor))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))


def _ink(grey: Floats) -> Floats:
    """Return how much ink is at each pixel, 0..1: the difference from the paper, on whichever side it is larger."""
    difference = grey - _paper(grey)
    noise = 1.4826 * float(np.median(np.abs(difference))) + 1e-6
    difference = difference * (-1.0 if _tail(-difference) > _tail(difference) else 1.0)
    strongest = _tail(difference)
    faintest = max(NOISE * noise, FAINT * strongest, 8.0)
    if strongest <= faintest:
        return np.zeros_like(grey)
    return ((difference - faintest / 2) / (strongest - faintest / 2)).clip(0, 1) * (difference > faintest / 2)


def _tail(difference: Floats) -> float:
    """Return how far the most different part is above the paper: 0.05 % of the pixels, 60 of them, are further."""
    from scipy import ndimage

    return float(np.quantile(ndimage.uniform_filter(difference, size=3), 0.9995))


def _paper(grey: Floats) -> Floats:
    """Return how bright the paper is at each pixel.

    A surface of second degree follows gradients and vignettes below ink of any size. Where it leaves more than noise,
    such as at the edge of a shadow, wide medians of what is left are added: they need strokes narrower than the window.
    """
    surface = _surface(grey)
    left = grey - surface
    grain = np.abs(np.diff(grey, axis=1)) / np.sqrt(2)
    if np.median(np.abs(left)) > 2 * np.median(grain) + 1:
        surface += _wide_medians(left)
    return surface


def _surface(grey: Floats) -> Floats:
    """Fit a surface of second degree, again and again to the pixels that are near it: the others are ink."""
    height, width = grey.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1).reshape(-1, 6)
    values = grey.ravel()
    surface = np.full(grey.size, np.median(values))
    for _ in range(8):
        away = np.abs(values - surface)
        near = away <= max(2.5 * 1.4826 * float(np.median(away)), 4.0)
        factors, *_ = np.linalg.lstsq(terms[near], values[near], rcond=None)
        surface = terms @ factors
    return np.asarray(surface.reshape(grey.shape))


def _wide_medians(left: Floats) -> Floats:
    """Return medians over windows of a quarter of the shorter side, computed on every fourth pixel."""
    from scipy import ndimage

    coarse = ndimage.median_filter(left[::4, ::4], size=max(3, min(left.shape) // 16), mode="nearest")
    fine = coarse.repeat(4, axis=0).repeat(4, axis=1)[: left.shape[0], : left.shape[1]]
    return np.asarray(ndimage.uniform_filter(fine, size=5))


def _shapes(ink: Floats) -> tuple[NDArray[np.bool_], int]:
    """Return where the character is, and of how many separate shapes it consists; dirt and edges are left out."""
    from scipy import ndimage

    labels, count = ndimage.label(ink > FAINT, structure=np.ones((3, 3)))
    if count == 0:
        return labels > 0, 0
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    inner = np.zeros(count, bool)
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels)):
        touches = [rows.start == 0, rows.stop == ink.shape[0], columns.start == 0, columns.stop == ink.shape[1]]
        inner[index] = sum(touches) == 0
    areas = areas * inner if inner.any() else areas  # what leaves the picture is the edge of the paper or a finger
    kept = np.flatnonzero(areas >= max(SPECK * areas.max(), 4)) + 1
    near = ndimage.grey_dilation(np.isin(labels, kept), size=(3, 3))  # the soft edge of the strokes belongs to them
    return np.asarray(near, bool), len(kept)


def _boxed(cut: Floats, geometry: Geometry) -> Floats:
    """Scale the ink into the box and make its strokes thick enough to be seen there."""
    from PIL import Image
    from scipy import ndimage

    scale = min(BOX * geometry.height / cut.shape[0], BOX * geometry.width / cut.shape[1])
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    solid = cut > FAINT
    # a stroke of width w has an edge pixel on both sides for every w pixels of area
    edge = int((solid & ~ndimage.binary_erosion(solid)).sum())
    missing = STROKE / scale - 2 * float(solid.sum()) / max(edge, 1)
    if missing > 1:
        reach = round(missing)
        cut = ndimage.grey_dilation(np.pad(cut, reach), size=(reach, reach))
        scale = min(BOX * geometry.height / cut.shape[0], BOX * geometry.width / cut.shape[1])
    by = Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR
    image = Image.fromarray((255 * cut).round().astype(np.uint8)).resize(size, by)
    boxed = np.asarray(image, np.float64) / 255
    brightest = float(np.quantile(boxed[boxed > 0.1], 0.9)) if (boxed > 0.1).any() else 1.0
    return np.asarray((boxed / max(brightest, 0.1)).clip(0, 1))


def _centred(boxed: Floats, geometry: Geometry) -> Floats:
    """Place the ink on an empty image, the centre of its mass in the middle, all of it inside."""
    middle = []
    for axis, (length, whole) in enumerate(zip(boxed.shape, (geometry.height, geometry.width), strict=True)):
        mass = boxed.sum(axis=1 - axis)
        centre = float((mass * (np.arange(length) + 0.5)).sum() / max(mass.sum(), 1e-9))
        middle.append(int(np.clip(round(whole / 2 - centre), 0, whole - length)))
    canvas = np.zeros((geometry.height, geometry.width))
    canvas[middle[0] : middle[0] + boxed.shape[0], middle[1] : middle[1] + boxed.shape[1]] = boxed
    return canvas
