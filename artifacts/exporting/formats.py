"""The formats that a version can be exported to, a row each."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from data.errors import BadInput, UnknownName


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        name: what users type.
        title: what people call it.
        files: the files and folders that it consists of, in an export's folder; the first one is what is loaded.
        packages: what converting it, and loading it here, needs besides the base installation.
        extra: the extra of Nightshift that installs these packages; "" if there are none.
        loads: the Python code that loads it and answers `images`, for people who have no Nightshift.
    """

    name: str
    title: str
    files: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str
    loads: str


FORMATS = {
    row.name: row
    for row in (
        Format(
            "savedmodel",
            "TensorFlow SavedModel, in the layout of TensorFlow Serving",
            ("saved_model.pb", "fingerprint.pb", "variables", "assets"),
            (),
            "",
            "import tensorflow as tf\n\n"
            'model = tf.saved_model.load(".").signatures["serving_default"]\n'
            'probabilities = model(images=tf.constant(images))["output_0"].numpy()',
        ),
        Format(
            "onnx",
            "ONNX",
            ("model.onnx",),
            ("tf2onnx", "onnx", "onnxruntime"),
            "onnx",
            "import onnxruntime\n\n"
            'model = onnxruntime.InferenceSession("model.onnx")\n'
            'probabilities = model.run(["probabilities"], {"images": images})[0]',
        ),
        Format(
            "litert",
            "LiteRT (TensorFlow Lite)",
            ("model.tflite",),
            ("ai_edge_litert",),
            "litert",
            "from ai_edge_litert.interpreter import Interpreter\n\n"
            'model = Interpreter("model.tflite").get_signature_runner("serving_default")\n'
            'probabilities = model(images=images)["output_0"]',
        ),
        Format(
            "keras",
            "Keras model file",
            ("model.keras",),
            (),
            "",
            "import keras\n\n"
            'model = keras.saving.load_model("model.keras", compile=False)\n'
            "probabilities = model.predict(images, verbose=0)",
        ),
        Format(
            "weights",
            "Keras weights, with the network's description",
            ("model.weights.h5", "model.json"),
            (),
            "",
            "import keras\nfrom pathlib import Path\n\n"
            'model = keras.models.model_from_json(Path("model.json").read_text())\n'
            'model.load_weights("model.weights.h5")\n'
            "probabilities = model.predict(images, verbose=0)",
        ),
    )
}


def chosen(names: Iterable[str]) -> tuple[Format, ...]:
    """Return the formats of these names, each once, in the order of FORMATS.

    Raises:
        BadInput: none is named, or what one of them needs is not installed.
        UnknownName: there is no such format.
    """
    wanted = set(names)
    if unknown := sorted(wanted - FORMATS.keys()):
        raise UnknownName.among("export format", unknown[0], FORMATS)
    if not wanted:
        raise BadInput("expected at least one format, got none", f"add --to with one of {', '.join(FORMATS)}")
    found = tuple(row for name, row in FORMATS.items() if name in wanted)
    for row in found:
        if missing := [package for package in row.packages if find_spec(package) is None]:
            raise BadInput(
                f"exporting to {row.name} needs {', '.join(missing)}, which is not installed",
                f"install the extra: pip install -e '.[{row.extra}]'",
            )
    return found
