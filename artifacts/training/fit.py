"""Training a network epoch by epoch, so that it can be watched, stopped, resumed and repeated.

Images come from memory or, chunk by chunk, from a stream. Importing this module is cheap; Keras and its backend are
loaded by the first training.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.models.folding import folded
from artifacts.models.saving import flip_averaged
from artifacts.models.warm_start import Start, begin, shorter
from artifacts.optimization.feed import Feed, Source, Stream, parts, size, survey
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.checks import checked_build, checked_plan
from artifacts.recipes.recipe import DatasetInfo, Plan
from artifacts.training.checkpoint import Checkpointer, Resume
from artifacts.training.ensemble import averaged, side_by_side
from artifacts.training.history import Progress, exhausted
from data.errors import OutOfMemory, TrainingFailed

if TYPE_CHECKING:
    from artifacts.optimization.loop import Loop
    from artifacts.training.devices import Device


@dataclass(frozen=True)
class Fitted:
    """A trained network, before it is saved.

    Args:
        model: Keras model in float32, images (b, h, w) in [0, 1] to logits (b, c).
        history: one entry per epoch.
        seconds: building, compiling, training and validating; without importing Keras.
        device: where and how it was trained.
        misfit: why the weights of `start` were not used, as a clause; empty if they were, or if there was no `start`.
    """

    model: Any
    history: tuple[Progress, ...]
    seconds: float
    device: "Device"
    misfit: str = ""


def fit(
    training: Source,
    validation: Source,
    info: DatasetInfo,
    candidate: Candidate,
    *,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    resume: Resume | None = None,
    start: Start | None = None,
) -> Fitted:
    """Train a candidate. The same arguments give the same weights, bit by bit, on one machine.

    Args:
        training: images and labels to learn.
        validation: images and labels to measure on after every epoch.
        info: what the recipe may know about them.
        candidate: recipe, parameters and seed.
        device: `auto` takes a GPU where there is one; `gpu` or `cpu`.
        on_progress: called after every epoch, those before a resumption included; what it raises ends the training.
        resume: where to keep the state between epochs, and to continue from; ends with the same weights.
        start: whose weights to begin with, if they fit; None begins with new ones.

    Raises:
        TrainingFailed: the loss or a weight is not finite, or the device is not there.
        OutOfMemory: the batch or the net is too large for the device.
        DataRefused: the images or labels do not fit `info`.
        BadInput: the recipe gives no plan or network for these images; see `artifacts.recipes.checks`.
    """
    for what, source in (("training", training), ("validation", validation)):
        if not isinstance(source, Stream):  # a stream has been surveyed by whoever made `info`
            survey(source, info.shape, info.n_classes, what)
    import keras

    from artifacts.backends.current import current
    from artifacts.optimization.loop import Loop
    from artifacts.training.devices import choose

    recipe, settings = candidate.definition, candidate.resolved()
    plan = checked_plan(recipe, info, settings)
    build = partial(side_by_side(checked_build(recipe), plan.members), info, settings)
    chosen = choose(recipe, device)
    started = time.monotonic()
    keras.utils.set_random_seed(candidate.seed)
    current().deterministic()
    with _out_of_memory_explained(candidate, chosen):
        with keras.device(chosen.name), dtype_policy(chosen.precision):
            model = build()
            misfit = _begin(model, build, start, training) if start else ""
            if start and not misfit:
                plan = shorter(plan, candidate)
            loop = Loop(model, plan, size(training), chosen.jit, info.ground, info.class_counts)
            checkpointer = Checkpointer(resume, plan, candidate, chosen)
            for progress in _epochs(loop, training, validation, candidate, checkpointer):
                if on_progress is not None:
                    on_progress(progress)
        with keras.device(chosen.name), dtype_policy("float32"):
            kept = _model_to_keep(model, build, plan)
    return Fitted(kept, tuple(checkpointer.history), time.monotonic() - started, chosen, misfit)


def _begin(model: Any, build: Callable[[], Any], start: Start, training: Source) -> str:
    """Put the weights of `start` into the network; see `artifacts.models.warm_start.begin`."""
    with dtype_policy("float32"):
        return begin(model, build, start, next(iter(parts(training))).images)


@contextmanager
def _out_of_memory_explained(candidate: Candidate, device: "Device") -> Iterator[None]:
    """Turn the backend's error about a full memory into OutOfMemory."""
    from artifacts.backends.current import current

    try:
        yield
    except Exception as error:
        if not (isinstance(error, MemoryError) or current().out_of_memory(error)):
            raise
        message = str(getattr(error, "message", "") or error or "no details").splitlines()[0]
        raise OutOfMemory(
            f"{candidate} ran out of memory on {device.description}: {message}",
            "use a smaller batch, a smaller net or another device",
        ) from error


def _epochs(
    loop: "Loop", training: Source, validation: Source, candidate: Candidate, checkpointer: Checkpointer
) -> Iterator[Progress]:
    """Train epoch by epoch, yield the progress, and finally leave the weights to keep in the model."""
    started, plan = time.monotonic(), loop.plan
    lengths = plan.lengths(size(training))
    batches, held_out = Feed(training, plan.batch), Feed(validation, 1)
    done = checkpointer.restore(loop)
    yield from done
    for epoch in range(len(done), len(lengths)):
        if exhausted(checkpointer.history, plan.patience):
            break
        begun = time.monotonic()
        loss, accuracy, trained = loop.epoch(batches, (candidate.seed, epoch), lengths[epoch])
        rate = trained / (time.monotonic() - begun)
        val_loss, val_accuracy = loop.measure(held_out) if np.isfinite(loss) else (loss, 0.0)
        if not np.isfinite([loss, val_loss]).all():
            raise TrainingFailed(
                f"{candidate}: the loss is no longer finite in epoch {epoch + 1} of {len(lengths)}",
                f"use a learning rate below {plan.learning_rate:g}",
            )
        seconds = time.monotonic() - started
        progress = Progress(epoch + 1, len(lengths), loss, accuracy, val_loss, val_accuracy, rate, seconds)
        checkpointer.add(loop, progress)
        yield progress
    loop.finish()
    if plan.patience:
        loop.model.set_weights(checkpointer.best)


def _model_to_keep(model: Any, build: Callable[[], Any], plan: Plan) -> Any:
    """Return one network in float32 that gives what was validated: norms folded, members and flips averaged."""
    kept = averaged(folded(_in_float32(model, build)))
    return flip_averaged(kept) if plan.average_flips else kept


def _in_float32(model: Any, build: Callable[[], Any]) -> Any:
    """Return the same network with the same weights that computes in float32, so that it serves alike everywhere."""
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise TrainingFailed("a weight is not finite after the last step", "use a smaller learning rate")
    if model.dtype_policy.compute_dtype == "float32":
        return model
    copy = build()
    copy.set_weights(model.get_weights())
    return copy


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build Keras layers under a dtype policy while the block runs."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
