"""One candidate: train it, evaluate it. Runs where the GPUs are; the only flow that trains.

What was trained before from the same data, recipe, seed, code and libraries is reused. On a worker, and wherever there
is a GPU, a child process does the work: all memory is free again when it ends, and a cancelled run ends it at once.
"""

import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from prefect import flow, runtime

from artifacts.evaluation import candidates
from artifacts.evaluation.candidates import TrainedRef
from artifacts.models import warm_start
from artifacts.models.provenance import code_digest, library_versions, lock_digest
from artifacts.models.warm_start import Parent
from artifacts.recipes.candidate import Candidate
from artifacts.registry import champions
from artifacts.training import gpu_locks
from artifacts.training.child import ChildTrainer
from artifacts.training.gpu_locks import Reserved
from artifacts.training.trainer import InProcess, Trainer
from artifacts.upkeep.preflight import preflight
from data.errors import OutOfMemory
from data.home import journal
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from flows.runs.forms import Device, RecipeName, Seed
from flows.runs.names import errors_to_failed_state
from flows.runs.record import own_deployment, recorded
from flows.settings import keras_backend, settings, visible_gpus
from tasks.evaluate import evaluate as evaluate_task
from tasks.progress import say
from tasks.train import train as train_task


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
        rivals: The run's other recipes, such as mlp:seed=3; a recipe with race=yes gives up when it cannot win.
    """
    store, candidate = settings().store, Candidate.parse(recipe, seed)
    run = f"train-{runtime.flow_run.id}"
    for line in preflight(store):
        say(f"train {candidate.name}", line)
    with recorded(store, "train", run, prepared.dataset) as record:
        with gpu_locks.reserved(device, visible_gpus(), lambda text: say(f"train {candidate.name}", text)) as gpu:
            journal.write(store, replace(record, state="running"))
            others = [Candidate.parse(one) for one in rivals]
            job = Job(store, prepared, candidate, device, others, gpu, _champion(store, prepared, candidate, *others))
            ref = train_with_smaller_batch_if_needed(job)
        result = {"recipe": str(ref.candidate), "seed": ref.candidate.seed, "digest": ref.digest, "reused": ref.reused}
        journal.end(store, record, "finished", result=result)
    return ref


@dataclass(frozen=True)
class Job:
    """What to train, and where.

    Args:
        store: the home.
        prepared: the prepared dataset, by name and digest.
        candidate: recipe, parameters and seed.
        device: `auto`, `gpu` or `cpu`, as asked for.
        rivals: the run's other recipes.
        gpu: the GPU reserved for it; None trains on the CPU.
        champion: what a candidate with `warm_start=champion` begins with; None where there is none, or none asks.
    """

    store: Store
    prepared: PreparedRef
    candidate: Candidate
    device: Device = "auto"
    rivals: Sequence[Candidate] = ()
    gpu: Reserved | None = None
    champion: Parent | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """What determines the trained weights, besides the candidate."""
        return {"prepared": self.prepared.digest, "device": self.device, **environment()}

    def inputs_of(self, one: Candidate) -> dict[str, Any]:
        """What determines the weights of one of the run's candidates: with a warm start, the champion's, too."""
        return {**self.inputs, **({"champion": found.weights_digest} if (found := self.parent_of(one)) else {})}

    def parent_of(self, one: Candidate) -> Parent | None:
        """Return the champion if the candidate begins with its weights."""
        return self.champion if warm_start.wanted(one) else None


def _champion(store: Store, prepared: PreparedRef, *run: Candidate) -> Parent | None:
    """Return the champion, hashed, if one of the run's candidates begins with its weights and there is one."""
    found = champions.champion(store, prepared.dataset) if any(map(warm_start.wanted, run)) else None
    return Parent(found.id, found.weights_digest, found.folder) if found else None


def train_with_smaller_batch_if_needed(job: Job) -> TrainedRef:
    """Train the candidate; if it runs out of memory, train it once more with half the batch, in a new process."""
    try:
        return train_or_reuse(job, in_child=job.gpu is not None or bool(own_deployment()))
    except OutOfMemory as error:
        smaller = half_batch(job.candidate)
        if smaller is None:
            raise
        say(f"train {job.candidate.name}", f"{error.problem}; once more with half the batch, as {smaller.name}")
        return train_or_reuse(replace(job, candidate=smaller), in_child=True)


def half_batch(candidate: Candidate) -> Candidate | None:
    """Return the same candidate with half the batch, or None if its recipe has no batch to halve."""
    batch = candidate.resolved().get("batch")
    if not isinstance(batch, int) or batch < 2:
        return None
    return Candidate(candidate.recipe, (*dict(candidate.parameters, batch=batch // 2).items(),), candidate.seed)


def train_or_reuse(job: Job, in_child: bool) -> TrainedRef:
    """Train and evaluate the candidate, unless the same inputs have been trained before.

    Args:
        job: what to train.
        in_child: whether a child process trains.
    """
    store, candidate = job.store, job.candidate
    digest, *rivals = (candidates.address(one, job.inputs_of(one)) for one in (candidate, *job.rivals))
    if store.intact(store.trained(digest)) is not None:
        say(f"train {candidate.name}", "nothing has changed since it was trained; reused", 1.0)
        return TrainedRef(candidate, digest, reused=True)
    with _trainer(job.gpu, in_child) as trainer, store.publish(store.trained(digest)) as draft:
        draft.meta.update(recipe=str(candidate), seed=candidate.seed, **job.inputs_of(candidate))
        checkpoint = store.checkpoint(digest)
        parent = job.parent_of(candidate)
        train_task(store, job.prepared, candidate, draft.path, job.device, checkpoint, trainer, rivals, parent)
        evaluate_task(store, job.prepared, candidate, draft.path, trainer)
    return TrainedRef(candidate, digest)


def _trainer(gpu: Reserved | None, in_child: bool) -> AbstractContextManager[Trainer]:
    if not in_child:
        return nullcontext(InProcess())
    return ChildTrainer(gpu.uuid, [gpu.lock]) if gpu else ChildTrainer()


def environment() -> dict[str, Any]:
    """Return what determines the trained weights, besides data and candidate."""
    return {
        "code": code_digest(),
        "lock": lock_digest(),
        "libraries": library_versions(keras_backend()),
        "python": platform.python_version(),
    }
