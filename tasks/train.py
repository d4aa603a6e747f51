"""Step 4: train one candidate, from Parquet to a model file."""

from collections.abc import Sequence
from pathlib import Path

from prefect import task

from artifacts.evaluation.numbers import percent
from artifacts.models.warm_start import Parent
from artifacts.recipes.candidate import Candidate
from artifacts.training.history import Progress
from artifacts.training.racing import Race
from artifacts.training.trainer import Trainer
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from tasks.progress import Bar


@task(task_run_name="train {candidate} seed {candidate.seed}")
def train(
    store: Store,
    prepared: PreparedRef,
    candidate: Candidate,
    folder: Path,
    device: str,
    checkpoint: Path,
    trainer: Trainer,
    rivals: Sequence[str] = (),
    parent: Parent | None = None,
) -> None:
    """Train the candidate and put the model and its history into the draft `folder`.

    `rivals` are the content addresses of the run's other recipes, for a candidate that races; `parent` is the champion,
    for one that begins with its weights.
    """
    bar, race = Bar(f"train {candidate.name}"), Race(store, candidate, rivals)
    bar(0.0, "loading Keras")

    def on_progress(now: Progress) -> None:
        bar(
            now.epoch / (now.epochs + 1),
            f"epoch {now.epoch} of {now.epochs}: loss {now.loss:.4f}, validation {percent(now.val_accuracy)}, "
            f"{now.images_per_s:,.0f} images/s",
        )
        race.check(now)

    result = trainer.train(store, prepared, candidate, folder, device, on_progress, checkpoint, parent)
    done = f"{result.epochs} epochs in {result.seconds:.1f} s, {result.images_per_s:,.0f} images/s on {result.device}"
    bar(1.0, "; ".join(filter(None, (done, result.start))))
