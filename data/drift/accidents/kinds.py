"""Accidents that are made to a frame. Each changes as little as is worth noticing.

The catch table of `catches.py` applies them every night to a small frame; `benchmarks/drift_catch.py` at full size.
"""

import io
import math
from collections.abc import Callable

import numpy as np

from data.drift.accidents.frame import TEST, Frame

TENTH, HALF = 0.1, 0.5
Change = Callable[[Frame, np.random.Generator], Frame]

# -- labels, and images that are gone -----------------------------------------------------------------------------


def permute_known(frame: Frame, rng: np.random.Generator) -> Frame:
    """Permute a tenth of the known labels."""
    some = rng.choice(frame.night.kept, round(TENTH * len(frame.night.kept)), replace=False)
    return frame.with_labels(some, rng.permutation(frame.night.labels[some]))


def _largest(frame: Frame) -> np.ndarray:
    """Return the labels in use, the most frequent first."""
    counts = np.bincount(frame.night.labels)
    order = np.argsort(-counts, kind="stable")
    used: np.ndarray = order[counts[order] > 0]
    return used


def swap_classes(frame: Frame, _rng: np.random.Generator) -> Frame:
    """Swap the labels of the two largest classes."""
    first, second = _largest(frame)[[0, -1]] if len(_largest(frame)) < 2 else _largest(frame)[:2]
    labels = frame.night.labels
    swapped = np.where(labels == first, second, np.where(labels == second, first, labels))
    return frame.with_labels(np.arange(len(labels)), swapped)


def renumber(frame: Frame, _rng: np.random.Generator) -> Frame:
    """Give every class the number of the next one in use."""
    used = np.sort(_largest(frame))
    goal = np.roll(used, -1)[np.searchsorted(used, frame.night.labels)]
    return frame.with_labels(np.arange(len(goal)), goal)


def half_of_test_gone(frame: Frame, rng: np.random.Generator) -> Frame:
    """Remove half of the known test images."""
    tests = frame.night.kept[frame.night.sides[frame.night.kept] == TEST]
    return frame.without(rng.choice(tests, round(HALF * len(tests)), replace=False))


def class_gone(frame: Frame, _rng: np.random.Generator) -> Frame:
    """Remove all images of the largest class."""
    return frame.without(np.flatnonzero(frame.night.labels == _largest(frame)[0]))


def shuffle_new(frame: Frame, rng: np.random.Generator) -> Frame:
    """Permute the labels of the new images."""
    added = frame.night.added
    return frame.with_labels(added, rng.permutation(frame.night.labels[added]))


def one_label(frame: Frame, _rng: np.random.Generator) -> Frame:
    """Give all new images the label that is rarest among them."""
    added = frame.night.added
    labels, counts = np.unique(frame.night.labels[added], return_counts=True)
    return frame.with_labels(added, np.full(len(added), labels[counts.argmin()])) if len(labels) else frame


# -- pixels -------------------------------------------------------------------------------------------------------


def on_new(change: Callable[[np.ndarray, np.random.Generator], np.ndarray], share: float = 1.0) -> Change:
    """Return the accident that changes the pixels of some of the new images."""

    def apply(frame: Frame, rng: np.random.Generator) -> Frame:
        added = frame.night.added
        some = np.sort(rng.choice(added, round(share * len(added)), replace=False))
        return frame.with_images(some, change(frame.images[some], rng)) if len(some) else frame

    return apply


def replace_all(frame: Frame, rng: np.random.Generator) -> Frame:
    """Another camera for all images: each is removed, and added anew with other pixels."""
    return frame.with_images(np.arange(len(frame.new)), brighter(frame.images, rng))


def leak(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Change:
    """Return the accident that puts changed test images in the place of a tenth of the new training images."""

    def apply(frame: Frame, rng: np.random.Generator) -> Frame:
        sides = frame.night.sides
        added = frame.night.added[sides[frame.night.added] != TEST]
        tests = frame.night.kept[sides[frame.night.kept] == TEST]
        n = min(max(round(TENTH * len(added)), 12), len(added), len(tests))
        some, source = np.sort(rng.choice(added, n, replace=False)), rng.choice(tests, n, replace=False)
        return frame.with_images(some, change(frame.images[source], rng), source) if n else frame

    return apply


def _bytes(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.clip(values, 0, 255).astype(np.uint8)
    return found


def brighter(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Return images with 40 of 255 added."""
    return _bytes(images.astype(np.int16) + 40)


def one_brighter(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Return images with 1 of 255 added."""
    return _bytes(images.astype(np.int16) + 1)


def blurred(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Return the means of 3 x 3 pixels."""
    padded = np.pad(images.astype(np.float32), [(0, 0), (1, 1), (1, 1)] + [(0, 0)] * (images.ndim - 3), mode="edge")
    height, width = images.shape[1:3]
    total = sum(padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3))
    return np.asarray(total / 9).astype(np.uint8)


def cropped(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Return the middle 70 % of each side, enlarged."""
    rows, columns = ((np.arange(n) * 0.7 + 0.15 * n).astype(np.int64).clip(0, n - 1) for n in images.shape[1:3])
    middle: np.ndarray = images[:, rows][:, :, columns]
    return middle


def inverted(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Return 255 - x."""
    return 255 - images


def transposed(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Swap rows and columns; where they differ in number, turn the images upside down and mirror them."""
    square = images.shape[1] == images.shape[2]
    turned: np.ndarray = images.swapaxes(1, 2) if square else images[:, ::-1, ::-1]
    return turned


def other_channels(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Swap red and blue."""
    return images[..., ::-1] if images.ndim == 4 else images


def noise(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random pixels."""
    pixels: np.ndarray = rng.integers(0, 256, images.shape, np.uint8)
    return pixels


def blank(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one grey value per image, under a noise of 1 of 255."""
    level = rng.integers(0, 250, (len(images), *[1] * (images.ndim - 1)))
    return (level + rng.integers(0, 2, images.shape)).astype(np.uint8)


def one_image(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the first image many times, under a noise of 1 of 255."""
    noisy = images[:1].astype(np.int16) + rng.integers(-1, 2, images.shape)
    return _bytes(noisy)


def moved(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Move images by one pixel to the right; the last column is repeated on the left."""
    return np.roll(images, 1, axis=2)


def recompressed(images: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Return images after JPEG with quality 75."""
    from PIL import Image

    def once(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=75)
        return np.asarray(Image.open(file))

    return np.stack([once(image) for image in images]) if math.prod(images.shape) else images
