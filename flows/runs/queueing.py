"""One night per dataset and home at a time, and one night for all the scheduled slots that were missed.

Enforced by an OS lock, which the death of its holder releases, not by the server's bookkeeping:

- A run that finds another night of the same dataset under way waits for it, whoever started either.
- A scheduled run whose slot is older than the start of another scheduled night of the same deployment has nothing left
  to do: it ends as Cancelled and names the run that covers its slot.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Cancelled

from data.home import journal
from data.home.journal import Record
from data.home.store import Store
from flows.runs.record import slot_of
from tasks.progress import say


@contextmanager
def one_night_at_a_time(store: Store, record: Record) -> Iterator[Record]:
    """Wait for other nights of this dataset, then keep them waiting while the block runs.

    Yields:
        The record of this run, now "running", with every slot that the run covers.

    Raises:
        Abort: another night covers this run's slot; on the server this run is Cancelled.
    """
    _end_if_covered(store, record, ("running", "finished"))
    with store.lock(f"night-{record.dataset}", on_wait=lambda: _report_waiting(store, record.dataset)):
        # whoever has this lock knows that no other night is running, whatever the records say
        _end_if_covered(store, record, ("finished",))
        yield journal.write(store, replace(_cover_missed_slots(record), state="running", began=journal.now()))


def _report_waiting(store: Store, dataset: str) -> None:
    others = [one for one in journal.read(store) if one.state == "running" and one.dataset == dataset]
    holders = ", ".join(one.run for one in others if one.kind == "retrain") or "another run"
    say("start", f"waiting for {holders}: one night of {dataset} at a time")


def _end_if_covered(store: Store, record: Record, states: tuple[str, ...]) -> None:
    """End this run as Cancelled if a night of its deployment, in one of these states, began after its slot was due."""
    if not (record.scheduled and record.deployment):
        return
    for other in journal.read(store):
        same = other.deployment == record.deployment and other.scheduled and other.id != record.id
        alive_or_done = other.state in states and (other.state == "finished" or other.working)
        if same and alive_or_done and other.began >= record.slots[0]:
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(UUID(record.id), _covered(record.slots[0], other), force=True)
            raise Abort(f"its slot {record.slots[0]} is covered by {other.run}")


def _cover_missed_slots(record: Record) -> Record:
    """Cancel the runs of our deployment that are due and have not begun; return the record with their slots."""
    if not (record.scheduled and record.deployment):
        return record
    with get_client(sync_client=True) as client:
        due = _due(client, record)
        slots = sorted({*record.slots, *due.values()})
        ours = replace(record, slots=tuple(slots))
        for run, slot in due.items():
            client.set_flow_run_state(run, _covered(slot, ours))
    if len(slots) > 1:
        say("start", f"this night covers {len(slots)} slots: {', '.join(slots)}")
    return ours


def _due(client: SyncPrefectClient, record: Record) -> dict[UUID, str]:
    """Return the slots of scheduled runs of our deployment, other than this run, that should have begun by now."""
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


def _covered(slot: str, by: Record) -> "State[None]":
    listed = ", ".join(by.slots)
    return Cancelled(message=f"slot {slot} is covered by {by.run}, the one night for the slots {listed}")
