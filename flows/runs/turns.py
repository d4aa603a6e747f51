"""Whose turn it is: one night per dataset and home at a time, and one night for all the slots that were missed.

The policy, enforced by the kernel (a lock that its holder's death releases), not by the server's bookkeeping:

- A run that finds another night of the same dataset under way waits for it, whoever started either.
- A scheduled run whose slot lies before the beginning of another scheduled night of the same deployment has nothing
  left to do: it ends as Cancelled and says into which run its slot was folded.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Cancelled

from data import journal
from data.journal import Record
from data.store import Store
from flows.runs.record import slot_of
from tasks.progress import say


@contextmanager
def alone(store: Store, record: Record) -> Iterator[Record]:
    """Hold the dataset's turn while the block runs; end as Cancelled if another night stands for our slot."""
    _fold_if_done(store, record)
    with _turn(store, record):
        _fold_if_done(store, record)
        yield journal.write(store, replace(_fold_others(record), state="running", began=journal.now()))


@contextmanager
def _turn(store: Store, record: Record) -> Iterator[None]:
    name = f"night-{record.dataset}"
    with ExitStack() as stack:
        try:
            stack.enter_context(store.lock(name, timeout_s=0))
        except BlockingIOError:
            others = [one for one in journal.read(store) if one.state == "running" and one.dataset == record.dataset]
            holders = ", ".join(one.run for one in others if one.kind == "retrain") or "another run"
            say("start", f"waiting for {holders}: one night of {record.dataset} at a time")
            stack.enter_context(store.lock(name))
        yield


def _fold_if_done(store: Store, record: Record) -> None:
    """End this run, as Cancelled, if a night that began after our slot was due stands for it."""
    if not (record.scheduled and record.deployment):
        return
    for other in journal.read(store):
        same = other.deployment == record.deployment and other.scheduled and other.id != record.id
        stands = other.state in ("running", "finished") and not other.lost
        if same and stands and other.began >= record.slots[0]:
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(UUID(record.id), _folded(record.slots[0], other), force=True)
            raise Abort(f"its slot {record.slots[0]} was folded into {other.run}")


def _fold_others(record: Record) -> Record:
    """Cancel the runs of our deployment that are due, too, and have not begun; return the record with their slots."""
    if not (record.scheduled and record.deployment):
        return record
    with get_client(sync_client=True) as client:
        due = _due(client, record)
        slots = sorted({*record.slots, *due.values()})
        ours = replace(record, slots=tuple(slots))
        for run, slot in due.items():
            client.set_flow_run_state(run, _folded(slot, ours))
    if len(slots) > 1:
        say("start", f"this night stands for {len(slots)} slots: {', '.join(slots)}")
    return ours


def _due(client: SyncPrefectClient, record: Record) -> dict[UUID, str]:
    wanted = {
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "tags": {"all_": ["auto-scheduled"]},
        "expected_start_time": {"before_": datetime.now(UTC)},
    }
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[UUID(record.deployment)])),
        flow_run_filter=FlowRunFilter.model_validate(wanted),
    )
    return {run.id: slot_of(run.expected_start_time) for run in runs if str(run.id) != record.id}


def _folded(slot: str, into: Record) -> "State[None]":
    listed = ", ".join(into.slots)
    return Cancelled(message=f"slot {slot} was folded into {into.run}, the one night for the slots {listed}")
