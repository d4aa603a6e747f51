"""Step 7: decide whether the winner replaces the champion, and run the gate's self-test."""

from collections.abc import Sequence

from prefect import task

from artifacts.evaluation.candidates import Trained
from artifacts.gate.decision import Mode
from artifacts.gate.policy import Policy
from artifacts.judging import verdict
from artifacts.judging.verdict import Judged
from artifacts.serving.check import InfraCheck
from data.dataset import Dataset
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from tasks.progress import Bar


@task(task_run_name="decide {prepared.dataset}")
def decide(
    store: Store,
    row: Dataset,
    prepared: PreparedRef,
    finished: Sequence[Trained],
    policy: Policy,
    mode: Mode,
    reason: str,
    serving: InfraCheck,
    *,
    answered_lately: bool = False,
) -> Judged:
    """Score winner and champion on the same images, serve the winner in a fresh process, and judge it."""
    bar = Bar("decide")
    judged = verdict.judge_winner(
        store, row, prepared, finished, policy, mode, reason, serving, bar, answered_lately=answered_lately
    )
    bar(1.0, judged.unchanged or str(judged.decision).splitlines()[0])
    return judged
