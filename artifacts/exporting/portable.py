"""A model of Keras' own layers only, so that whoever loads it needs none of our code. Imports Keras."""

from typing import Any

import keras
import numpy as np

from data.errors import BadInput

EQUIVALENT = "as_keras_layer"  # a method of a layer of one's own: returns a layer of Keras with the same weights


def portable(model: Any) -> Any:
    """Return a copy of a model in which layers of our own are replaced by the layers of Keras that they equal.

    Args:
        model: as loaded from a version.

    Raises:
        BadInput: a layer of its own has no equivalent in Keras.
    """
    copy = keras.models.clone_model(model, clone_function=_cloned, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _cloned(layer: Any) -> Any:
    if not isinstance(layer, keras.layers.Layer) or type(layer).__module__.partition(".")[0] == "keras":
        return layer.__class__.from_config(layer.get_config())
    if not hasattr(layer, EQUIVALENT):
        raise BadInput(
            f"the layer {layer.name!r} is a {type(layer).__name__} of its recipe, which Keras alone cannot load",
            f"export to savedmodel, onnx or litert; or give the layer a method {EQUIVALENT}: docs/recipes.md",
        )
    return getattr(layer, EQUIVALENT)()


def with_constants(model: Any) -> Any:
    """Make the means and variances that Normalization layers were given constants of the graph; return the model.

    They are tensors outside of it otherwise, which tf2onnx turns into further inputs of the converted model.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    return model
