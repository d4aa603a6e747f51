"""Step 5: every validation and every test image, none left out."""

from pathlib import Path

from prefect import task

from artifacts.recipes.candidate import Candidate
from artifacts.training.child import Apart
from data.parquet import PreparedRef
from data.store import Store
from tasks.progress import say


@task(task_run_name="evaluate {candidate} seed {candidate.seed}")
def evaluate(
    store: Store, prepared: PreparedRef, candidate: Candidate, folder: Path, apart: Apart | None = None
) -> None:
    """Score the model in the draft `folder`, and put beside it what a registered version must have."""
    from artifacts.evaluation import evaluate as evaluation  # TensorFlow

    evaluate_there = apart.evaluate if apart else evaluation.evaluate
    result = evaluate_there(store, prepared, folder)
    say(
        f"evaluate {candidate.name}",
        f"validation {result.validation.accuracy:.2%} of {result.validation.n_examples:,}, "
        f"test {result.test.accuracy:.2%} of {result.test.n_examples:,}",
    )
