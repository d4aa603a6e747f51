"""Step 1: the source files, from the first mirror that serves the right bytes."""

from typing import Any

from prefect import task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from data import catalogue, source
from data.dataset import RawRef
from data.errors import SourceUnavailable
from data.store import Store
from tasks.progress import Bar


async def _worth_a_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Mirrors come back; a misspelt name does not."""
    return isinstance(await state.aresult(raise_on_failure=False), SourceUnavailable)


@task(task_run_name="download {dataset}", retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=_worth_a_retry)
def download(store: Store, dataset: str, mirrors: tuple[str, ...] = ()) -> RawRef:
    """Fetch what is not here yet, and re-hash what is."""
    bar = Bar("download")

    def progress(file: str, done: int, total: int) -> None:
        bar(min(done / total, 0.99) if total else 0.0, f"{file} {done >> 10:,} of {total >> 10:,} KiB")

    ref = source.download(store, catalogue.get(store, dataset), mirrors, progress)
    bar(1.0, f"{dataset} is here, all four files hash as pinned ({ref.digest[:12]})")
    return ref
