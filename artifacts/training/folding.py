"""Batch norms are only needed in training: in the model that is kept they are folded into the layers before them."""

from typing import Any

import numpy as np


def folded(model: Any) -> Any:
    """Return a network that computes the same without its batch norms; it shares the other layers, with new weights.

    Args:
        model: a Sequential in float32 whose batch norms directly follow convolutions or dense layers with a bias, or a
            model whose outputs are those of several such.
    """
    import keras

    if not isinstance(model, keras.Sequential):
        members = [layer for layer in model.layers if isinstance(layer, keras.Sequential)]
        if not members:
            return model
        images = keras.Input(model.input_shape[1:])
        return keras.Model(images, [folded(member)(images) for member in members], name=model.name)
    kept: list[Any] = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            kernel, bias = kept[-1].get_weights()
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / np.sqrt(variance + layer.epsilon)
            kept[-1].set_weights([kernel * scale, (bias - mean) * scale + beta])
        else:
            kept.append(layer)
    if len(kept) == len(model.layers):
        return model
    return keras.Sequential([keras.Input(model.input_shape[1:]), *kept], name=model.name)
