"""Clean up after crashed runs: the home knows which processes are gone; the server is updated to match."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Crashed

from data.errors import Corrupt
from data.home import journal
from data.home.journal import Record
from data.home.store import Store
from flows.settings import in_temporary_home

FLOWS = ["retrain", "train"]  # they leave records
START_LIMIT = timedelta(minutes=10)  # a run writes its record within seconds of its start; without one it has crashed
TAKEN = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


def reconcile(store: Store) -> list[str]:
    """Mark runs of this pipeline whose process is gone as Crashed, and cancel what they had started.

    Returns:
        One sentence per run that was marked; empty if no run had crashed.
    """
    journal.prune(store)
    with get_client(sync_client=True) as client:
        done = [_mark_crashed(client, store, record) for record in _lost(store)]
        # a smoke run has a home of its own, in which other runs leave no record: it must not take them for crashed
        return done if in_temporary_home() else done + _mark_stuck(client, store)


def _lost(store: Store) -> Iterator[Record]:
    """Yield the records of lost runs, each as it is now: while one is marked, seconds pass and others end well."""
    for record in journal.read(store):
        now = journal.find(store, record.id) if record.lost else None
        if now is not None and now.lost:
            yield now


def cancel(client: SyncPrefectClient, id: UUID) -> None:
    """Cancel a run: its worker stops the process; a run that has not begun ends at once."""
    client.set_flow_run_state(id, Cancelling())


def _mark_crashed(client: SyncPrefectClient, store: Store, record: Record) -> str:
    """End a run as crashed on the server and in its record, and cancel its children; return a sentence that says so."""
    why = record.why_lost
    run = _find(client, record.id)
    if run and run.state and not run.state.is_final():
        _set_crashed(client, run, why)
    if run:
        _cancel_children(client, record.id)
    journal.end(store, record, "crashed", why)  # last: without it, the next run does all of this again
    if run is None:  # of another server, such as the private one of a run in a terminal
        return f"{record.run} had crashed: {why}"
    return f"{run.name} ({record.run}) is marked as Crashed: {why}"


def _cancel_children(client: SyncPrefectClient, id: str) -> None:
    children = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(_children_of(id)))
    for child in children:
        if child.state and not child.state.is_final():
            cancel(client, child.id)


def _mark_stuck(client: SyncPrefectClient, store: Store) -> list[str]:
    """Mark as Crashed the runs that hold a slot of a worker though the journal has no active record of them."""
    done = []
    for run, why in _stuck(client, store):
        _set_crashed(client, run, why)
        done.append(f"{run.name} is marked as Crashed: {why}")
    return done


def stuck(client: SyncPrefectClient, store: Store) -> list[tuple[str, str]]:
    """Return name and reason of the runs that `reconcile` would mark, though the journal does not know them as lost."""
    return [(run.name, why) for run, why in _stuck(client, store)]


def _stuck(client: SyncPrefectClient, store: Store) -> list[tuple[FlowRun, str]]:
    """Return the runs that were taken more than START_LIMIT ago and never began, or whose end the server has missed."""
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=FLOWS)),
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": TAKEN}}}),
    )
    return [(run, why) for run in runs if (why := _why_stuck(run, store))]


def _why_stuck(run: FlowRun, store: Store) -> str:
    """Return why a run will never report its end itself; "" if it may."""
    horizon = datetime.now(UTC) - START_LIMIT
    try:
        record = journal.find(store, str(run.id))
    except Corrupt:
        return ""  # nothing is known about it
    if record is None:
        old = run.state and run.state.timestamp < horizon
        minutes = START_LIMIT.seconds // 60
        return f"it was {run.state_name} for {minutes} minutes and never began" if old else ""
    if record.active or datetime.fromisoformat(record.ended or record.began) > horizon:
        return ""
    return f"it ended ({record.state}) without the server being told"


def _set_crashed(client: SyncPrefectClient, run: FlowRun, why: str) -> None:
    state: State[None] = Crashed(
        message=f"{why}\n  -> nothing to do: the next run resumes after the last complete step"
    )
    client.set_flow_run_state(run.id, state, force=True)


def _find(client: SyncPrefectClient, id: str) -> FlowRun | None:
    try:
        return client.read_flow_run(UUID(id))
    except ObjectNotFound:
        return None


def _children_of(id: str) -> dict[str, dict[str, list[str]]]:
    return {"parent_flow_run_id": {"any_": [id]}}
