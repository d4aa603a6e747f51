"""Trying a recipe before a night does: build it for several datasets, train it for a few steps, save it, load it.

It is built for grey and coloured, small and large images, and trained on usual ones. Not on large ones: TensorFlow ends
the process while it compiles some networks for them, and a check must not die of what it checks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
LARGE = 224  # pixels
LARGE_IMAGES = 40  # a batch, as `artifacts.recipes.sizes` bounds it, and a smaller one


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
    """Synthetic examples: float32 (n, h, w) or (n, h, w, 3) in [0, 1], and int64 labels (n,)."""

    images: Any
    labels: Any


def check(candidate: Candidate, device: str = "auto") -> Iterator[Row]:
    """Yield what works and what does not; a recipe is trained only if all its networks can be built.

    Args:
        candidate: a recipe and its parameters.
        device: where to train: `auto`, `gpu` or `cpu`.
    """
    datasets = _datasets(candidate)
    built = [_tried(f"build for {_title(info)}", partial(_built, candidate, info)) for info in datasets]
    yield from built
    if any(row.exit_code for row in built):
        return
    usual = datasets[0]
    kept: list[Fitted] = []
    yield _tried(
        f"train {STEPS} steps on {IMAGES} synthetic images", lambda: _trained(candidate, usual, device, kept.append)
    )
    if kept:
        yield _tried("train them again with the same seed", lambda: _repeated(candidate, usual, device, kept[0]))
        yield _tried("save, load and predict", lambda: _reloaded(candidate, usual, kept[0]))


def _tried(what: str, work: Callable[[], str]) -> Row:
    try:
        return Row(what, work())
    except NightshiftError as error:
        return Row(what, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001  (whatever a recipe's network does is a finding about it)
        return Row(what, f"{type(error).__name__}: {' '.join(str(error).split())}", Broken.exit_code)


def _datasets(candidate: Candidate) -> list[DatasetInfo]:
    """Return usual, small, oblong, coloured and large images, with few, ten and many classes."""
    least = candidate.definition.min_size
    usual, small, coloured, large = (max(least, side) for side in (28, 8, 32, LARGE))
    return [
        DatasetInfo(usual, usual, 10, IMAGES, True, 2),
        DatasetInfo(small, small, 2, IMAGES, True, 2),
        DatasetInfo(least + 9, 2 * least + 31, 300, IMAGES, True, 2),
        DatasetInfo(coloured, coloured, 10, IMAGES, True, 2, channels=3, ground=(0.5, 0.5, 0.5)),
        DatasetInfo(large, large, 10, LARGE_IMAGES, True, 2, channels=3, ground=(0.0, 0.0, 0.0)),
    ]


def _title(info: DatasetInfo) -> str:
    colour = "in colour, " if info.channels > 1 else ""
    return f"{info.height} × {info.width} pixels, {colour}{info.n_classes} classes"


def _built(candidate: Candidate, info: DatasetInfo) -> str:
    recipe, settings = candidate.definition, candidate.resolved()
    checked_plan(recipe, info, settings)
    return f"{checked_build(recipe)(info, settings).count_params():,} weights"


def _examples(info: DatasetInfo) -> Images:
    """Return noise in which the class decides how bright an image is."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, info.n_classes, info.n_train)
    brightness = (labels * 15).reshape(-1, *(1 for _ in info.shape)).astype(np.uint8)
    pixels = rng.integers(0, 100, (info.n_train, *info.shape), np.uint8) + brightness
    return Images(pixels / np.float32(255), labels.astype(np.int64))


def _fitted(candidate: Candidate, info: DatasetInfo, device: str, n_train: int = IMAGES) -> Fitted:
    """Train for a few steps, by the plan for `n_train` images."""
    examples = _examples(info)
    geometry = Geometry(info.height, info.width, 3 if info.channels == 3 else 1, "pad", (0,) * info.channels)
    known = replace(dataset_info(examples, geometry, info.n_classes), n_train=n_train)
    with catalogue.replaced(candidate.definition.shortened(STEPS)):
        return fit(examples, examples, known, candidate, device=device)


def _trained(
    candidate: Candidate,
    info: DatasetInfo,
    device: str,
    keep: Callable[[Fitted], None],
    n_train: int = IMAGES,
) -> str:
    fitted = _fitted(candidate, info, device, n_train)
    keep(fitted)
    losses = " → ".join(f"{epoch.val_loss:.2f}" for epoch in fitted.history)
    return f"loss {losses} on {fitted.device.description}, {fitted.seconds:.1f} s with compilation"


def _repeated(candidate: Candidate, info: DatasetInfo, device: str, first: Fitted) -> str:
    if weights_digest(_fitted(candidate, info, device).model) != weights_digest(first.model):
        raise BadInput(
            f"{candidate}: the same seed gave other weights the second time",
            "draw random numbers from Keras only: it is seeded before build()",
        )
    return "the same weights, bit by bit"


def _reloaded(candidate: Candidate, info: DatasetInfo, fitted: Fitted) -> str:
    images = raw_pixels(_examples(info).images)
    with TemporaryDirectory(prefix="nightshift-check-") as folder:
        path = Path(folder) / "model.keras"
        save(fitted.model, path)
        back = predict(load(path, file_sha256(path)), images)
        size = path.stat().st_size / 1e6
    difference = float(np.abs(back - predict(serving_model(fitted.model), images)).max())
    if not difference <= 1e-5:
        raise Broken(f"{candidate}: the loaded model's probabilities differ by {difference:g}", "see docs/recipes.md")
    return f"the same probabilities, {size:.1f} MB"
