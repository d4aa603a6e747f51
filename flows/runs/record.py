"""Every run leaves a record in the home, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from prefect import runtime
from prefect.context import FlowRunContext
from prefect.exceptions import Abort

from data.errors import NightshiftError
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store


@contextmanager
def recorded(store: Store, kind: str, run: str, dataset: str, mode: str = "normal") -> Iterator[Record]:
    """Write a record of this run into the home; if the block raises, end it as failed or cancelled.

    The block ends the record itself when it succeeds.

    Yields:
        The record, "waiting".
    """
    scheduled = "auto-scheduled" in (runtime.flow_run.tags or ())
    record = Record(
        id=runtime.flow_run.id,
        kind=kind,
        run=run,
        dataset=dataset,
        process=Process.current(),
        began=journal.now(),
        mode=mode,
        scheduled=scheduled,
        deployment=own_deployment(),
        slots=(slot_of(runtime.flow_run.scheduled_start_time),) if scheduled else (),
        state="waiting",
    )
    record = journal.write(store, record)
    try:
        yield record
    except BaseException as error:
        failed = isinstance(error, Exception)  # the others are signals, and Ctrl-C
        reason = str(error) if isinstance(error, NightshiftError | Abort) else f"{type(error).__name__}: {error}"
        with suppress(NightshiftError):  # a home that cannot be written must not hide why the run ended
            journal.end(store, journal.find(store, record.id) or record, "failed" if failed else "cancelled", reason)
        raise


def own_deployment() -> str:
    """Return the id of the deployment that this very run was started from; "" in a terminal and in a subflow."""
    context = FlowRunContext.get()
    return str(context.flow_run.deployment_id or "") if context and context.flow_run else ""


def slot_of(when: datetime | None) -> str:
    """Return a scheduled time as records write it: UTC, ISO 8601, whole seconds; now where there is none."""
    return (when or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
