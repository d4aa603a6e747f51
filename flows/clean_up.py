"""Every morning: remove what the home no longer needs."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from artifacts.upkeep import garbage
from artifacts.upkeep.garbage import Retention
from artifacts.upkeep.preflight import preflight
from flows.runs.names import errors_to_failed_state
from flows.settings import settings
from tasks.progress import say

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Amount = Annotated[float, Field(ge=0, le=1_000_000)]


@flow(flow_run_name="gc")
@errors_to_failed_state
def gc(keep: Count = 20, days: Amount = 30.0, gigabytes: Amount = 0.0, horizon: Count = 5) -> None:
    """Remove what neither the champion, earlier champions, pinned versions nor a run under way need.

    Args:
        keep: Keep so many of each kind, the newest.
        days: Keep what is younger than this.
        gigabytes: Keep no more than this of each kind; 0 means no limit.
        horizon: Number of earlier champions whose data stay.
    """
    store = settings().store
    for line in preflight(store):
        say("gc", line)
    items = garbage.find(store, Retention(keep, days, gigabytes, horizon))
    try:
        freed = garbage.remove(store, items, lambda item: say("gc", f"removed {item.path}"))
    except garbage.Busy as busy:
        say("gc", f"{busy.problem}: nothing is removed today", 1.0)
        return
    say("gc", f"{len(items)} things removed, {freed / 1e6:.1f} MB", 1.0)
