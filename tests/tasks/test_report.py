"""Step 9: the run's folder and the two notes in the Prefect UI."""

from dataclasses import replace
from typing import Any

import pytest

from artifacts.reporting.report import PAGE, REPORT
from tasks.report import report
from tests.artifacts.reporting.test_report import night
from tests.artifacts.trained import TrainedHome


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What would be sent to the server, by key."""
    sent: dict[str, Any] = {}

    def create(content: Any, key: str, description: str) -> None:
        sent[key] = (content, description)

    monkeypatch.setattr("tasks.report.create_markdown_artifact", create)
    monkeypatch.setattr("tasks.report.create_table_artifact", create)
    return sent


def test_a_night_leaves_a_folder_and_two_notes(trained: TrainedHome, notes: dict[str, Any]) -> None:
    """Page and text lie in the run's folder; the notes have keys that Prefect takes, and name the page."""
    told = replace(night("PROMOTE"), dataset="my.data_set")
    report.fn(trained.store, trained.prepared, trained.refs[0], told)
    folder = trained.store.run(told.run)
    assert (folder / REPORT).read_text().startswith("# PROMOTED")
    assert "The most confident mistakes" in (folder / PAGE).read_text()
    assert trained.store.meta(folder)["verdict"] == "PROMOTE"
    assert notes.keys() == {"report-my-data-set", "candidates-my-data-set"}
    text, description = notes["report-my-data-set"]
    assert text.startswith("# PROMOTED")
    assert str(folder / PAGE) in text
    assert description == told.headline


def test_the_table_of_candidates_is_only_text_and_not_too_long(trained: TrainedHome, notes: dict[str, Any]) -> None:
    """Every value is text under a name that is not empty, or the UI shows nothing; 200 rows are enough."""
    one = night("PROMOTE")
    many = replace(one, candidates=(*one.candidates, *([one.candidates[-1]] * 300)))
    report.fn(trained.store, trained.prepared, trained.refs[0], many)
    rows, _ = notes["candidates-mnist"]
    assert len(rows) == 200
    assert all(name and isinstance(value, str) for row in rows for name, value in row.items())
    assert len({tuple(row) for row in rows}) == 1
