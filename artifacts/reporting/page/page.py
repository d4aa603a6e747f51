"""One HTML page per night, complete in itself: opens from disk, without a network, in light and dark.

templates/page.html.j2 and the files it includes are its text; the rows of its tables are those of the Markdown report.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from artifacts.evaluation.numbers import NONE, number, percent, points, significant
from artifacts.reporting import rows
from artifacts.reporting.markdown import Markdown
from artifacts.reporting.page import class_bars, confusion, gantt, panels, training_curves
from artifacts.reporting.page.panels import Panel
from artifacts.reporting.page.svg import Figure, printable
from artifacts.reporting.summary import NightReport

TEMPLATES = Path(__file__).parents[1] / "templates"
MOST_BYTES = 3_000_000
PANELS = (24, 12, 6, 0)  # image panels of each kind: as many as the page has room for
FOLDED = 12  # rows: longer tables are folded


@dataclass(frozen=True)
class Shown:
    """The figures of a page; None and () where there is nothing to draw.

    Args:
        scatter: accuracy against training time.
        curves: loss and accuracy by epoch.
        change: per class, against the champion.
        confusion: the winner's mistakes by class.
        mistakes: the most confident ones.
        flips: those that the champion does not make.
        n_flips: how many of them there are.
        calibration: accuracy against confidence.
        samples: images per class.
        sheet: the contact sheet as a data URI; "" without one.
        timeline: the steps of the night.
    """

    scatter: Figure | None = None
    curves: Sequence[Figure] = ()
    change: Figure | None = None
    confusion: Figure | None = None
    mistakes: Sequence[Panel] = ()
    flips: Sequence[Panel] = ()
    n_flips: int = 0
    calibration: Figure | None = None
    samples: Figure | None = None
    sheet: str = ""
    timeline: Figure | None = None


def html(night: NightReport) -> str:
    """Return the page of a night, of at most 3 MB."""
    for n in PANELS:
        page = environment().get_template("page.html.j2").render(night=night, figures=_figures(night, n), rows=rows)
        if len(page.encode()) <= MOST_BYTES:
            break
    return page


def _figures(night: NightReport, n: int) -> Shown:
    names, scored, change = night.class_names, night.test_images, night.change
    test = night.winning.test if night.winning else None
    champion = night.champion_answers
    wrong = panels.most_confident(scored, n) if scored else []
    lost = panels.negative_flips(scored, champion.predicted, n) if scored and change and champion else []
    return Shown(
        scatter=training_curves.scatter(night.candidates, night.winner),
        curves=training_curves.curves(night.candidates),
        change=class_bars.changes(change, names) if change else None,
        confusion=confusion.confusion_matrix(test, names) if test else None,
        mistakes=panels.panels(scored, wrong, names) if scored else (),
        flips=panels.panels(scored, lost, names, champion.name) if scored and champion else (),
        n_flips=sum(change.lost) if change else 0,
        calibration=confusion.calibration(scored) if scored else None,
        samples=class_bars.samples(night.data, names) if night.data.counts.get("train") else None,
        sheet=panels.sheet_uri(night.sheet) if night.sheet and night.sheet.is_file() else "",
        timeline=gantt.timeline(night.steps),
    )


@functools.cache
def environment() -> Environment:
    """Return the environment of all pages: whatever a template prints is escaped, unless it is `Markup`."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "cell": cell,
        "number": number,
        "percent": percent,
        "points": points,
        "sentence": sentence,
        "significant": significant,
    }
    made.globals["FOLDED"] = FOLDED
    return made


def cell(value: object) -> Markup:
    """Return a table's cell: `Markdown` as what it says (code, bold), everything else as plain text."""
    if isinstance(value, Markdown):
        return Markup(_markdown().renderInline(value.replace("\\|", "|")))  # the renderer escapes HTML
    return escape(printable(NONE if value is None else value))


def sentence(line: str) -> str:
    """Return a note as a sentence: with a capital and a full stop."""
    return f"{line[:1].upper()}{line[1:].rstrip('.')}."


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink"])
