"""From a trained network to a model file that maps raw images to probabilities; the digest of its weights."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.models.calibration import Calibration
from data.errors import TrainingFailed

UNCALIBRATED = Calibration()


def serving_model(model: Any, calibration: Calibration = UNCALIBRATED) -> Any:
    """Return the model to save: uint8 images (b, h, w) to float32 probabilities (b, c), of Keras' own layers.

    Args:
        model: float32 images in [0, 1] to logits (b, c).
        calibration: how sure it says it is, in layers of their own, so that the network keeps its weights.

    The scaling inside is exactly uint8 / float32(255): Normalization divides by sqrt(255 ** 2), whereas Rescaling would
    multiply by 1 / 255, which differs in the last bit for 126 of the 256 values.
    """
    import keras
    from keras import layers, ops

    raw = keras.Input(model.input_shape[1:], dtype="uint8", name="images")
    scaled = layers.Normalization(axis=None, mean=0.0, variance=255.0**2, name="scale")(raw)
    logits = layers.Rescaling(1 / calibration.temperature, name="temperature")(model(scaled))
    if calibration.power != 1:
        behind = ops.subtract(ops.max(logits, axis=-1, keepdims=True), logits)
        logits = ops.negative(ops.power(behind, calibration.power))
    return keras.Model(raw, layers.Softmax(name="probabilities")(logits), name="nightshift")


def flip_averaged(model: Any) -> Any:
    """Return a network that gives the mean of the logits of an image and of its mirror image."""
    import keras
    from keras import layers, ops

    images = keras.Input(model.input_shape[1:], dtype="float32")
    both = layers.Average()([model(images), model(ops.flip(images, axis=2))])
    return keras.Model(images, both, name="flip_averaged")


def save(model: Any, path: Path, calibration: Calibration = UNCALIBRATED) -> None:
    """Write the serving model of a trained network, and keep the file only if it loads back with the same weights.

    Args:
        model: float32 images in [0, 1] to logits (b, c).
        path: the file to write.
        calibration: see `serving_model`.

    Raises:
        TrainingFailed: the file that was written has other weights.
    """
    import keras

    temporary = path.with_name(f"tmp-{path.name}")
    serving_model(model, calibration).save(temporary)
    back = keras.saving.load_model(temporary, compile=False, safe_mode=True)
    if weights_digest(back.get_layer(model.name)) != weights_digest(model):
        raise TrainingFailed(f"{path.name} does not load back with the weights it was saved with", "run again")
    temporary.replace(path)


def weights_digest(model: Any) -> str:
    """Return SHA-256 over position, name, dtype, shape and bytes of all weights: equal digests, equal networks."""
    digest = hashlib.sha256()
    for position, weight in enumerate(model.weights):
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{position} {weight.name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
