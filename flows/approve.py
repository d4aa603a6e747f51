"""By hand: answer for what waits for a person."""

from typing import Annotated, Literal

from prefect import flow
from pydantic import Field

from artifacts.registry.ledger import Entry
from flows.runs.forms import DatasetName
from flows.runs.names import errors_to_failed_state
from flows.settings import settings, user_name
from tasks.answer import answer

VersionNumber = Annotated[int, Field(ge=0, le=999_999_999)]


@flow(flow_run_name="{choice} {dataset}")
@errors_to_failed_state
def approve(
    dataset: DatasetName, reason: str, choice: Literal["approve", "decline"] = "approve", version: VersionNumber = 0
) -> Entry:
    """Approve or decline a model that passed the gate and waits for a person.

    Args:
        dataset: The dataset whose model waits.
        reason: Why; the ledger keeps it.
        choice: approve scores it again, against the champion of this moment, and makes it champion; decline does not.
        version: Number of the version; 0 means what waits.
    """
    name = f"{dataset}/{version}" if version else dataset
    return answer(settings().store, name, choice, user_name(), reason)
