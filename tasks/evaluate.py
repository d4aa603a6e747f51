"""Step 5: score the model on every validation and every test image."""

from pathlib import Path

from prefect import task

from artifacts.evaluation.numbers import percent
from artifacts.recipes.candidate import Candidate
from artifacts.training.trainer import Trainer
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from tasks.progress import say


@task(task_run_name="evaluate {candidate} seed {candidate.seed}")
def evaluate(store: Store, prepared: PreparedRef, candidate: Candidate, folder: Path, trainer: Trainer) -> None:
    """Score the model in the draft `folder`, and add the files that a registered version must have."""
    result = trainer.evaluate(store, prepared, folder)
    say(
        f"evaluate {candidate.name}",
        f"validation {percent(result.validation.accuracy)} of {result.validation.n_examples:,}, "
        f"test {percent(result.test.accuracy)} of {result.test.n_examples:,}",
    )
