"""The report of a night: a page for a browser, and the same in Markdown, as a file and as a note for the UI.

report.html has the figures (`artifacts/reporting/page/`), report.md the tables alone, and night.json the values, for
the reports of later nights. templates/report.md.j2 and the files it includes are the text of the Markdown; rows.py has
the rows of all tables.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from artifacts.evaluation.numbers import number, percent, significant
from artifacts.reporting import rows
from artifacts.reporting.markdown import Markdown, code, shown, table, text
from artifacts.reporting.measured import NIGHT
from artifacts.reporting.page import page
from artifacts.reporting.summary import NightReport
from data.home.files import storage_errors
from data.values import canonical_json

REPORT = "report.md"
PAGE = "report.html"
UI_BYTES = 90_000  # a UI note is one value in the server's database


def write_report(folder: Path, night: NightReport) -> str:
    """Write report.html, report.md and night.json into a folder.

    Args:
        folder: where to write; created if missing.
        night: the run to report.

    Returns:
        The Markdown, as in the file.

    Raises:
        StorageFailed: the folder cannot be written.
    """
    markdown, html = _render(night), page.html(night)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT).write_text(markdown, encoding="utf-8")
        (folder / PAGE).write_text(html, encoding="utf-8")
        (folder / NIGHT).write_bytes(canonical_json(night.to_json()))
    return markdown


def ui_markdown(night: NightReport, page_at: str = "") -> str:
    """Return the report with at most 90,000 bytes, for a note in the Prefect UI.

    Args:
        night: the run to report.
        page_at: the path of report.html, which the note names; "" for none.
    """
    markdown = _render(night)
    head, _, rest = markdown.partition("\n\n")
    markdown = f"{head}\n\nWith figures, for a browser: {code(page_at, 1000)}\n\n{rest}" if page_at else markdown
    encoded = markdown.encode()
    if len(encoded) <= UI_BYTES:
        return markdown
    kept = encoded[:UI_BYTES].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n\nThe rest is in {REPORT} of run {code(night.run)}.\n"


# -- text -----------------------------------------------------------------------------------------------------


def _render(night: NightReport) -> str:
    rendered = _environment().get_template("report.md.j2").render(night=night)
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
