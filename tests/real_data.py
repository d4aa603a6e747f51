"""Real images that scikit-learn and scikit-image ship, as arrays: small, grey and coloured, of several sizes."""

import hashlib
from functools import cache

import numpy as np

from data.dataset import Geometry, RawData


@cache
def digits() -> RawData:
    """Return scikit-learn's digits: 1,437 and 360 grey images of 8 x 8, ten classes; values 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)
    parts = train_test_split(
        images, found.target.astype(np.int64), test_size=360, random_state=0, stratify=found.target
    )
    return RawData(parts[0], parts[2], parts[1], parts[3])


@cache
def textures() -> RawData:
    """Return 2,100 and 351 grey patches of 64 x 64 from brick, grass and gravel; those for testing from other rows."""
    from skimage import data

    return _patches([data.brick(), data.grass(), data.gravel()], side=64, n_train=700, n_test=117)


@cache
def photographs() -> RawData:
    """Return 1,800 and 300 colour patches of 32 x 32 from six photographs; those for testing from other rows."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    pictures = [china, flower, data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    return _patches(pictures, side=32, n_train=300, n_test=50)


def _patches(pictures: list[np.ndarray], side: int, n_train: int, n_test: int) -> RawData:
    """Cut patches at random: for training from the upper 70 % of each picture, for testing from what is below."""
    rng = np.random.default_rng(0)
    parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for picture in pictures:
        border = round(0.7 * len(picture))
        for part, region, n in (("train", picture[:border], n_train), ("test", picture[border:], n_test)):
            top = rng.integers(0, region.shape[0] - side + 1, n)
            left = rng.integers(0, region.shape[1] - side + 1, n)
            parts[part].append(np.stack([region[y : y + side, x : x + side] for y, x in zip(top, left, strict=True)]))
    labels = {part: np.repeat(np.arange(len(pictures)), len(found[0])) for part, found in parts.items()}
    return RawData(np.concatenate(parts["train"]), labels["train"], np.concatenate(parts["test"]), labels["test"])


def geometry_of(raw: RawData) -> Geometry:
    """Return the geometry of images whose ground is the median of their upper and lower borders."""
    height, width, *colours = raw.train_images.shape[1:]
    channels = 3 if colours else 1
    border = np.concatenate([raw.train_images[:, 0], raw.train_images[:, -1]], axis=1).reshape(-1, channels)
    return Geometry(height, width, channels, "pad", tuple(int(level) for level in np.median(border, axis=0)))


def hashes_of(images: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of each image, uint8 of shape (n, 32)."""
    digests = b"".join(hashlib.sha256(np.ascontiguousarray(image)).digest() for image in images)
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)
