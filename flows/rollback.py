"""By hand: make an earlier version champion again."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from artifacts.registry.ledger import Entry
from artifacts.upkeep.preflight import preflight
from flows.runs.forms import DatasetName
from flows.runs.names import errors_to_failed_state
from flows.settings import settings, user_name
from tasks.progress import say
from tasks.roll_back import roll_back

VersionNumber = Annotated[int, Field(ge=0, le=999_999_999)]


@flow(flow_run_name="roll back {dataset}")
@errors_to_failed_state
def rollback(dataset: DatasetName, reason: str, version: VersionNumber = 0) -> Entry:
    """Make an earlier version champion again, and bar the present one.

    Args:
        dataset: The dataset whose champion is replaced.
        reason: Why; the ledger keeps it.
        version: Number of the version; 0 means the last earlier champion that is not barred.
    """
    to = f"{dataset}/{version}" if version else ""
    store = settings().store
    for line in preflight(store):
        say("rollback", line)
    return roll_back(store, dataset, to, user_name(), reason)
