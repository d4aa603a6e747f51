"""Layers of our own, registered so that models with them can be loaded. Imports Keras: import it inside functions."""

from typing import Any

import keras
from keras import ops

from artifacts.backends.current import current


@keras.saving.register_keras_serializable(package="nightshift")
class HandWrittenDense(keras.layers.Layer):  # type: ignore[misc] # keras ships no types
    """y = x . kernel + bias, relu or nothing after it, written without keras.layers.Dense.

    Args:
        units: number of outputs.
        relu: whether negative outputs become 0.
    """

    def __init__(self, units: int, relu: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.relu = units, relu

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights: kernel uniform in (0, 0.1), bias zero."""
        uniform = keras.initializers.RandomUniform(0.0, 0.1)
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer=uniform, name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Return float32 (b, units)."""
        outputs = ops.matmul(inputs, self.kernel) + self.bias
        return ops.relu(outputs) if self.relu else outputs

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "units": self.units, "relu": self.relu}

    def as_keras_layer(self) -> Any:
        """Return the layer of Keras with the same weights and the same function; exports are made of it."""
        return keras.layers.Dense(self.units, "relu" if self.relu else None, name=self.name)


@keras.saving.register_keras_serializable(package="nightshift")
class BatchNorm(keras.layers.BatchNormalization):  # type: ignore[misc] # keras ships no types
    """Keras' batch norm of maps (b, h, w, c), trained by one operation of the backend where it has one.

    Keras' own is a dozen operations in float32, which take two fifths of a deep net's time on a CPU; fused, in
    bfloat16, it takes nothing that could be measured (docs/log.md). It differs in training only; behind a convolution
    of a Sequential it is folded into the kernel before the model is saved.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return maps of the same shape and dtype."""
        if not training:
            return super().call(inputs, training=training, mask=mask)
        done, mean, variance = current().normalised(inputs, self.gamma, self.beta, self.epsilon)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1.0 - self.momentum) * now)
        return done

    def as_keras_layer(self) -> Any:
        """Return the layer of Keras with the same weights, which computes the same outside of training."""
        return keras.layers.BatchNormalization.from_config(self.get_config())


def normed_conv(filters: int, stride: int = 1) -> list[Any]:
    """Return a padded convolution of 3x3, larger with a stride, and its batch norm; a nonlinearity or pool follows.

    Padded: without, Fashion-MNIST, whose clothes touch the border, loses a whole point of accuracy. Normalised before
    the pool, though that is four times the work: only so can the norm be folded into the kernel.
    """
    return [
        keras.layers.Conv2D(filters, max(3, 2 * stride - 1), stride, padding="same", kernel_initializer="he_normal"),
        BatchNorm(momentum=0.95),  # the default, 0.99, is slow for trainings of hundreds of steps
    ]
