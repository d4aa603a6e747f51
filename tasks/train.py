"""Step 4: one candidate, from Parquet to a model file."""

from collections.abc import Sequence
from pathlib import Path

from prefect import task

from artifacts.recipes.candidate import Candidate
from artifacts.training.child import Apart
from artifacts.training.racing import Race
from data.parquet import PreparedRef
from data.store import Store
from tasks.progress import Bar


@task(task_run_name="train {candidate} seed {candidate.seed}")
def train(
    store: Store,
    prepared: PreparedRef,
    candidate: Candidate,
    folder: Path,
    device: str,
    checkpoint: Path,
    rivals: Sequence[str] = (),
    apart: Apart | None = None,
) -> None:
    """Train the candidate, here or in a process apart, and put the model and its history into the draft `folder`.

    `rivals` are the content addresses of the night's other recipes, for a candidate that races.
    """
    step = f"train {candidate.name}"
    bar = Bar(step)
    bar(0.0, "importing TensorFlow")
    from artifacts.training import fit
    from artifacts.training import (
        train as training,  # imports TensorFlow: 10 s that only this step and the next should cost
    )

    race = Race(store, candidate, rivals)

    def on_progress(now: fit.Progress) -> None:
        bar(
            now.epoch / (now.epochs + 1),
            f"epoch {now.epoch} of {now.epochs}: loss {now.loss:.4f}, validation {now.val_accuracy:.2%}, "
            f"{now.images_per_s:,.0f} images/s",
        )
        race.look(now)

    train_there = apart.train if apart else training.train
    result = train_there(store, prepared, candidate, folder, device, on_progress, checkpoint)
    bar(
        1.0, f"{result.epochs} epochs in {result.seconds:.1f} s, {result.images_per_s:,.0f} images/s on {result.device}"
    )
