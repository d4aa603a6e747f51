"""Step 9: a page for a browser, and the same in Markdown, as a file and as a note in the Prefect UI."""

import re
from dataclasses import replace

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from artifacts.evaluation.candidates import TrainedRef
from artifacts.reporting import report as reports
from artifacts.reporting.summary import NightReport, scored_test_images
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from tasks.progress import say

MAX_ROWS = 200  # of the table of candidates, which is one value in the server's database


@task(task_run_name="report {night.dataset}")
def report(store: Store, prepared: PreparedRef | None, chosen: TrainedRef | None, night: NightReport) -> None:
    """Write the report into the run's folder, with the winner's worst mistakes if there is a winner."""
    target = store.run(night.run)
    if prepared and chosen:
        night = replace(night, test_images=scored_test_images(store, prepared, chosen))
    with store.publish(target) as draft:
        draft.meta |= {"dataset": night.dataset, "verdict": night.verdict, "promoted": night.promoted}
        reports.write_report(draft.path, night)
    name = re.sub("[^a-z0-9]+", "-", night.dataset)  # a note's key must not have other characters
    create_markdown_artifact(
        reports.ui_markdown(night, str(target / reports.PAGE)), key=f"report-{name}", description=night.headline
    )
    # only text, under names that are not empty, or the UI shows nothing
    rows = [row.texts(night.winner) for row in night.candidates[:MAX_ROWS]]
    if rows:
        create_table_artifact(rows, key=f"candidates-{name}", description=f"Candidates of {night.run}")
    say("report", str(target / reports.PAGE))
