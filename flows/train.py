"""One candidate: train, evaluate. Runs where the GPUs are; the only flow in which TensorFlow trains.

What was trained before from the same data, recipe, seed, code and libraries is used again. On a worker, and wherever
there is a GPU, a process of its own does the work: it gives all memory back, and ends at once when it is told to.
"""

import platform
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from prefect import flow, runtime

from artifacts.evaluation import candidates
from artifacts.evaluation.candidates import TrainedRef
from artifacts.models.provenance import code_digest, library_versions, lock_digest
from artifacts.recipes.candidate import Candidate
from artifacts.training import gpu_locks
from artifacts.training.child import Apart
from artifacts.training.gpu_locks import Reserved
from data import journal
from data.errors import OutOfMemory
from data.parquet import PreparedRef
from data.store import Store
from flows.runs.forms import Device, RecipeName, Seed
from flows.runs.names import errors_to_failed_state
from flows.runs.record import own_deployment, recorded
from flows.settings import keras_backend, settings, visible_gpus
from tasks.evaluate import evaluate
from tasks.progress import say
from tasks.train import train as fit


@flow(flow_run_name="train {recipe} seed {seed}")
@errors_to_failed_state
def train(
    prepared: PreparedRef,
    recipe: RecipeName = "cnn",
    seed: Seed = 0,
    device: Device = "auto",
    rivals: Sequence[RecipeName] = (),
) -> TrainedRef:
    """Train and evaluate one candidate.

    Args:
        prepared: The prepared dataset, by name and digest.
        recipe: What to train, such as cnn or mlp:epochs=5.
        seed: Decides initial weights, order of images and augmentation.
        device: Where to train; gpu fails where there is none.
        rivals: The night's other recipes, such as mlp:seed=3; a recipe with race=yes gives up when it cannot win.
    """
    store, candidate = settings().store, Candidate.parse(recipe, seed)
    run = f"train-{runtime.flow_run.id}"
    with recorded(store, "train", run, prepared.dataset) as record:
        with gpu_locks.reserved(device, visible_gpus(), lambda text: say(f"train {candidate.name}", text)) as gpu:
            journal.write(store, replace(record, state="running"))
            ref = _fitted(Job(store, prepared, candidate, device, [Candidate.parse(one) for one in rivals], gpu))
        told = {"recipe": str(ref.candidate), "seed": ref.candidate.seed, "digest": ref.digest, "reused": ref.reused}
        journal.end(store, record, "finished", result=told)
    return ref


@dataclass(frozen=True)
class Job:
    """What to train, and where.

    Args:
        store: the home.
        prepared: on which data.
        candidate: what.
        device: as asked for.
        rivals: the night's other recipes.
        gpu: what was reserved for it.
    """

    store: Store
    prepared: PreparedRef
    candidate: Candidate
    device: Device = "auto"
    rivals: Sequence[Candidate] = ()
    gpu: Reserved | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """What decides, besides the candidate, which weights come out."""
        return {"prepared": self.prepared.digest, "device": self.device, **environment()}


def _fitted(job: Job) -> TrainedRef:
    """Train the candidate; if it does not fit, train it once more with half the batch, in a new process."""
    try:
        return _trained(job, apart=job.gpu is not None or bool(own_deployment()))
    except OutOfMemory as error:
        smaller = half_batch(job.candidate)
        if smaller is None:
            raise
        say(f"train {job.candidate.name}", f"{error.problem}; once more with half the batch, as {smaller.name}")
        return _trained(replace(job, candidate=smaller), apart=True)


def half_batch(candidate: Candidate) -> Candidate | None:
    """Return the same candidate with half the batch, or None if its recipe has no batch to halve."""
    batch = candidate.resolved().get("batch")
    if not isinstance(batch, int) or batch < 2:
        return None
    return Candidate(candidate.recipe, (*dict(candidate.parameters, batch=batch // 2).items(),), candidate.seed)


def _trained(job: Job, apart: bool) -> TrainedRef:
    store, candidate, gpu = job.store, job.candidate, job.gpu
    digest, *rivals = (candidates.address(one, job.inputs) for one in (candidate, *job.rivals))
    if store.intact(store.trained(digest)) is not None:
        say(f"train {candidate.name}", "nothing has changed since it was trained; used again", 1.0)
        return TrainedRef(candidate, digest, reused=True)
    process = Apart(gpu.uuid, [gpu.lock]) if gpu else Apart() if apart else nullcontext()
    with process as there, store.publish(store.trained(digest)) as draft:
        draft.meta.update(recipe=str(candidate), seed=candidate.seed, **job.inputs)
        fit(store, job.prepared, candidate, draft.path, job.device, store.checkpoint(digest), rivals, there)
        evaluate(store, job.prepared, candidate, draft.path, there)
    return TrainedRef(candidate, digest)


def environment() -> dict[str, Any]:
    """Return what, besides data and candidate, decides which weights come out."""
    return {
        "code": code_digest(),
        "lock": lock_digest(),
        "libraries": library_versions(keras_backend()),
        "python": platform.python_version(),
    }
