"""Train every candidate; one that fails does not stop the others.

In a terminal: one after the other, in this process. As a deployment on a server: each candidate is a run of `train` on
some worker, all started at once. Only references are passed: the digest of the prepared data to the worker, the digest
of the trained model back.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from prefect import Flow, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from artifacts.evaluation.candidates import FailedCandidate, TrainedRef
from artifacts.recipes.candidate import Candidate
from data.errors import TrainingFailed
from data.home import journal
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from flows.runs.forms import Device
from flows.runs.reconcile import cancel, reconcile
from flows.runs.record import own_deployment
from flows.settings import settings
from tasks.progress import say

TIME_LIMIT_S = 3 * 3600.0  # for all candidates of a night together, waiting for a free worker included
POLL_S = 2.0  # seconds between two looks at the states of the children
LIVENESS_S = 20.0  # seconds between two checks whether the processes of running children are alive

Outcome = TrainedRef | FailedCandidate


def train_all(
    train: Flow[..., Any], prepared: PreparedRef, candidates: Sequence[Candidate], device: Device
) -> list[Outcome]:
    """Return one outcome per candidate, in their order.

    Args:
        train: the flow that trains one candidate; on a server, its deployments are run instead.
        prepared: the data to train on.
        candidates: what to train.
        device: "auto", "gpu" or "cpu".

    Raises:
        TrainingFailed: device "gpu" was requested, and no worker serves the pool "gpu".
    """
    if not own_deployment():
        return [_train_here(train, prepared, one, device, _rivals(one, candidates)) for one in candidates]
    with get_client(sync_client=True) as client:
        fan = Fan(client, settings().store)
        try:
            fan.start(prepared, candidates, device)
            return fan.join()
        finally:
            fan.cancel()  # however we leave: nobody would use what is still being trained


def _train_here(
    train: Flow[..., Any], prepared: PreparedRef, candidate: Candidate, device: Device, rivals: list[str]
) -> Outcome:
    state: Any = train(prepared, str(candidate), candidate.seed, device, rivals, return_state=True)
    if state.is_completed():
        ref: TrainedRef = state.result()
        return ref
    return FailedCandidate(candidate, _reason(state))


@dataclass
class Child:
    """A candidate and the run that trains it."""

    candidate: Candidate
    run: UUID
    outcome: Outcome | None = None


class Fan:
    """The runs that train tonight's candidates on workers.

    Args:
        client: of the server that this run belongs to.
        store: the home.
    """

    def __init__(self, client: SyncPrefectClient, store: Store) -> None:
        self._client, self._store = client, store
        self._children: list[Child] = []

    def start(self, prepared: PreparedRef, candidates: Sequence[Candidate], device: Device) -> None:
        """Start one run per candidate, without waiting for any."""
        target = f"train/{_pool(self._client, device)}"
        for candidate in candidates:
            parameters = {
                "prepared": asdict(prepared),
                "recipe": str(candidate),
                "seed": candidate.seed,
                "device": device,
                "rivals": _rivals(candidate, candidates),
            }
            run = run_deployment(
                target,
                parameters=parameters,
                timeout=0,  # do not wait
                idempotency_key=f"{runtime.flow_run.id}:{candidate.name}",
            )
            assert isinstance(run, FlowRun)  # a coroutine only in async code
            self._children.append(Child(candidate, run.id))
        say("train", f"started {len(self._children)} runs of {target}")

    def join(self) -> list[Outcome]:
        """Wait until every run has ended, for at most TIME_LIMIT_S, and return their outcomes in order."""
        deadline, checked = time.monotonic() + TIME_LIMIT_S, time.monotonic()
        while waiting := [child for child in self._children if child.outcome is None]:
            for child in waiting:
                state = self._client.read_flow_run(child.run).state
                if state and state.is_final():
                    child.outcome = self._outcome(child, state)
                elif time.monotonic() > deadline:
                    cancel(self._client, child.run)
                    hours = TIME_LIMIT_S / 3600
                    child.outcome = FailedCandidate(child.candidate, f"it was not trained within {hours:g} hours")
            if time.monotonic() - checked > LIVENESS_S:
                reconcile(self._store)  # a worker that dies together with its training reports nothing
                checked = time.monotonic()
            time.sleep(POLL_S)
        return [child.outcome for child in self._children if child.outcome]

    def cancel(self) -> None:
        """Cancel the runs that have not ended."""
        for child in self._children:
            if child.outcome is None:
                cancel(self._client, child.run)

    def _outcome(self, child: Child, state: "State[Any]") -> Outcome:
        record = journal.find(self._store, str(child.run))
        if not state.is_completed():
            return FailedCandidate(child.candidate, _reason(state))
        if record is None or not record.result:
            return FailedCandidate(
                child.candidate, "its worker uses another home: set NIGHTSHIFT_HOME to the same folder on all workers"
            )
        result = record.result
        return TrainedRef(Candidate.parse(result["recipe"], result["seed"]), result["digest"], result["reused"])


def _rivals(candidate: Candidate, candidates: Sequence[Candidate]) -> list[str]:
    """Return the other recipes; the seeds of one recipe are ranked by their mean and do not race each other."""
    return [one.spec for one in candidates if str(one) != str(candidate)]


def _pool(client: SyncPrefectClient, device: Device) -> str:
    """Return the name of the pool to train in: for `auto` the GPU pool if a worker serves it."""
    if device == "cpu":
        return "cpu"
    try:
        served = client.read_work_pool("gpu").status == WorkPoolStatus.READY
    except ObjectNotFound:
        served = False
    if device == "gpu" and not served:
        raise TrainingFailed(
            "device 'gpu' was requested, but no worker serves the pool 'gpu'",
            "on a host with a GPU, run: prefect worker start --pool gpu --limit 1; or choose device 'auto'",
        )
    return "gpu" if served else "cpu"


def _reason(state: "State[Any]") -> str:
    message = str(state.message or state.name).removeprefix("Flow run encountered an exception: ")
    return message if state.is_failed() else f"{state.name}: {message}"
