"""Training a network on images in memory, epoch by epoch, so that it can be watched, stopped, resumed and repeated.

Importing this module is cheap; TensorFlow is loaded by the first training.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from artifacts.recipes.base import Candidate, Plan, Problem
from artifacts.recipes.parameters import Value
from artifacts.saving import flip_averaged
from data.errors import DataRefused, OutOfMemory, TrainingFailed

if TYPE_CHECKING:
    from artifacts.devices import Device
    from artifacts.loop import Loop


class Examples(Protocol):
    """Images and their labels, such as `data.parquet.Split`."""

    @property
    def images(self) -> npt.NDArray[np.float32]:
        """float32 (n, h, w) in [0, 1]."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 (n,)."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands after an epoch.

    Args:
        epoch: epochs done, from 1.
        epochs: epochs in all.
        loss: mean training loss of the epoch, label smoothing and augmentation included.
        accuracy: training accuracy of the epoch, likewise.
        val_loss: mean cross-entropy on the validation images after the epoch.
        val_accuracy: accuracy on the validation images after the epoch.
        images_per_s: training images per second of this epoch, compilation included in the first.
        seconds: since the training began.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    images_per_s: float
    seconds: float


@dataclass(frozen=True)
class Fitted:
    """A trained network, before it is saved.

    Args:
        model: Keras model in float32, images (b, h, w) in [0, 1] to logits (b, c).
        history: one entry per epoch.
        seconds: as in TrainingResult.
        device: where and how it was trained.
    """

    model: Any
    history: tuple[Progress, ...]
    seconds: float
    device: "Device"


def fit(
    training: Examples,
    validation: Examples,
    problem: Problem,
    candidate: Candidate,
    *,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Train a candidate on images in memory. The same arguments give the same weights, bit by bit, on one machine.

    Raises:
        TrainingFailed: the loss or a weight stopped being finite, or the device is not there.
        OutOfMemory: the batch or the net is too large for the device.
        DataRefused: the images or labels do not fit the problem.
    """
    _check(training, problem, "training")
    _check(validation, problem, "validation")
    recipe, settings = candidate.definition, candidate.resolved()
    plan = recipe.plan(problem, settings)
    import keras
    import tensorflow as tf

    from artifacts.devices import choose
    from artifacts.loop import Loop

    chosen = choose(recipe, device)
    started = time.monotonic()
    keras.utils.set_random_seed(candidate.seed)
    tf.config.experimental.enable_op_determinism()
    try:
        with tf.device(chosen.name), dtype_policy(chosen.precision):
            model = recipe.build(problem, settings)
            loop = Loop(model, plan, plan.lengths(len(training.labels))[0], chosen.jit)
            history = []
            for progress in _epochs(loop, plan, training, validation, candidate):
                history.append(progress)
                if on_progress is not None:
                    on_progress(progress)
        with tf.device(chosen.name), dtype_policy("float32"):
            final = _in_float32(model, recipe.build, problem, settings)
            final = flip_averaged(final) if plan.average_flips else final
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        said = str(getattr(error, "message", "") or error or "no details").splitlines()[0]
        raise OutOfMemory(
            f"{candidate} ran out of memory on {chosen.description}: {said}",
            "use a smaller batch, a smaller net or another device",
        ) from error
    return Fitted(final, tuple(history), time.monotonic() - started, chosen)


def _epochs(
    loop: "Loop", plan: Plan, training: Examples, validation: Examples, candidate: Candidate
) -> Iterator[Progress]:
    """Train epoch by epoch, leave the weights to keep in the model, and yield how it goes."""
    from artifacts.augmentation import draw
    from artifacts.loop import on_device

    started = time.monotonic()
    n = len(training.labels)
    total, per_epoch, epochs = plan.lengths(n)
    here, there = on_device(training), on_device(validation)
    for epoch in range(epochs):
        begun = time.monotonic()
        draws = draw(plan, n, candidate.seed, epoch)
        loss, accuracy, trained = loop.epoch(*here, draws, min(per_epoch, total - epoch * per_epoch))
        rate = trained / (time.monotonic() - begun)
        val_loss, val_accuracy = loop.measure(*there) if np.isfinite(loss) else (loss, 0.0)
        if not np.isfinite([loss, val_loss]).all():
            raise TrainingFailed(
                f"{candidate}: the loss stopped being finite in epoch {epoch + 1} of {epochs}",
                f"use a learning rate below {plan.learning_rate:g}",
            )
        seconds = time.monotonic() - started
        yield Progress(epoch + 1, epochs, loss, accuracy, val_loss, val_accuracy, rate, seconds)
    loop.finish()


def _in_float32(model: Any, build: Callable[..., Any], problem: Problem, settings: dict[str, Value]) -> Any:
    """Return the same network with the same weights that computes in float32, so that it serves alike everywhere."""
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise TrainingFailed("a weight is not finite after the last step", "use a smaller learning rate")
    if model.dtype_policy.compute_dtype == "float32":
        return model
    final = build(problem, settings)
    final.set_weights(model.get_weights())
    return final


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build Keras layers under a dtype policy for a while."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check(examples: Examples, problem: Problem, what: str) -> None:
    """Refuse what would train to nonsense: on a GPU a label out of range does not raise, it gives NaN."""
    images, labels = examples.images, examples.labels
    expected = (problem.height, problem.width)
    if len(labels) == 0 or images.shape != (len(labels), *expected):
        raise DataRefused(
            f"expected {what} images (n, {expected[0]}, {expected[1]}) and as many labels, "
            f"came {images.shape} and {labels.shape}",
            "prepare the dataset again",
        )
    if labels.min() < 0 or labels.max() >= problem.n_classes:
        raise DataRefused(
            f"expected {what} labels 0..{problem.n_classes - 1}, came {labels.min()}..{labels.max()}",
            "mend the label file, or register the dataset with all its classes",
        )
    if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
        raise DataRefused(f"expected {what} pixels in [0, 1], came others", "prepare the dataset again")
