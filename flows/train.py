"""One candidate: train, evaluate. Runs where the GPUs are; the only flow in which TensorFlow trains.

What was trained before from the same data, recipe, seed, code and libraries is used again. On a worker, and wherever
there is a GPU, a process of its own does the work: it gives all memory back, and ends at once when it is told to.
"""

import platform
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from prefect import flow, runtime

from artifacts import gpus, trained
from artifacts.apart import Apart
from artifacts.gpus import Reserved
from artifacts.provenance import code_digest, library_versions, lock_digest
from artifacts.recipes.base import Candidate
from artifacts.trained import TrainedRef
from data import journal
from data.errors import OutOfMemory
from data.parquet import PreparedRef
from data.store import Store
from flows.forms import Device, RecipeName, Seed
from flows.settings import settings, visible_gpus
from flows.shown import explained
from flows.turn import own_deployment, recorded
from tasks.evaluate import evaluate
from tasks.progress import say
from tasks.train import train as fit


@flow(flow_run_name="train {recipe} seed {seed}")
@explained
def train(prepared: PreparedRef, recipe: RecipeName = "cnn", seed: Seed = 0, device: Device = "auto") -> TrainedRef:
    """Train and evaluate one candidate.

    Args:
        prepared: The prepared dataset, by name and digest.
        recipe: What to train, such as cnn or mlp:epochs=5.
        seed: Decides initial weights, order of images and augmentation.
        device: Where to train; gpu fails where there is none.
    """
    store, candidate = settings().store, Candidate.parse(recipe, seed)
    run = f"train-{runtime.flow_run.id}"
    with recorded(store, "train", run, prepared.dataset) as record:
        with gpus.reserved(device, visible_gpus(), lambda text: say(f"train {candidate.name}", text)) as gpu:
            journal.write(store, replace(record, state="running"))
            ref = _fitted(store, prepared, candidate, device, gpu)
        told = {"recipe": str(ref.candidate), "seed": ref.candidate.seed, "digest": ref.digest, "reused": ref.reused}
        journal.end(store, record, "finished", result=told)
    return ref


def _fitted(
    store: Store, prepared: PreparedRef, candidate: Candidate, device: Device, gpu: Reserved | None
) -> TrainedRef:
    """Train the candidate; if it does not fit, train it once more with half the batch, in a new process."""
    apart = gpu is not None or bool(own_deployment())
    try:
        return _trained(store, prepared, candidate, device, gpu, apart)
    except OutOfMemory as error:
        smaller = half_batch(candidate)
        if smaller is None:
            raise
        say(f"train {candidate.name}", f"{error.problem}; once more with half the batch, as {smaller.name}")
        return _trained(store, prepared, smaller, device, gpu, apart=True)


def half_batch(candidate: Candidate) -> Candidate | None:
    """Return the same candidate with half the batch, or None if its recipe has no batch to halve."""
    batch = candidate.resolved().get("batch")
    if not isinstance(batch, int) or batch < 2:
        return None
    return Candidate(candidate.recipe, (*dict(candidate.parameters, batch=batch // 2).items(),), candidate.seed)


def _trained(
    store: Store, prepared: PreparedRef, candidate: Candidate, device: Device, gpu: Reserved | None, apart: bool
) -> TrainedRef:
    inputs = {"prepared": prepared.digest, "device": device, **environment()}
    ref = TrainedRef(candidate, trained.address(candidate, inputs))
    if store.intact(store.trained(ref.digest)) is not None:
        say(f"train {candidate.name}", "nothing has changed since it was trained; used again", 1.0)
        return TrainedRef(candidate, ref.digest, reused=True)
    process = Apart(gpu.uuid, [gpu.lock]) if gpu else Apart() if apart else nullcontext()
    with process as there, store.publish(store.trained(ref.digest)) as draft:
        draft.meta.update(recipe=str(candidate), seed=candidate.seed, **inputs)
        fit(store, prepared, candidate, draft.path, device, store.checkpoint(ref.digest), there)
        evaluate(store, prepared, candidate, draft.path, there)
    return ref


def environment() -> dict[str, Any]:
    """Return what, besides data and candidate, decides which weights come out."""
    return {
        "code": code_digest(),
        "lock": lock_digest(),
        "libraries": library_versions(),
        "python": platform.python_version(),
    }
