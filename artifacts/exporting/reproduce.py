"""Ask exported models the recorded requests, with nothing but the library that each format belongs to.

    python -I reproduce.py FOLDER REQUESTS.npy RESPONSES.npy FORMAT...

prints one line of JSON: per format the largest difference of any probability from the recorded one, whether the most
probable class of every image is the recorded one, and the library's version; or an "error". No line of Nightshift is
imported: the file runs in an environment that has only NumPy and that library, and refuses our packages in any other.
"""

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

OURS = ("flows", "tasks", "data", "artifacts")
Images = npt.NDArray[np.uint8]


class Refused:
    """An import hook that finds none of our packages."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Refuse our packages; leave every other one to the finders behind this one."""
        if name.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"{name} is a package of Nightshift, which whoever loads an export does not have")


def savedmodel(folder: Path, images: Images) -> tuple[Any, str]:
    """Ask the signature that TensorFlow Serving calls."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return signature(images=tf.constant(images))["output_0"].numpy(), f"tensorflow {tf.__version__}"


def onnx(folder: Path, images: Images) -> tuple[Any, str]:
    """Ask ONNX Runtime, on the processor."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"images": images})[0], f"onnxruntime {onnxruntime.__version__}"


def litert(folder: Path, images: Images) -> tuple[Any, str]:
    """Ask the LiteRT interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(str(folder / "model.tflite")).get_signature_runner("serving_default")
    return signature(images=images)["output_0"], f"ai-edge-litert {metadata.version('ai-edge-litert')}"


def keras(folder: Path, images: Images) -> tuple[Any, str]:
    """Load the model file without any custom object."""
    import keras as library

    model = library.saving.load_model(folder / "model.keras", compile=False)
    return model.predict(images, verbose=0), f"keras {library.__version__}"


def weights(folder: Path, images: Images) -> tuple[Any, str]:
    """Build the network from its description and load the weights."""
    import keras as library

    model = library.models.model_from_json((folder / "model.json").read_text())
    model.load_weights(folder / "model.weights.h5")
    return model.predict(images, verbose=0), f"keras {library.__version__}"


def measured(name: str, folder: Path, images: Images, recorded: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Return how far an export's answers are from the recorded ones; an "error" if it cannot be loaded or asked."""
    try:
        answers, library = globals()[name](folder, images)
        answers = np.asarray(answers)
    except Exception as error:  # noqa: BLE001  # whatever happens when it is loaded or asked is a finding about it
        return {"error": f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0][:300]}"}
    if answers.shape != recorded.shape:
        return {"error": f"it answers with shape {answers.shape}, recorded is {recorded.shape}"}
    return {
        "library": library,
        "max_abs_diff": float(np.nan_to_num(np.abs(answers - recorded), nan=1.0).max()),
        "argmax_equal": bool((answers.argmax(axis=1) == recorded.argmax(axis=1)).all()),
        "n_requests": len(images),
    }


def main(folder: str, requests: str, responses: str, *names: str) -> None:
    """Measure the formats and print the result; whatever libraries print goes to standard error."""
    sys.meta_path.insert(0, Refused)
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    images, recorded = np.load(requests, allow_pickle=False), np.load(responses, allow_pickle=False)
    result = {name: measured(name, Path(folder), images, recorded) for name in names}
    print(json.dumps(result), file=stream, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
