"""Step 6: choose the candidate that the gate judges, by validation accuracy."""

from collections.abc import Sequence

from prefect import task

from artifacts.evaluation import candidates
from artifacts.evaluation.candidates import FailedCandidate, Trained, TrainedRef
from data.errors import TrainingFailed
from data.home.store import Store
from tasks.progress import say


@task(task_run_name="choose")
def choose(store: Store, outcomes: Sequence[TrainedRef | FailedCandidate]) -> tuple[Trained, ...]:
    """Return the candidates that finished, the winner first; only the validation images decide.

    Raises:
        TrainingFailed: none finished; the message lists every candidate's error.
    """
    finished = [candidates.read(store, outcome) for outcome in outcomes if isinstance(outcome, TrainedRef)]
    if not finished:
        reasons = "; ".join(f"{one.candidate}: {one.reason}" for one in outcomes if isinstance(one, FailedCandidate))
        raise TrainingFailed(f"no candidate could be trained: {reasons}", "fix the first one, then run again")
    winner = candidates.choose(finished)
    best = candidates.standings(finished)[0]
    say(
        "choose",
        f"{best.recipe} has the best validation accuracy, {best}; {winner.ref.candidate.name} goes to the gate",
    )
    return (winner, *(one for one in finished if one is not winner))
