"""Train every candidate, here one after the other; a candidate that fails does not stop the others."""

from collections.abc import Sequence

from artifacts.recipes.base import Candidate
from artifacts.trained import FailedCandidate, TrainedRef
from data.parquet import PreparedRef
from flows.forms import Device
from flows.train import train


def train_all(
    prepared: PreparedRef, candidates: Sequence[Candidate], device: Device
) -> list[TrainedRef | FailedCandidate]:
    """Return one outcome per candidate, in their order."""
    return [_train_here(prepared, candidate, device) for candidate in candidates]


def _train_here(prepared: PreparedRef, candidate: Candidate, device: Device) -> TrainedRef | FailedCandidate:
    state = train(prepared, str(candidate), candidate.seed, device, return_state=True)
    if state.is_completed():
        ref: TrainedRef = state.result()
        return ref
    return FailedCandidate(candidate, str(state.message or state.name))
