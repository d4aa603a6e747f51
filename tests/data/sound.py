"""Sound data of many kinds, drawn on the spot: nothing about it is wrong, so nothing may refuse it."""

from collections.abc import Callable

import numpy as np

from data.dataset import RawData

Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def _bars(rng: np.random.Generator, labels: np.ndarray, side: int = 12) -> np.ndarray:
    images = rng.integers(0, 40, (len(labels), side, side))
    rows = np.arange(side) // 3 == (labels % (side // 3))[:, None]
    return (images + rows[:, :, None] * rng.integers(150, 210, (len(labels), 1, 1))).astype(np.uint8)


def _noise(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    return rng.integers(0, 256, (len(labels), 9, 7), np.uint8)


def _tiny(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    return (rng.integers(0, 100, (len(labels), 5, 4)) + 10 * (labels % 10)[:, None, None]).astype(np.uint8)


def _binary(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    lit = _bars(rng, labels) > 100
    return 255 * (lit ^ (rng.random(lit.shape) < 0.2)).astype(np.uint8)


def _saturated(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    return np.clip(_bars(rng, labels).astype(int) * 3 - 60, 0, 255).astype(np.uint8)


def _stretched(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Every image's brightest pixel is 255, but for a few dimmed ones."""
    images = _bars(rng, labels).astype(float)
    images *= 255 / images.max(axis=(1, 2), keepdims=True)
    images[rng.choice(len(images), max(len(images) // 2000, 1), replace=False)] *= 0.6
    return images.round().astype(np.uint8)


def _framed(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """The border has one colour in all images."""
    return np.pad(_bars(rng, labels), ((0, 0), (2, 2), (2, 2)), constant_values=77)


def _paper(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    return 255 - _bars(rng, labels)


def _colour(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    tint = np.array([[255, 40, 40], [40, 255, 40], [40, 40, 255], [200, 200, 30]])[labels % 4]
    return (_bars(rng, labels)[..., None] * tint[:, None, None] // 255).astype(np.uint8)


def _textures(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Patches of a few large pictures under some noise, which differ in the direction of their edges."""
    big = [rng.normal(0, 40, (300, 300)) for _ in range(3)]
    big = [np.cumsum(picture, axis=index % 2) * (0.2 + 0.2 * index) for index, picture in enumerate(big)]
    corners = rng.integers(0, 300 - 16, (len(labels), 2))
    patches = [big[label % 3][y : y + 16, x : x + 16] for label, (y, x) in zip(labels, corners, strict=True)]
    return np.clip(np.stack(patches) + rng.normal(128, 4, (len(labels), 16, 16)), 0, 255).astype(np.uint8)


def _lone_spot(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """A bright spot somewhere: classes differ in nothing that a mean shows."""
    images = rng.integers(0, 20, (len(labels), 16, 16))
    images[np.arange(len(labels)), rng.integers(0, 16, len(labels)), rng.integers(0, 16, len(labels))] = 255
    return images.astype(np.uint8)


DRAWS: dict[str, Draw] = {
    "bars": _bars,
    "noise": _noise,
    "tiny": _tiny,
    "binary": _binary,
    "saturated": _saturated,
    "stretched": _stretched,
    "framed": _framed,
    "paper": _paper,
    "colour": _colour,
    "textures": _textures,
    "spots": _lone_spot,
}
GROUNDS = {"paper": (255,), "framed": (77,), "colour": (0, 0, 0)}
KINDS = tuple(DRAWS)


def sound(kind: str, *, n_train: int, n_test: int, n_classes: int, seed: int, imbalance: bool = False) -> RawData:
    """Return a sound dataset: both splits are drawn in the same way, and every class has images in both."""
    rng = np.random.default_rng(seed)
    n = n_train + n_test
    labels = np.arange(n) % n_classes
    if imbalance:
        labels = np.where(rng.random(n) < 0.8, 0, labels)
    train, test = labels[:n_train].copy(), labels[n_train:].copy()
    train[:n_classes], test[:n_classes] = np.arange(n_classes), np.arange(n_classes)
    images = DRAWS[kind](rng, np.concatenate([train, test]))
    return RawData(images[:n_train], train, images[n_train:], test)
