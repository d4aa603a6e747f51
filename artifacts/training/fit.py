"""Training a network on images in memory, epoch by epoch, so that it can be watched, stopped, resumed and repeated.

Importing this module is cheap; Keras and its backend are loaded by the first training.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.models.provenance import library_versions
from artifacts.models.saving import flip_averaged
from artifacts.optimization.feed import Feed, Source, Stream, size, survey
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.checks import checked_build, checked_plan
from artifacts.recipes.recipe import DatasetInfo, Plan, Settings
from artifacts.training import checkpoint
from artifacts.training.checkpoint import Checkpoint
from artifacts.training.ensemble import Build, averaged, side_by_side
from artifacts.training.folding import folded
from data.errors import OutOfMemory, TrainingFailed
from data.store import digest_of

CHECKPOINT_EVERY_S = 5.0  # at most that much work is lost, and writing takes well under a hundredth of it

if TYPE_CHECKING:
    from artifacts.optimization.loop import Loop
    from artifacts.training.devices import Device


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
class Resume:
    """Where a training keeps its state between epochs, to continue from after a crash.

    Args:
        path: a file in an existing folder, the same for every attempt at this training.
        data: digest of the images and labels.
    """

    path: Path
    data: str


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
    training: Source,
    validation: Source,
    info: DatasetInfo,
    candidate: Candidate,
    *,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    resume: Resume | None = None,
) -> Fitted:
    """Train a candidate on images in memory. The same arguments give the same weights, bit by bit, on one machine.

    Args:
        training: what to learn.
        validation: what to measure after every epoch.
        info: what the recipe may know about them.
        candidate: recipe, parameters and seed.
        device: `auto` takes a GPU where there is one.
        on_progress: called after every epoch, those before a resumption included; what it raises ends the training.
        resume: where to keep the state between epochs, and to continue from; ends with the same weights.

    Raises:
        TrainingFailed: the loss or a weight stopped being finite, or the device is not there.
        OutOfMemory: the batch or the net is too large for the device.
        DataRefused: the images or labels do not fit `info`.
        BadInput: the recipe gives no plan or network for these images; see `artifacts.recipes.checks`.
    """
    shape = (info.height, info.width)
    for what, source in (("training", training), ("validation", validation)):
        if not isinstance(source, Stream):  # a stream has been surveyed by whoever made `info`
            survey(source, shape, info.n_classes, what)
    recipe, settings = candidate.definition, candidate.resolved()
    plan = checked_plan(recipe, info, settings)
    build = side_by_side(checked_build(recipe), plan.members)
    import keras

    from artifacts.backends.current import current
    from artifacts.optimization.loop import Loop
    from artifacts.training.devices import choose

    backend, chosen = current(), choose(recipe, device)
    started = time.monotonic()
    keras.utils.set_random_seed(candidate.seed)
    backend.deterministic()
    try:
        with keras.device(chosen.name), dtype_policy(chosen.precision):
            model = build(info, settings)
            loop = Loop(model, plan, size(training), chosen.jit)
            keeper = _Keeper(resume, plan, candidate, chosen)
            for progress in _epochs(loop, plan, training, validation, candidate, keeper):
                if on_progress is not None:
                    on_progress(progress)
        with keras.device(chosen.name), dtype_policy("float32"):
            final = averaged(folded(_in_float32(model, build, info, settings)))
            final = flip_averaged(final) if plan.average_flips else final
    except Exception as error:
        if isinstance(error, MemoryError) or backend.out_of_memory(error):
            raise _out_of_memory(candidate, chosen, error) from error
        raise
    return Fitted(final, tuple(keeper.history), time.monotonic() - started, chosen)


def _out_of_memory(candidate: Candidate, device: "Device", error: Exception) -> OutOfMemory:
    said = str(getattr(error, "message", "") or error or "no details").splitlines()[0]
    return OutOfMemory(
        f"{candidate} ran out of memory on {device.description}: {said}",
        "use a smaller batch, a smaller net or another device",
    )


def _epochs(
    loop: "Loop", plan: Plan, training: Source, validation: Source, candidate: Candidate, keeper: "_Keeper"
) -> Iterator[Progress]:
    """Train epoch by epoch, leave the weights to keep in the model, and yield how it goes."""
    started = time.monotonic()
    lengths = plan.lengths(size(training))
    here, there = Feed(training, plan.batch), Feed(validation, 1)
    done = keeper.restore(loop)
    yield from done
    for epoch in range(len(done), len(lengths)):
        if exhausted(keeper.history, plan.patience):
            break
        begun = time.monotonic()
        loss, accuracy, trained = loop.epoch(here, (candidate.seed, epoch), lengths[epoch])
        rate = trained / (time.monotonic() - begun)
        val_loss, val_accuracy = loop.measure(there) if np.isfinite(loss) else (loss, 0.0)
        if not np.isfinite([loss, val_loss]).all():
            raise TrainingFailed(
                f"{candidate}: the loss stopped being finite in epoch {epoch + 1} of {len(lengths)}",
                f"use a learning rate below {plan.learning_rate:g}",
            )
        seconds = time.monotonic() - started
        progress = Progress(epoch + 1, len(lengths), loss, accuracy, val_loss, val_accuracy, rate, seconds)
        keeper.keep(loop, progress)
        yield progress
    loop.finish()
    if plan.patience:
        loop.model.set_weights(keeper.best)


def exhausted(history: Sequence[Progress], patience: int) -> bool:
    """Return whether the validation accuracy has not risen for `patience` epochs; never if that is 0."""
    return 0 < patience < len(history) and _best(history) < len(history) - patience


def _best(history: Sequence[Progress]) -> int:
    """Return the first epoch, counted from 0, with the best validation accuracy."""
    return max(range(len(history)), key=lambda index: history[index].val_accuracy)


class _Keeper:
    """Keeps the state every few seconds, if it was told where; and the best weights, if the plan wants them."""

    def __init__(self, resume: Resume | None, plan: Plan, candidate: Candidate, device: "Device") -> None:
        self.plan, self.best = plan, list[Any]()
        self.path = resume.path if resume else None
        self.identity = _identity(resume.data, candidate, device) if resume else ""
        self.history: list[Progress] = []
        self.kept_at = time.monotonic()

    def restore(self, loop: "Loop") -> tuple[Progress, ...]:
        """Put the loop where the checkpoint left it, and return the epochs that are done."""
        found = checkpoint.read(self.path, self.identity) if self.path else None
        if found is not None:
            n = len(loop.state())
            loop.restore(found.arrays[:n])
            self.best = list(found.arrays[n:])
            self.history = [Progress(**entry) for entry in found.history]
        return tuple(self.history)

    def keep(self, loop: "Loop", progress: Progress) -> None:
        """Remember an epoch, and write a checkpoint if the last one is old enough."""
        self.history.append(progress)
        if self.plan.patience and _best(self.history) == len(self.history) - 1:
            with loop.averaged():
                self.best = loop.model.get_weights()
        if self.path is not None and time.monotonic() - self.kept_at >= CHECKPOINT_EVERY_S:
            history = tuple(asdict(entry) for entry in self.history)
            checkpoint.write(self.path, Checkpoint(self.identity, history, (*loop.state(), *self.best)))
            self.kept_at = time.monotonic()


def _identity(data: str, candidate: Candidate, device: "Device") -> str:
    """Return a digest of all that decides how a training goes."""
    import keras

    return digest_of(
        {
            "data": data,
            "recipe": candidate.recipe,
            "parameters": candidate.resolved(),
            "seed": candidate.seed,
            "device": asdict(device),
            "libraries": library_versions(keras.backend.backend()),
        }
    )


def _in_float32(model: Any, build: Build, info: DatasetInfo, settings: Settings) -> Any:
    """Return the same network with the same weights that computes in float32, so that it serves alike everywhere."""
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise TrainingFailed("a weight is not finite after the last step", "use a smaller learning rate")
    if model.dtype_policy.compute_dtype == "float32":
        return model
    final = build(info, settings)
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
