"""Every morning: check that every file matches its recorded hash, and that the last runs did their work."""

from typing import Annotated

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from artifacts.operations.status import Alert, Limits, find_alerts
from artifacts.operations.verify import check_home
from artifacts.upkeep.findings import Finding
from data.errors import Broken
from flows.runs.names import errors_to_failed_state
from flows.runs.reconcile import reconcile
from flows.settings import settings
from tasks.progress import say

Count = Annotated[int, Field(ge=1, le=10_000)]


@flow(flow_run_name="verify")
@errors_to_failed_state
def verify(not_promoted_nights: Count = 30, champion_days: Count = 90, success_hours: Count = 36) -> None:
    """Check the hash of every file and the results of the last runs; fail if something is wrong.

    Args:
        not_promoted_nights: Alert after this many consecutive nights without a promotion.
        champion_days: Alert when a champion is older than this many days.
        success_hours: Alert when no run has finished for this many hours.
    """
    store = settings().store
    for line in reconcile(store):
        say("verify", line)
    report = check_home(store)
    findings = report.serious
    alerts = find_alerts(store, Limits(not_promoted_nights, champion_days, success_hours))
    problems: list[Finding | Alert] = [*findings, *alerts]
    rows = [{"about": one.subject, "problem": one.problem, "what to do": one.hint} for one in problems]
    create_table_artifact(
        # the whole table is one value in the server's database
        rows[:200] or [{"about": "all", "problem": "none", "what to do": "nothing"}],
        key="verify",
        description=f"{len(rows)} problems",
    )
    if rows:
        first = rows[0]
        raise Broken(f"{len(rows)} problems; {first['about']}: {first['problem']}", first["what to do"])
    say("verify", f"{report.sentence}; the last runs did their work", 1.0)
