"""Step 9: one Markdown file with pictures, the same without pictures as a note in the Prefect UI."""

import re
from dataclasses import replace

from prefect import task
from prefect.artifacts import create_markdown_artifact

from artifacts import report as reports
from artifacts import rescoring
from artifacts.night import NightReport
from artifacts.trained import TrainedRef
from data.parquet import PreparedRef
from data.store import Store
from tasks.progress import say


@task(task_run_name="report {night.dataset}")
def report(store: Store, prepared: PreparedRef, chosen: TrainedRef, night: NightReport) -> None:
    """Write the report into the run's folder, with the winner's worst mistakes."""
    target = store.run(night.run)
    night = replace(night, examples=rescoring.examples(store, prepared, chosen))
    with store.publish(target) as draft:
        draft.meta |= {"dataset": night.dataset, "verdict": night.verdict, "promoted": night.promoted}
        reports.write_report(draft.path, night)
    key = re.sub("[^a-z0-9]+", "-", f"report-{night.dataset}")
    create_markdown_artifact(reports.ui_markdown(night), key=key, description=night.headline)
    say("report", str(target / reports.REPORT))
