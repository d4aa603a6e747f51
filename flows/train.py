"""One candidate: train, evaluate. Runs where the GPUs are; the only flow in which TensorFlow trains.

What was trained before from the same data, recipe, seed, code and libraries is used again.
"""

import platform
from typing import Any

from prefect import flow

from artifacts import trained
from artifacts.provenance import code_digest, library_versions, lock_digest
from artifacts.recipes.base import Candidate
from artifacts.trained import TrainedRef
from data.parquet import PreparedRef
from flows.forms import Device, RecipeName, Seed
from flows.settings import settings
from tasks.evaluate import evaluate
from tasks.progress import say
from tasks.train import train as fit


@flow(flow_run_name="train {recipe} seed {seed}")
def train(prepared: PreparedRef, recipe: RecipeName = "cnn", seed: Seed = 0, device: Device = "auto") -> TrainedRef:
    """Train and evaluate one candidate.

    Args:
        prepared: The prepared dataset, by name and digest.
        recipe: What to train, such as cnn or mlp:epochs=5.
        seed: Decides initial weights, order of images and augmentation.
        device: Where to train; gpu fails where there is none.
    """
    store, candidate = settings().store, Candidate.parse(recipe, seed)
    inputs = {"prepared": prepared.digest, "device": device, **environment()}
    ref = TrainedRef(candidate, trained.address(candidate, inputs))
    if store.intact(store.trained(ref.digest)) is not None:
        say(f"train {candidate.name}", "nothing has changed since it was trained; used again", 1.0)
        return TrainedRef(candidate, ref.digest, reused=True)
    with store.publish(store.trained(ref.digest)) as draft:
        draft.meta.update(recipe=recipe, seed=seed, **inputs)
        fit(store, prepared, candidate, draft.path, device)
        evaluate(store, prepared, candidate, draft.path)
    return ref


def environment() -> dict[str, Any]:
    """Return what, besides data and candidate, decides which weights come out."""
    return {
        "code": code_digest(),
        "lock": lock_digest(),
        "libraries": library_versions(),
        "python": platform.python_version(),
    }
