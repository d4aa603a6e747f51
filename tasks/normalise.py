"""Step 3: one Parquet file each for training, validation and test."""

from prefect import task

from data import parquet
from data.dataset import Dataset, RawRef
from data.store import Store
from data.validation import ValidationRef
from tasks.progress import say


@task(task_run_name="normalise {row.name}")
def normalise(store: Store, row: Dataset, raw: RawRef, validation: ValidationRef) -> parquet.PreparedRef:
    """Write the pixels as float32 in [0, 1], split, checksummed and addressed by content."""
    say("normalise", "writing Parquet", 0.0)
    ref = parquet.normalise(store, row, raw, validation)
    say("normalise", f"wrote training, validation and test images to {store.prepared(ref.digest)}", 1.0)
    return ref
