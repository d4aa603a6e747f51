"""From mirrors to Parquet: download, validate, normalise. Runs on any CPU.

The only flow in which Great Expectations is loaded.
"""

from prefect import flow

from data.parquet import PreparedRef
from flows.runs.forms import DatasetName
from flows.runs.names import explained
from flows.settings import settings
from tasks.download import download
from tasks.normalise import normalise
from tasks.validate import validate


@flow(flow_run_name="prepare {dataset}")
@explained
def prepare(dataset: DatasetName = "mnist") -> PreparedRef:
    """Bring one dataset from its mirrors to checked Parquet files.

    Args:
        dataset: Which dataset to prepare.
    """
    store = settings().store
    raw = download(store, dataset, settings().mirrors)
    validation = validate(store, raw)
    return normalise(store, raw, validation)
