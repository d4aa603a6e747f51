"""Batch norms are only needed in training: in the model that is kept they are folded into the layers before them."""

from typing import Any

import numpy as np


def folded(model: Any) -> Any:
    """Return the network without the batch norms that can be folded.

    The layers that are left are the same ones, with new weights.

    Args:
        model: in float32. Folded are the batch norms of a Sequential, or of a model whose outputs are those of several
            Sequentials, that directly follow a convolution or dense layer: see `_foldable`. All others are kept.
    """
    import keras

    if not isinstance(model, keras.Sequential):
        members = [layer for layer in model.layers if isinstance(layer, keras.Sequential)]
        if not len(model.outputs) == len(members) == len(model.layers) - 1:  # the other one is the input
            return model
        images = keras.Input(model.input_shape[1:])
        return keras.Model(images, [folded(member)(images) for member in members], name=model.name)
    kept: list[Any] = []
    for layer in model.layers:
        if kept and _foldable(kept[-1], layer):
            kernel, bias = kept[-1].get_weights()
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / np.sqrt(variance + layer.epsilon)
            kept[-1].set_weights([kernel * scale, (bias - mean) * scale + beta])
        else:
            kept.append(layer)
    if len(kept) == len(model.layers):
        return model
    return keras.Sequential([keras.Input(model.input_shape[1:]), *kept], name=model.name)


def _foldable(layer: Any, norm: Any) -> bool:
    """Return whether `norm` is a batch norm of what `layer`, linear and with a bias, gives."""
    from keras import activations, layers

    return (
        isinstance(norm, layers.BatchNormalization)
        and isinstance(layer, layers.Conv2D | layers.Dense)
        and layer.use_bias
        and layer.activation in (None, activations.linear)
        and norm.center
        and norm.scale
        and norm.axis in (-1, len(layer.output.shape) - 1)
    )
