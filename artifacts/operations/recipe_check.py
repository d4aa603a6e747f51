"""Trying a recipe before a night does: build it for several datasets, train it for a few steps, save it, load it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from artifacts.models.loading import load, predict, raw_pixels
from artifacts.models.saving import save, serving_model, weights_digest
from artifacts.optimization.feed import dataset_info
from artifacts.recipes import catalogue
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.checks import checked_build, checked_plan
from artifacts.recipes.recipe import DatasetInfo
from artifacts.training.fit import Fitted, fit
from data.dataset import Geometry
from data.errors import BadInput, Broken, NightshiftError
from data.home.files import file_sha256

STEPS = 3
IMAGES = 300  # more than most batches have, and no multiple of one: the last step has a smaller batch


@dataclass(frozen=True)
class Row:
    """One thing that was tried.

    Args:
        tried: what.
        found: the result, or the error.
        exit_code: 0 if it works, 2 if the recipe is wrong, 1 if the work failed.
    """

    tried: str
    found: str
    exit_code: int = 0


@dataclass(frozen=True)
class Images:
    """Synthetic examples: float32 (n, h, w) in [0, 1], and int64 labels (n,)."""

    images: Any
    labels: Any


def check(candidate: Candidate, device: str = "auto") -> Iterator[Row]:
    """Yield what works and what does not; a recipe is trained only if all its networks can be built.

    Args:
        candidate: a recipe and its parameters.
        device: where to train: `auto`, `gpu` or `cpu`.
    """
    built = [_tried(f"build for {_title(info)}", partial(_built, candidate, info)) for info in _datasets(candidate)]
    yield from built
    if any(row.exit_code for row in built):
        return
    kept: list[Fitted] = []
    yield _tried(f"train {STEPS} steps on {IMAGES} synthetic images", lambda: _trained(candidate, device, kept))
    if kept:
        yield _tried("train them again with the same seed", lambda: _repeated(candidate, device, kept[0]))
        yield _tried("save, load and predict", lambda: _reloaded(candidate, kept[0]))


def _tried(what: str, work: Callable[[], str]) -> Row:
    try:
        return Row(what, work())
    except NightshiftError as error:
        return Row(what, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001  (whatever a recipe's network does is a finding about it)
        return Row(what, f"{type(error).__name__}: {' '.join(str(error).split())}", Broken.exit_code)


def _datasets(candidate: Candidate) -> list[DatasetInfo]:
    """Return small, usual and oblong images, with few, ten and many classes."""
    least = candidate.definition.min_size
    shapes = ((max(least, 28), max(least, 28), 10), (max(least, 8), max(least, 8), 2), (least + 9, 2 * least + 31, 300))
    return [DatasetInfo(height, width, n_classes, IMAGES, True, 2) for height, width, n_classes in shapes]


def _title(info: DatasetInfo) -> str:
    return f"{info.height} × {info.width} pixels, {info.n_classes} classes"


def _built(candidate: Candidate, info: DatasetInfo) -> str:
    recipe, settings = candidate.definition, candidate.resolved()
    checked_plan(recipe, info, settings)
    return f"{checked_build(recipe)(info, settings).count_params():,} weights"


def _examples(candidate: Candidate) -> tuple[Images, DatasetInfo]:
    """Return noise in which the class decides how bright an image is, on the first of the datasets."""
    info, rng = _datasets(candidate)[0], np.random.default_rng(0)
    labels = rng.integers(0, info.n_classes, IMAGES)
    pixels = rng.integers(0, 100, (IMAGES, info.height, info.width)) + labels[:, None, None] * 15
    examples = Images(np.asarray(pixels / np.float32(255), np.float32), labels.astype(np.int64))
    return examples, dataset_info(examples, Geometry(info.height, info.width), info.n_classes)


def _fitted(candidate: Candidate, device: str) -> Fitted:
    examples, info = _examples(candidate)
    with catalogue.replaced(candidate.definition.shortened(STEPS)):
        return fit(examples, examples, info, candidate, device=device)


def _trained(candidate: Candidate, device: str, kept: list[Fitted]) -> str:
    kept.append(_fitted(candidate, device))
    (fitted,) = kept
    losses = " → ".join(f"{epoch.val_loss:.2f}" for epoch in fitted.history)
    return f"loss {losses} on {fitted.device.description}, {fitted.seconds:.1f} s with compilation"


def _repeated(candidate: Candidate, device: str, first: Fitted) -> str:
    if weights_digest(_fitted(candidate, device).model) != weights_digest(first.model):
        raise BadInput(
            f"{candidate}: the same seed gave other weights the second time",
            "draw random numbers from Keras only: it is seeded before build()",
        )
    return "the same weights, bit by bit"


def _reloaded(candidate: Candidate, fitted: Fitted) -> str:
    images = raw_pixels(_examples(candidate)[0].images)
    with TemporaryDirectory(prefix="nightshift-check-") as folder:
        path = Path(folder) / "model.keras"
        save(fitted.model, path)
        back = predict(load(path, file_sha256(path)), images)
        size = path.stat().st_size / 1e6
    difference = float(np.abs(back - predict(serving_model(fitted.model), images)).max())
    if not difference <= 1e-5:
        raise Broken(f"{candidate}: the loaded model's probabilities differ by {difference:g}", "see docs/recipes.md")
    return f"the same probabilities, {size:.1f} MB"
