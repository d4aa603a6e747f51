"""The process that converts: it loads a version with Keras on TensorFlow, whichever backend trained it.

The converters are the field's own: `Model.export` of Keras, which uses tf2onnx for ONNX and TensorFlow's converter for
LiteRT. It is a child of `artifacts.exporting.export`, because a process has one backend.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.models import loading
from artifacts.recipes import catalogue
from data.child_process import Message, serve
from data.errors import Broken, NightshiftError
from data.home.store import Store

ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
OUTPUT = "probabilities"  # the name of the ONNX model's output


def convert(model: Any, name: str, folder: Path) -> None:
    """Write a model in one format.

    Args:
        model: as loaded from a version: uint8 images to float32 probabilities.
        name: one of `formats.FORMATS`.
        folder: an existing folder, which gets the format's files.
    """
    from artifacts.exporting.portable import portable, with_constants

    match name:
        case "savedmodel":
            with_constants(model).export(folder, format="tf_saved_model", verbose=False)
        case "onnx":
            model(np.zeros((1, *model.input_shape[1:]), np.uint8))  # Keras wants it to have been called
            with_constants(model).export(folder / "model.onnx", format="onnx", verbose=False)
            _name_output(folder / "model.onnx")
        case "litert":
            with_constants(model).export(folder / "model.tflite", format="litert", verbose=False)
        case "keras":
            portable(model).save(folder / "model.keras")
        case "weights":
            plain = portable(model)
            (folder / "model.json").write_text(plain.to_json())
            plain.save_weights(folder / "model.weights.h5")


def _name_output(path: Path) -> None:
    """Call the only output of an ONNX model "probabilities"; the converter calls it "Identity:0"."""
    import onnx

    model = onnx.load(path)
    (output,) = model.graph.output
    old, output.name = output.name, OUTPUT
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [OUTPUT if name == old else name for name in names]
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _answer(request: Message, report: Callable[[Message], None]) -> Message:
    catalogue.search(request["recipes"])
    version = Path(request["version"])
    for name in request["formats"]:
        model = loading.load_recorded(Store(version), version)  # anew: a conversion may leave its traces in a model
        try:
            convert(model, name, Path(request["folder"]))
        except NightshiftError:
            raise
        except Exception as error:  # converters raise whatever a layer makes them raise
            first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise Broken(
                f"the converter to {name} failed: {type(error).__name__}: {first}",
                f"leave {name} out; savedmodel takes whatever TensorFlow can run",
            ) from error
        report({"done": name})
    return {}


if __name__ == "__main__":
    serve(_answer, prepare=loading.import_keras)
