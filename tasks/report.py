"""Step 9: one Markdown file with pictures, the same without pictures as a note in the Prefect UI."""

import re
from dataclasses import replace

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from artifacts.evaluation.candidates import TrainedRef
from artifacts.reporting import report as reports
from artifacts.reporting import summary
from artifacts.reporting.summary import CandidateRow, NightReport
from data.parquet import PreparedRef
from data.store import Store
from tasks.progress import say

MOST = 200  # rows of a table: it is one value in the server's database


@task(task_run_name="report {night.dataset}")
def report(store: Store, prepared: PreparedRef, chosen: TrainedRef, night: NightReport) -> None:
    """Write the report into the run's folder, with the winner's worst mistakes."""
    target = store.run(night.run)
    night = replace(night, examples=summary.examples(store, prepared, chosen))
    with store.publish(target) as draft:
        draft.meta |= {"dataset": night.dataset, "verdict": night.verdict, "promoted": night.promoted}
        reports.write_report(draft.path, night)
    name = re.sub("[^a-z0-9]+", "-", night.dataset)  # what a note's key may consist of
    create_markdown_artifact(reports.ui_markdown(night), key=f"report-{name}", description=night.headline)
    rows = [_row(row, night.winner) for row in night.candidates[:MOST]]
    create_table_artifact(rows, key=f"candidates-{name}", description=f"Candidates of {night.run}")
    say("report", str(target / reports.REPORT))


def _row(row: CandidateRow, winner: str) -> dict[str, str]:
    """Return a line of the table of candidates: only text, under names that are not empty, or the UI shows nothing."""
    validation, test = row.validation, row.test
    return {
        "candidate": f"{row.recipe} seed {row.seed}",
        "winner": "yes" if row.name == winner else "",
        "validation": f"{100 * validation.accuracy:.2f} %" if validation else "",
        "test": f"{100 * test.accuracy:.2f} % ({100 * test.low:.2f} to {100 * test.high:.2f})" if test else "",
        "trained": row.failed or ("used again" if row.reused else f"in {row.seconds or 0:.1f} s on {row.device}"),
        "parameters": ", ".join(f"{name} {value}" for name, value in row.parameters.items()),
    }
