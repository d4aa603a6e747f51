"""The backend that Keras runs on."""

from artifacts.backends.protocol import Backend
from data.errors import TrainingFailed


def current() -> Backend:
    """Return the backend that Keras runs on: the value of KERAS_BACKEND when Keras was imported.

    Raises:
        TrainingFailed: it is neither TensorFlow nor JAX.
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
        f"expected Keras to run on TensorFlow or JAX, got {name}",
        "unset KERAS_BACKEND, or set it to tensorflow or jax",
    )
