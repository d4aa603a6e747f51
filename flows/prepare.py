"""From mirrors to Parquet: download, validate, normalise. Runs on any CPU.

The only flow in which Great Expectations is loaded.
"""

from prefect import flow

from data import catalogue
from data.prepared.parquet import PreparedRef
from flows.runs.forms import DatasetName
from flows.runs.names import errors_to_failed_state
from flows.settings import settings
from tasks.download import download
from tasks.normalise import normalise
from tasks.validate import validate


@flow(flow_run_name="prepare {dataset}")
@errors_to_failed_state
def prepare(dataset: DatasetName = "mnist") -> PreparedRef:
    """Download one dataset, check it, and write it as Parquet files.

    Args:
        dataset: Dataset to prepare.
    """
    store = settings().store
    row = catalogue.get(store, dataset)
    raw = download(store, row, settings().mirrors)
    row = catalogue.get(store, dataset)  # a snapshot may have brought images, and classes
    validation = validate(store, row, raw)
    return normalise(store, row, raw, validation)
