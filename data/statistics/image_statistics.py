"""The statistics of images, computed from their pixels. What each means: `data.statistics.summary.summarise`."""

import numpy as np

NUMERIC = ("mean", "std", "min", "max", "ink_fraction", "centre_x", "centre_y", "border_ink")
COLOUR = ("red", "green", "blue", "saturation")  # further columns of colour images


def luminance(images: np.ndarray) -> np.ndarray:
    """Return the brightness of each pixel as Pillow computes it, uint8 of shape (n, height, width)."""
    if images.ndim == 3:
        return images
    red, green, blue = (images[..., channel].astype(np.uint32) for channel in range(3))
    grey: np.ndarray = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)
    return grey


def ink(images: np.ndarray, ground: tuple[int, ...]) -> np.ndarray:
    """Return how far each pixel is from the ground, in the channel that is furthest; uint8, of shape (n, h, w)."""
    if images.ndim == 3:
        return _far(images, ground[0])
    levels = ground if len(ground) == 3 else ground * 3
    far: np.ndarray = np.maximum.reduce(
        [_far(plane, level) for plane, level in zip(_planes(images), levels, strict=True)]
    )
    return far


def _far(plane: np.ndarray, level: int) -> np.ndarray:
    if level == 0:
        return plane  # the same array: black is the common case
    far: np.ndarray = np.maximum(plane, np.uint8(level)) - np.minimum(plane, np.uint8(level))
    return far


def of_grey(grey: np.ndarray, dark: np.ndarray) -> dict[str, np.ndarray]:
    """Return the `NUMERIC` statistics of images, float64 of shape (n,).

    Args:
        grey: their brightness, uint8 of shape (n, height, width).
        dark: their ink, of the same shape; may be the same array.
    """
    n, height, width = grey.shape
    size, weights = height * width, _weights(height, width)
    pixels, marks = grey.reshape(n, size), dark.reshape(n, size)
    values = pixels.astype(np.float64)  # sums of integers below 2^53 are exact
    total, squares = values.sum(axis=1), np.einsum("ij,ij->i", values, values)
    inked, x, y, border = ((values if dark is grey else marks.astype(np.float64)) @ weights).T
    blank = inked == 0
    return {
        "mean": total / (255 * size),
        "std": np.sqrt(np.maximum(size * squares - total * total, 0)) / (255 * size),
        "min": pixels.min(axis=1) / 255,
        "max": pixels.max(axis=1) / 255,
        "ink_fraction": np.count_nonzero(marks, axis=1) / size,
        "centre_x": np.where(blank, (width - 1) / 2, x / np.where(blank, 1, inked)),
        "centre_y": np.where(blank, (height - 1) / 2, y / np.where(blank, 1, inked)),
        "border_ink": border / (255 * weights[:, 3].sum()),
    }


def of_colour(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the `COLOUR` statistics of images of shape (n, height, width, 3), float64 of shape (n,)."""
    n, height, width, _ = images.shape
    planes, size = _planes(images), 255 * height * width
    spread = np.maximum.reduce(planes) - np.minimum.reduce(planes)
    sums = (np.einsum("ij->i", some.reshape(n, -1), dtype=np.int64) / size for some in (*planes, spread))
    return dict(zip(COLOUR, sums, strict=True))


def _planes(images: np.ndarray) -> list[np.ndarray]:
    """Return each channel on its own: NumPy is slow along an axis of three."""
    return [np.ascontiguousarray(images[..., channel]) for channel in range(3)]


def _weights(height: int, width: int) -> np.ndarray:
    y, x = np.indices((height, width))
    border = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    return np.stack([np.ones(height * width), x.ravel(), y.ravel(), border.ravel()], axis=1)
