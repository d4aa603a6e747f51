"""Is an image anything like those that a model was trained on? A score beside the answer, and bands of statistics.

A classifier has to name one of its classes, and names noise with more confidence than most genuine images. The score
is the largest of three numbers, each divided by what genuine images rarely exceed:

    distance    from the logits to the nearest class: Mahalanobis, with the covariance that all classes share
    residual    what the principal components of the training images leave of an image
    flatness    how little an image varies

An image whose score is above 1 is flagged: that is the limit that 1 % of the validation images exceed. Other scores
were tried and are worse: decision 0018.
"""

import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.models.loading import raw_pixels
from artifacts.recipes.sizes import at_once
from data.errors import Corrupt

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FILE = "novelty.npz"
AT_MOST = 10_000  # training images that it is fitted on
COMPONENTS = 100  # at most; on MNIST they leave 9 % of the variance
PIXELS = 1024  # values of an image that are compared; larger images are averaged over squares first
FLAGGED = 0.01  # share of the validation images that is flagged
STATISTICS = ("brightness", "contrast", "border")  # of one image, in 0..1: see `statistics`


@dataclass(frozen=True)
class Novelty:
    """What a score is computed with; float32.

    Args:
        whitening: (c, c), logits times it have the same variance in every direction.
        centres: (c, c), the whitened mean logits of each class.
        mean: (p,), the mean training image, averaged over squares.
        components: (k, p), the principal components of the training images.
        limits: (3,), of distance, residual and flatness: a score of 1.
        bands: (3, 2), the lowest and highest usual value of each of STATISTICS, among the training images.
    """

    whitening: Floats
    centres: Floats
    mean: Floats
    components: Floats
    limits: Floats
    bands: Floats

    def scores(self, images: Images, logits: Floats) -> Floats:
        """Return how unlike the training images each image is, float32 (n,): 0 is most usual, above 1 is flagged.

        Args:
            images: uint8 (n, h, w) or (n, h, w, 3).
            logits: float32 (n, c), the model's.
        """
        return np.asarray((self._parts(images, logits) / self.limits).max(axis=1), np.float32)

    def _parts(self, images: Images, logits: Floats) -> Floats:
        """Return distance, residual and flatness, (n, 3)."""
        white = logits @ self.whitening
        squares = (white**2).sum(1)[:, None] + (self.centres**2).sum(1) - 2 * white @ self.centres.T
        centred = pooled(images) - self.mean
        residual = (centred**2).sum(1) - ((centred @ self.components.T) ** 2).sum(1)
        flatness = 1 / (0.01 + statistics(images)[:, STATISTICS.index("contrast")])
        distance = np.sqrt(squares.min(axis=1).clip(0))
        return np.stack([distance, np.sqrt(residual.clip(0)), flatness], axis=1).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write novelty.npz."""
        np.savez(folder / FILE, **{field.name: getattr(self, field.name) for field in fields(self)})


def read(folder: Path) -> Novelty | None:
    """Return what is stored with a candidate or version; None for one made before there was such a file.

    Raises:
        Corrupt: the file cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Novelty(**{field.name: stored[field.name] for field in fields(Novelty)})
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise Corrupt(f"{path} cannot be read ({error})", "run 'nightshift verify'") from error


def fit(
    images: Images, logits: Floats, labels: npt.NDArray[np.int64], held_out: Iterable[tuple[Images, Floats]]
) -> Novelty:
    """Learn what genuine images are like.

    Args:
        images: training images, uint8 (n, h, w) or (n, h, w, 3).
        logits: the model's for them, float32 (n, c).
        labels: their classes, int64 (n,).
        held_out: validation images and the model's logits for them, in any number of parts.
    """
    whitening, centres = _classes(logits.astype(np.float64), labels)
    mean, components = _principal(pooled(images))
    measured = statistics(images)
    low, high = np.quantile(measured, (0.001, 0.999), axis=0)
    margin = (high - low) / 10
    bands = np.stack([(low - margin).clip(0), (high + margin).clip(None, 1)], axis=1)
    unscaled = Novelty(
        *(np.asarray(value, np.float32) for value in (whitening, centres, mean, components, np.ones(3), bands))
    )
    parts = np.concatenate([unscaled._parts(some, their) for some, their in held_out])
    limits = np.maximum(_exceeded_by(FLAGGED / 2, parts), 1e-6)
    together = _exceeded_by(FLAGGED, (parts / limits).max(axis=1))
    return Novelty(**{**vars(unscaled), "limits": np.asarray(limits * together, np.float32)})


def _exceeded_by(share: float, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the value, along axis 0, that at most this share of new values of the kind is expected to exceed.

    That is an order statistic, as in conformal prediction: with few values, the largest.
    """
    n = len(values)
    ordered: npt.NDArray[Any] = np.sort(values, axis=0)[min(n, math.ceil((n + 1) * (1 - share))) - 1]
    return ordered


def _classes(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> tuple[Any, Any]:
    """Return the whitening matrix and the whitened centres of the classes that occur."""
    means = np.stack([logits[labels == label].mean(axis=0) for label in np.unique(labels)])
    spread = logits - means[np.searchsorted(np.unique(labels), labels)]
    covariance = spread.T @ spread / len(spread)
    # logits have a direction in which they do not vary, and rare classes hardly any image: a little of every direction
    ridge = 1e-3 * np.trace(logits.T @ logits) / logits.size + 1e-9
    whitening = np.linalg.cholesky(np.linalg.inv(covariance + ridge * np.eye(len(covariance))))
    return whitening, means @ whitening


def _principal(rows: Floats) -> tuple[Any, Any]:
    """Return the mean and the principal components of (n, p): at most one per ten images."""
    mean = rows.mean(axis=0)
    centred = rows - mean
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    count = max(1, min(COMPONENTS, len(rows) // 10, rows.shape[1] // 2))
    return mean, vectors[:, ::-1][:, :count].T


def pooled(images: Images) -> Floats:
    """Return images as rows of at most PIXELS values in 0..1, float32 (n, p): means over squares of larger ones."""
    n, height, width = images.shape[:3]
    side = 1
    while -(-height // side) * -(-width // side) * (images[0].size // (height * width) if n else 1) > PIXELS:
        side += 1
    if side > 1:
        space = [(0, 0), (0, -height % side), (0, -width % side), (0, 0)][: images.ndim]
        images = np.pad(images, space, mode="edge")
        shape = (n, images.shape[1] // side, side, images.shape[2] // side, side, *images.shape[3:])
        return np.asarray(images.reshape(shape).mean(axis=(2, 4), dtype=np.float32).reshape(n, -1) / np.float32(255))
    return np.asarray(images.reshape(n, -1) / np.float32(255), np.float32)


def statistics(images: Images) -> npt.NDArray[np.float64]:
    """Return STATISTICS of each image, float64 (n, 3): its mean, its standard deviation, the mean of its border."""
    scaled = images.reshape(len(images), -1)
    border = np.concatenate(
        [part.reshape(len(images), -1) for part in (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])], 1
    )
    return np.stack([scaled.mean(axis=1), scaled.std(axis=1), border.mean(axis=1)], axis=1) / 255


# -- the model's side -----------------------------------------------------------------------------------------


def with_logits(model: Any) -> Any:
    """Return a model that gives the logits over their temperature, and the probabilities: of old models too."""
    import keras

    last = model.layers[-1]
    logits = next((layer.output for layer in model.layers if layer.name == "temperature"), last.input)
    return keras.Model(model.input, [logits, last.output])


def predict(both: Any, images: Images) -> tuple[Floats, Floats]:
    """Return logits and probabilities, float32 (n, c), of a model from `with_logits`."""
    logits, probabilities = both.predict(images, batch_size=at_once(images.shape[1:]), verbose=0)
    return np.asarray(logits, np.float32), np.asarray(probabilities, np.float32)


def fit_model(model: Any, training: Iterable[Any], n: int, validation: Iterable[Any]) -> Novelty:
    """Learn what genuine images are like for a saved model.

    Args:
        model: from `artifacts.models.loading`.
        training: chunks of the training split, with `images` float32 in [0, 1] and `labels`.
        n: number of training images; of more than AT_MOST, every second, third... is used.
        validation: chunks of the validation split.
    """
    both, every, first = with_logits(model), -(-n // AT_MOST), 0
    images, labels = [], []
    for chunk in training:
        chosen = slice(-first % every, None, every)
        first += len(chunk.labels)
        images.append(raw_pixels(chunk.images[chosen]))
        labels.append(chunk.labels[chosen])
    genuine = np.concatenate(images)

    def held_out() -> Iterable[tuple[Images, Floats]]:
        for chunk in validation:
            pixels = raw_pixels(chunk.images)
            yield pixels, predict(both, pixels)[0]

    return fit(genuine, predict(both, genuine)[0], np.concatenate(labels), held_out())
