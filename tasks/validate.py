"""Step 2: does the data look like the data we know?"""

from prefect import task

from data import catalogue
from data.dataset import RawRef
from data.store import Store
from data.validation import ValidationRef
from tasks.progress import say


@task(task_run_name="validate {raw.dataset}")
def validate(store: Store, raw: RawRef) -> ValidationRef:
    """Run the expectations; data that fails them stops the night here."""
    from data import expectations  # Great Expectations takes seconds to import, and only this step needs it

    say("validate", f"checking every image of {raw.dataset} against what is known of it", 0.0)
    ref = expectations.check(store, catalogue.get(store, raw.dataset), raw)
    say("validate", f"{raw.dataset} is as expected; the full result lies in {store.validation(ref.digest)}", 1.0)
    return ref
