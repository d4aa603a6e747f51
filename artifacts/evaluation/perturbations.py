"""Shifted, noisy and rotated copies of images, to measure a model's robustness.

Three kinds of MNIST-C (Mu, Gilmer 2019, arXiv:1906.02337), mild enough that a person still recognises every image.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]

SHIFT = 1 / 14  # share of height and width: 2 pixels of 28
NOISE = 0.1  # standard deviation, as a share of full scale
ROTATION = 15  # degrees


def perturbed(images: Images, ground: Sequence[int] = (0,)) -> dict[str, Images]:
    """Return three copies of the images by name, deterministically.

    Args:
        images: uint8 (n, h, w) or (n, h, w, 3).
        ground: the colour of pixels that move in, one value in 0..255 per channel.
    """
    return {"shifted": shifted(images, ground), "noisy": noisy(images), "rotated": rotated(images, ground)}


def shifted(images: Images, ground: Sequence[int] = (0,)) -> Images:
    """Return the images moved right and down by a fourteenth of their size."""
    height, width = images.shape[1:3]
    down, right = max(1, round(height * SHIFT)), max(1, round(width * SHIFT))
    moved = np.empty_like(images)
    moved[:] = ground if images.ndim == 4 else ground[0]
    moved[:, down:, right:] = images[:, :-down, :-right]
    return moved


def noisy(images: Images) -> Images:
    """Return the images with Gaussian noise of a tenth of full scale, clipped to 0..255."""
    noise = np.random.default_rng(0).standard_normal(images.shape, dtype=np.float32) * np.float32(255 * NOISE)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


def rotated(images: Images, ground: Sequence[int] = (0,)) -> Images:
    """Return the images rotated counter-clockwise by 15 degrees around their centre, bilinearly interpolated."""
    from PIL import Image

    fill = ground[0] if images.ndim == 3 else tuple(ground)
    rotated_images = [
        Image.fromarray(image).rotate(ROTATION, Image.Resampling.BILINEAR, fillcolor=fill) for image in images
    ]
    return np.stack([np.asarray(image) for image in rotated_images]) if rotated_images else images.copy()
