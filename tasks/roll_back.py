"""By hand: make an earlier version champion again, if it passes its checks."""

from prefect import task

from artifacts.operations import rollback
from artifacts.registry.ledger import Entry
from data.home.store import Store
from tasks.progress import say


@task(task_run_name="roll back {dataset}")
def roll_back(store: Store, dataset: str, to: str, who: str, why: str) -> Entry:
    """Check the target in a fresh process and on the test images, then make it champion and bar the present one."""
    say("rollback", "checking the earlier version in a fresh process and on the test images", 0.0)
    before = rollback.lines_so_far(store, dataset)
    entry = rollback.roll_back(store, dataset, who=who, why=why, to=to or None)
    say("rollback", rollback.sentence(entry, before), 1.0)
    return entry
