"""Training one candidate: from prepared Parquet files to a model file that maps raw images to probabilities.

Importing this module is cheap; Keras and its backend are loaded by the first training.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.models import calibration, warm_start
from artifacts.models.bundle import MODEL
from artifacts.models.calibration import Calibration
from artifacts.models.saving import UNCALIBRATED, save, weights_digest
from artifacts.models.warm_start import Parent
from artifacts.optimization.feed import (
    BATCHES_PER_CHUNK,
    CHUNK_BYTES,
    IN_MEMORY_BYTES,
    Source,
    Stream,
    dataset_info,
    parts,
    size,
    survey,
)
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.parameters import Value
from artifacts.recipes.recipe import DatasetInfo
from artifacts.training.checkpoint import Resume
from artifacts.training.fit import Fitted, fit
from artifacts.training.history import Progress
from data import catalogue
from data.home.files import file_sha256
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from data.values import canonical_json


@dataclass(frozen=True)
class TrainingResult:
    """What was trained, how, and how long it took.

    Args:
        recipe: name of the recipe.
        parameters: every parameter of the recipe, defaults included.
        seed: of initial weights, order and augmentation.
        n_parameters: trainable weights.
        n_train: training images.
        n_validation: validation images.
        epochs: epochs trained.
        history: one `Progress` per epoch.
        seconds: building, compiling, training and validating; without importing Keras, reading and saving.
        images_per_s: training images per second, over the epochs after the first, which compiles, where there are any.
        device: what it was trained on, for people.
        jit: whether XLA compiled the epochs, and the rule that decided it.
        precision: of the arithmetic in training, and the rule that decided it; the saved model computes in float32.
        weights_digest: SHA-256 over positions, names, dtypes, shapes and bytes of all weights.
        model_sha256: SHA-256 of the model file.
        backend: what Keras ran on, `tensorflow` or `jax`.
        temperature: what the saved model divides its logits by: see `artifacts.models.calibration`.
        power: what it raises them to after that; 1 leaves them alone.
        parent: the version whose weights it began with, as "mnist/3"; empty if it began with new ones.
        parent_weights: the digest of these weights; empty likewise.
        start: how it began, in a few words, where the recipe says `warm_start=champion`; else empty.
    """

    recipe: str
    parameters: dict[str, Value]
    seed: int
    n_parameters: int
    n_train: int
    n_validation: int
    epochs: int
    history: tuple[Progress, ...]
    seconds: float
    images_per_s: float
    device: str
    jit: str
    precision: str
    weights_digest: str
    model_sha256: str
    backend: str = "tensorflow"  # the only one when results had no such field
    temperature: float = 1.0  # likewise
    power: float = 1.0  # likewise
    parent: str = ""
    parent_weights: str = ""
    start: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TrainingResult":
        """Return the result that `to_json` wrote."""
        return cls(**{**value, "history": tuple(Progress(**entry) for entry in value["history"])})


def train(
    store: Store,
    prepared: PreparedRef,
    candidate: Candidate,
    folder: Path,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
    parent: Parent | None = None,
) -> TrainingResult:
    """Train a candidate on prepared data and write model.keras, history.json and training.json into a folder.

    Args:
        store: the home with the prepared data.
        prepared: the dataset, by name and digest.
        candidate: recipe, parameters and seed.
        folder: an existing folder, such as the path of a draft.
        device: `auto` takes a GPU where there is one; `gpu` or `cpu`.
        on_progress: called after every epoch; what it raises ends the training.
        checkpoint: a file in an existing folder, the same for every attempt at this training. It is written every few
            seconds, continued from, and removed in the end. A resumed training ends with the same weights.
        parent: the champion, for a candidate with `warm_start=champion`; None where there is none yet.

    Raises:
        TrainingFailed: the loss or a weight is not finite, or the device is not there.
        OutOfMemory: the batch or the net is too large for the device.
        DataRefused: the images or labels do not fit the dataset's description.
        Corrupt: the prepared files, or those of the parent, have changed.
    """
    described = parquet.describe(store, prepared)
    geometry = parquet.geometry(described)
    training, validation = (_source(store, prepared, split, described) for split in ("train", "validation"))
    mirror_symmetric = catalogue.get(store, prepared.dataset).mirror_symmetric
    info = dataset_info(training, geometry, described["n_classes"], mirror_symmetric)
    if isinstance(validation, Stream):
        survey(validation, geometry.shape, info.n_classes, "validation")
    parent = parent if warm_start.wanted(candidate) else None
    start = warm_start.read(store, parent, described["class_names"]) if parent else None
    identity = f"{prepared.digest} {parent.weights_digest}" if parent else prepared.digest
    resume = Resume(checkpoint, identity) if checkpoint else None
    fitted = fit(
        training, validation, info, candidate, device=device, on_progress=on_progress, resume=resume, start=start
    )
    calibrated = calibration.fitted_on(fitted.model, parts(validation), size(validation))
    save(fitted.model, folder / MODEL, calibrated)
    result = replace(
        summarise(fitted, candidate, info, size(validation), file_sha256(folder / MODEL), calibrated),
        **_began(candidate, parent, fitted),
    )
    (folder / "training.json").write_bytes(canonical_json(result.to_json()))
    (folder / "history.json").write_bytes(canonical_json([asdict(entry) for entry in result.history]))
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return result


def _began(candidate: Candidate, parent: Parent | None, fitted: Fitted) -> dict[str, Any]:
    """Return how a training began, for its result."""
    if not warm_start.wanted(candidate):
        return {}
    if parent is None:
        return {"start": "cold start: there is no champion yet"}
    if fitted.misfit:
        return {"start": f"cold start: {parent.version} does not fit, {fitted.misfit}"}
    began = f"began with the weights of {parent.version}"
    return {"parent": parent.version, "parent_weights": parent.weights_digest, "start": began}


def _source(store: Store, prepared: PreparedRef, split: str, described: dict[str, Any]) -> Source:
    """Return a split in memory if it fits there, otherwise a stream of it."""
    rows, image_bytes = described["splits"][split]["rows"], 4 * math.prod(parquet.geometry(described).shape)
    if rows * image_bytes <= IN_MEMORY_BYTES:
        return parquet.read_split(store, prepared, split)
    read = partial(parquet.chunks, store, prepared, split)
    return Stream(rows, max(CHUNK_BYTES // image_bytes, 1), read, BATCHES_PER_CHUNK)


def summarise(
    fitted: Fitted,
    candidate: Candidate,
    info: DatasetInfo,
    n_validation: int,
    model_sha256: str,
    calibrated: Calibration = UNCALIBRATED,
) -> TrainingResult:
    """Return the result of a training, as it is recorded in training.json."""
    # without the first epoch, which compiles
    rates = [entry.images_per_s for entry in fitted.history[1:] or fitted.history]
    device = fitted.device
    return TrainingResult(
        recipe=candidate.recipe,
        parameters=candidate.resolved(),
        seed=candidate.seed,
        n_parameters=int(sum(np.prod(weight.shape) for weight in fitted.model.trainable_weights)),
        n_train=info.n_train,
        n_validation=n_validation,
        epochs=len(fitted.history),
        history=fitted.history,
        seconds=fitted.seconds,
        images_per_s=len(rates) / sum(1 / rate for rate in rates),
        device=device.description,
        jit=f"{'xla' if device.jit else 'no xla'}: {device.jit_rule}",
        precision=f"{device.precision}: {device.precision_rule}",
        weights_digest=weights_digest(fitted.model),
        model_sha256=model_sha256,
        backend=device.backend,
        temperature=calibrated.temperature,
        power=calibrated.power,
    )
