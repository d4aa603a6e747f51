"""Which backend Keras runs on."""

from artifacts.backends.protocol import Backend
from data.errors import TrainingFailed


def current() -> Backend:
    """Return the backend that Keras runs on: the environment's KERAS_BACKEND when Keras was imported.

    Raises:
        TrainingFailed: none that there is a loop for.
    """
    import keras

    name = keras.backend.backend()
    if name == "tensorflow":
        from artifacts.backends import tensorflow as backend_tensorflow

        return backend_tensorflow
    if name == "jax":
        from artifacts.backends import jax as backend_jax

        return backend_jax
    raise TrainingFailed(
        f"recipes train on TensorFlow or JAX, but Keras was told to use {name}",
        "unset KERAS_BACKEND, or set it to tensorflow or jax",
    )
