"""Scoring a saved model on every image of a split: the only way from a model file to numbers.

Importing this module is cheap; Keras and its backend are loaded by the first model.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts import bundle, predictions
from artifacts.metrics import Metrics, measure
from artifacts.predictions import Predictions
from artifacts.training import MODEL
from data import parquet
from data.errors import BadInput, Corrupt
from data.parquet import PreparedRef
from data.store import Store, canonical_json, file_sha256

AT_ONCE = 1000  # images per call: enough to keep the processor busy, small enough for any memory
READ_AT_ONCE = 8192  # a row group
COLUMNS = ("rows", "labels", "probabilities")


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on images it was not trained on.

    Args:
        validation: chooses between candidates.
        test: decides about the winner.
        splits: digest of the content of each split that was scored, so that nobody compares scores on other images.
    """

    validation: Metrics
    test: Metrics
    splits: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Evaluation":
        """Return the evaluation that `to_json` wrote."""
        return cls(Metrics.from_json(value["validation"]), Metrics.from_json(value["test"]), value["splits"])


def load(path: Path, sha256: str) -> Any:
    """Load a model file, after its hash, because a model file is code.

    Args:
        path: a .keras file.
        sha256: what was recorded when it was written.

    Returns:
        A Keras model from uint8 images (b, h, w) to float32 probabilities (b, c).

    Raises:
        Corrupt: the file is missing, does not have this hash, or Keras cannot read it.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise Corrupt(f"{path} cannot be read ({error.strerror})", "run 'nightshift verify'") from error
    if found != sha256:
        raise Corrupt(
            f"{path} expected SHA-256 {sha256[:12]}..., came {found[:12]}...",
            "it was changed after it was written: do not load it; run 'nightshift verify'",
        )
    import keras

    from artifacts.recipes import layers  # noqa: F401 - registers the hand-written layers, so that they can be loaded

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise Corrupt(f"{path} is not a model that Keras can load ({error})", "train it again") from error


def predict(model: Any, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return probabilities for every image: none is dropped, whatever the batch size.

    Args:
        model: from `load`.
        images: uint8 (n, h, w).

    Returns:
        float32 (n, c).

    Raises:
        BadInput: not uint8, or not of the height and width the model was trained on.
    """
    expected = tuple(model.input_shape[1:])
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != expected:
        raise BadInput(
            f"expected images uint8 (n, {expected[0]}, {expected[1]}), came {images.dtype} {images.shape}",
            "give grey images of that size, dark background, one byte per pixel",
        )
    if len(images) == 0:
        return np.zeros((0, model.output_shape[-1]), np.float32)
    return np.asarray(model.predict(images, batch_size=AT_ONCE, verbose=0), np.float32)


def raw_pixels(images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return the bytes that normalised images came from: the inverse of uint8 / float32(255), without loss."""
    return np.asarray(np.rint(images * np.float32(255)), np.uint8)


def evaluate(store: Store, prepared: PreparedRef, folder: Path) -> Evaluation:
    """Score the model in a folder on all validation and test images.

    Reads model.keras and training.json; writes predictions-validation.parquet, predictions-test.parquet,
    metrics.json, and what a registered version needs to be checked: interface.json and the request set.

    Raises:
        Corrupt: the model or the prepared data are not what was recorded.
    """
    recorded = json.loads((folder / "training.json").read_bytes())
    model = load(folder / MODEL, recorded["model_sha256"])
    evaluation = Evaluation(
        validation=_score(store, prepared, model, "validation", folder),
        test=_score(store, prepared, model, "test", folder),
        splits={name: parquet.describe(store, prepared)["splits"][name]["digest"] for name in ("validation", "test")},
    )
    (folder / "metrics.json").write_bytes(canonical_json(evaluation.to_json()))
    told = parquet.describe(store, prepared)
    bundle.write_interface(folder, told["height"], told["width"], told["class_names"])
    return evaluation


def _score(store: Store, prepared: PreparedRef, model: Any, split: str, folder: Path) -> Metrics:
    parts = []
    for chunk in parquet.chunks(store, prepared, split, READ_AT_ONCE):
        images = raw_pixels(chunk.images)
        parts.append(Predictions(chunk.rows, chunk.labels, predict(model, images)))
        if split == "test" and len(parts) == 1:  # the first row group has images enough for the request set
            bundle.write_requests(folder, images, parts[0].probabilities)
    said = Predictions(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))
    predictions.write(folder / f"predictions-{split}.parquet", said)
    return measure(said.labels, said.probabilities)
