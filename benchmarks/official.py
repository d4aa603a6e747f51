"""What the training benchmarks share: the official images, a description of the machine, and the figures' file."""

import json
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.models.provenance import library_versions
from artifacts.optimization.feed import dataset_info
from artifacts.recipes.recipe import DatasetInfo
from data import catalogue
from data.dataset import RawData
from data.prepared.splits import validation_mask
from data.sources import source
from data.statistics.summary import image_hashes


@dataclass(frozen=True)
class Images:
    """Images and labels, as training takes them.

    Args:
        images: float32 (n, h, w) in [0, 1].
        labels: int64 (n,).
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def official(name: str) -> RawData:
    """Return a dataset of the catalogue, downloaded into the home if it is not there yet, verified in any case."""
    from flows.settings import settings

    store = settings().store
    dataset = catalogue.get(store, name)
    return source.read_raw(store, dataset, source.download(store, dataset, settings().mirrors))


def scaled(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Images:
    """Return raw images as training takes them."""
    return Images(np.asarray(images / np.float32(255), np.float32), labels)


def nightly(raw: RawData) -> tuple[Images, Images, Images]:
    """Return train, validation and test images, split as every night splits them."""
    hashes = np.frombuffer(bytes.fromhex("".join(image_hashes(raw.train_images))), np.uint8).reshape(-1, 32)
    held_out = validation_mask(raw.train_labels, hashes)
    return (
        scaled(raw.train_images[~held_out], raw.train_labels[~held_out]),
        scaled(raw.train_images[held_out], raw.train_labels[held_out]),
        scaled(raw.test_images, raw.test_labels),
    )


def info(name: str, training: Images) -> DatasetInfo:
    """Return what a recipe may know about these images."""
    from flows.settings import settings

    row = catalogue.get(settings().store, name)
    return dataset_info(training, row.geometry, row.n_classes, row.mirror_symmetric)


def accuracy(model: Any, examples: Images) -> float:
    """Return the share of images whose largest output is that of the label; works for logits and probabilities."""
    predicted = model.predict(examples.images, batch_size=1000, verbose=0)
    return float((predicted.argmax(axis=1) == examples.labels).mean())


def machine() -> dict[str, Any]:
    """Return what the seconds depend on, in general terms."""
    import keras

    from artifacts.training.devices import bfloat16_instructions

    cores = len(os.sched_getaffinity(0))
    return {
        "cores": cores,
        "processor": f"{platform.machine()} {bfloat16_instructions()}".strip(),
        "python": re.match(r"\d+\.\d+", platform.python_version())[0],  # type: ignore[index] # it always has a version
        **library_versions(keras.backend.backend()),
    }


def keep(path: Path | None, figures: dict[str, Any]) -> None:
    """Add figures to a JSON file, replacing those of the same name, so that a benchmark can be run in slices."""
    if path is None:
        return
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **figures}, indent=1, sort_keys=True) + "\n")
