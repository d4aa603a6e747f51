"""Step 3: one Parquet file each for training, validation and test."""

from prefect import task

from data.dataset import Dataset, RawRef
from data.home.store import Store
from data.prepared import parquet
from data.validation.results import ValidationRef
from tasks.progress import say


@task(task_run_name="normalise {row.name}")
def normalise(store: Store, row: Dataset, raw: RawRef, validation: ValidationRef) -> parquet.PreparedRef:
    """Write the pixels as float32 in [0, 1], split, checksummed and addressed by content."""
    say("normalise", "writing Parquet", 0.0)
    ref = parquet.normalise(store, row, raw, validation)
    say("normalise", f"wrote training, validation and test images to {store.prepared(ref.digest)}", 1.0)
    return ref
