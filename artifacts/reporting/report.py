"""The report of a night: a Markdown file with pictures beside it, and without pictures as a note for the UI.

templates/report.md.j2 and the files it includes are the text of both; rows.py has the rows of their tables.
"""

import functools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from artifacts.evaluation.numbers import number, percent, significant
from artifacts.reporting import charts, rows, sheets
from artifacts.reporting.markdown import Markdown, code, shown, table, text
from artifacts.reporting.summary import NightReport
from data.home.files import storage_errors

REPORT = "report.md"
UI_BYTES = 90_000  # a UI note is one value in the server's database
NO_PICTURES = {"sheet": "", "curves": "", "confusion": "", "mistakes": ""}


def write_report(folder: Path, night: NightReport) -> str:
    """Write report.md and its pictures into a folder.

    Args:
        folder: where to write; created if missing.
        night: the run to report.

    Returns:
        The Markdown, as in the file.

    Raises:
        StorageFailed: the folder cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    markdown = _render(night, NO_PICTURES | _draw(folder, night))
    with storage_errors(folder):
        (folder / REPORT).write_text(markdown, encoding="utf-8")
    return markdown


def ui_markdown(night: NightReport) -> str:
    """Return the report without pictures and with at most 90,000 bytes, for a note in the Prefect UI."""
    markdown = _render(night, NO_PICTURES)
    encoded = markdown.encode()
    if len(encoded) <= UI_BYTES:
        return markdown
    kept = encoded[:UI_BYTES].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n\nThe rest is in {REPORT} of run {code(night.run)}.\n"


# -- pictures -------------------------------------------------------------------------------------------------


def _draw(folder: Path, night: NightReport) -> dict[str, str]:
    """Draw the pictures for which there is something to draw; return their file names by what they show."""
    drawn = {}
    if night.sheet and night.sheet.is_file():
        drawn["sheet"] = night.sheet.name
        with storage_errors(folder):
            shutil.copyfile(night.sheet, folder / drawn["sheet"])
    if histories := _best_histories(night):
        drawn["curves"] = "loss-curves.png"
        charts.loss_curves(histories, folder / drawn["curves"])
    if night.winning and night.winning.test:
        drawn["confusion"] = "confusion.png"
        charts.confusion_matrix(night.winning.test.confusion, night.class_names, folder / drawn["confusion"])
    if scored := night.test_images:
        drawn["mistakes"] = "mistakes.png"
        path = folder / drawn["mistakes"]
        sheets.mistakes(scored.images, scored.labels, scored.probabilities, night.class_names, path)
    return drawn


def _best_histories(night: NightReport, most: int = 24) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Return the curves of the `most` candidates of best validation accuracy; a legend cannot tell more apart."""
    trained = [row for row in night.candidates if row.history]
    ranked = sorted(trained, key=lambda row: row.validation.accuracy if row.validation else 0.0, reverse=True)
    kept = {row.name for row in ranked[:most]}
    return {row.name: row.history for row in trained if row.name in kept}


# -- text -----------------------------------------------------------------------------------------------------


def _render(night: NightReport, drawn: Mapping[str, str]) -> str:
    """Fill the template.

    Args:
        night: the run to report.
        drawn: file name by what the picture shows, empty where there is none: sheet, curves, confusion,
            mistakes.
    """
    rendered = _environment().get_template("report.md.j2").render(night=night, pictures=drawn)
    blocks = (block.strip("\n") for block in rendered.split("\n\n"))
    return "\n\n".join(block for block in blocks if block) + "\n"


@functools.cache
def _environment() -> Environment:
    """Return the templates' environment: whatever a template prints is escaped, unless it is `Markdown` already."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["rows"] = rows
    environment.filters |= {
        "code": code,
        "number": number,
        "percent": percent,
        "significant": significant,
        "table": _table,
        "text": text,
    }
    return environment


def _table(cells: Sequence[Sequence[object]], *headers: str, limit: int = 200) -> Markdown:
    return table(headers, cells, limit=limit)
