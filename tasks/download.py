"""Step 1: the source files, from the first mirror that serves the right bytes; or what is new in a growing source."""

from typing import Any

from prefect import task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from data import adding
from data.dataset import Dataset, RawRef
from data.errors import SourceUnavailable
from data.home.store import Store
from data.sources import source
from tasks.progress import Bar


async def _worth_a_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether no mirror could be reached, which may pass; every other error stays."""
    return isinstance(await state.aresult(raise_on_failure=False), SourceUnavailable)


@task(task_run_name="download {row.name}", retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=_worth_a_retry)
def download(store: Store, row: Dataset, mirrors: tuple[str, ...] = ()) -> RawRef:
    """Download the files that are missing, and hash those that are here again; of a growing dataset, take a snapshot.

    A snapshot changes the dataset's row: whoever needs its numbers and classes reads the row again.

    Args:
        store: the home.
        row: the dataset.
        mirrors: folders or URLs tried before the dataset's own.

    Raises:
        SourceUnavailable: no mirror served the right bytes, or the source cannot be read; tried three times.
        DataRefused: too much of a growing source cannot be used.
    """
    if row.growth:
        return _snapshot(store, row)
    bar = Bar("download")

    def progress(file: str, done: int, total: int) -> None:
        bar(min(done / total, 0.99) if total else 0.0, f"{file} {done >> 10:,} of {total >> 10:,} KiB")

    ref = source.download(store, row, mirrors, progress)
    bar(1.0, f"all four files of {row.name} match their pinned hashes ({ref.digest[:12]})")
    return ref


def _snapshot(store: Store, row: Dataset) -> RawRef:
    bar = Bar("snapshot")

    def progress(what: str, done: int, total: int) -> None:
        bar(min(done / total, 0.99) if total else 0.0, f"{what}: {done:,}" + (f" of {total:,}" if total else ""))

    added = adding.follow(store, row, progress=progress)
    bar(1.0, added.taken.night.sentence if added.taken else "")
    return RawRef(row.name, added.row.snapshot)
