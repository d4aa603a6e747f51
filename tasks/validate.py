"""Step 2: does the data look like the data we know?"""

from prefect import task

from data.dataset import Dataset, RawRef
from data.home.store import Store
from data.validation.results import ValidationRef
from tasks.progress import say


@task(task_run_name="validate {row.name}")
def validate(store: Store, row: Dataset, raw: RawRef) -> ValidationRef:
    """Run the expectations on every image and label.

    Raises:
        DataRefused: an expectation failed; the message names it, and the night stops here.
    """
    from data.validation import expectations  # Great Expectations takes seconds to import, and only this step needs it

    say("validate", f"checking every image of {row.name} against the dataset's reference statistics", 0.0)
    ref = expectations.check(store, row, raw)
    say("validate", f"{row.name} meets all expectations; full result in {store.validation(ref.digest)}", 1.0)
    return ref
