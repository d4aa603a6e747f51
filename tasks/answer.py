"""By hand: approve or decline what waits for a person."""

from prefect import task

from artifacts.operations import approval
from artifacts.registry.ledger import Entry
from data.home.store import Store
from tasks.progress import say


@task(task_run_name="{choice} {name}")
def answer(store: Store, name: str, choice: str, who: str, why: str) -> Entry:
    """Make what waits champion, after it was scored again, or end its waiting."""
    if choice == "approve":
        say("approve", "checking what waits in a fresh process and on the test images", 0.0)
    given = approval.approve if choice == "approve" else approval.decline
    done = given(store, name, who=who, why=why)
    say(choice, done.sentence(), 1.0)
    return done.entry
