"""Scoring a saved model on every image of a split.

Importing this module is cheap; Keras and its backend are loaded by the first model.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.evaluation.metrics import Metrics, measure
from artifacts.models import bundle, novelty, predictions
from artifacts.models.bundle import MODEL
from artifacts.models.loading import load, predict, raw_pixels
from artifacts.models.novelty import Novelty
from artifacts.models.predictions import Predictions
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from data.values import canonical_json, from_json

READ_AT_ONCE = 8192  # images; a row group of the Parquet files
COLUMNS = ("rows", "labels", "probabilities")


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on images it was not trained on.

    Args:
        validation: metrics by which candidates are ranked.
        test: metrics by which the best candidate is compared with the champion.
        splits: digest of the content of each split that was scored: only scores on the same images are comparable.
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
        return from_json(cls, value)


def evaluate(store: Store, prepared: PreparedRef, folder: Path) -> Evaluation:
    """Score the model in a folder on all validation and test images.

    Reads model.keras and training.json; writes predictions-validation.parquet, predictions-test.parquet,
    metrics.json, interface.json, novelty.npz and the request set.

    Raises:
        Corrupt: the model or the prepared data are not what was recorded.
    """
    result = json.loads((folder / "training.json").read_bytes())  # a draft has no manifest yet
    model = load(folder / MODEL, result["model_sha256"])
    described = parquet.describe(store, prepared)
    evaluation = Evaluation(
        validation=_score(store, prepared, model, "validation", folder),
        test=_score(store, prepared, model, "test", folder),
        splits={name: described["splits"][name]["digest"] for name in ("validation", "test")},
    )
    (folder / "metrics.json").write_bytes(canonical_json(evaluation.to_json()))
    bundle.write_interface(folder, parquet.geometry(described), described["class_names"])
    _novelty(store, prepared, model, described["splits"]["train"]["rows"]).save(folder)
    return evaluation


def _novelty(store: Store, prepared: PreparedRef, model: Any, n_train: int) -> Novelty:
    """Learn what genuine images are like; the training was the one to hash its file."""
    training = parquet.chunks(store, prepared, "train", READ_AT_ONCE, verify=False)
    validation = parquet.chunks(store, prepared, "validation", READ_AT_ONCE, verify=False)
    return novelty.fit_model(model, training, n_train, validation)


def _score(store: Store, prepared: PreparedRef, model: Any, split: str, folder: Path) -> Metrics:
    parts = []
    for chunk in parquet.chunks(store, prepared, split, READ_AT_ONCE):
        images = raw_pixels(chunk.images)
        parts.append(Predictions(chunk.rows, chunk.labels, predict(model, images)))
        if split == "test" and len(parts) == 1:  # the first row group has enough images for the request set
            bundle.write_requests(folder, images, parts[0].probabilities)
    predicted = Predictions(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))
    predictions.write(folder / f"predictions-{split}.parquet", predicted)
    return measure(predicted.labels, predicted.probabilities)
