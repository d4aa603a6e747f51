"""Hand-written layers, registered so that a saved model can name them. Imports Keras: import it inside functions."""

from typing import Any

import keras
from keras import ops


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
