"""Markdown that is readable as plain text and cannot be broken by data: class names, file names, reasons.

`Markdown` marks text that is Markdown already; everything else is escaped where it is shown. What is computed from
marked text (joined, cut, formatted) is plain `str` again and would be escaped once more: a mistake shows, but is safe.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from artifacts.evaluation.numbers import NONE, percent

BLOCKS = " ▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉"
# What would start markup: HTML, entities, tables, emphasis, code, strike-through, GitHub's formulas, links, images.
MARKUP = re.compile(
    r"[\\`*|~$]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|!?\[(?=[^\]]*\][(\[:])"
    r"|^[#>=\[]|^[+-](?=[\s-]|$)|^\d+(?=[.)](?:\s|$))"
)


class Markdown(str):
    """One line or block of Markdown, already escaped."""

    __slots__ = ()


def shown(value: object) -> Markdown:
    """Return any value as Markdown: a dash for None, `Markdown` as it is, everything else escaped by `text`."""
    if isinstance(value, Markdown):
        return value
    return text(NONE if value is None else value)


def text(value: object, limit: int = 400) -> Markdown:
    """Return a value as one line that Markdown shows as it is: no markup, no HTML, nothing invisible.

    Args:
        value: anything; line breaks, control characters, direction marks and lone surrogates become spaces.
        limit: characters after which an ellipsis follows.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return Markdown(MARKUP.sub(_escaped, line))


def _escaped(match: re.Match[str]) -> str:
    found = match.group()
    if found.isdigit():
        return found + "\\"
    return {"<": "&lt;", "&": "&amp;", "![": "!\\["}.get(found, "\\" + found)


def code(value: object, limit: int = 200) -> Markdown:
    """Return a value as inline code, a dash if it is None or empty; a backtick in it becomes an apostrophe."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(value)).replace("`", "'").strip()
    line = NONE if value is None else line[:limit] or NONE
    return Markdown(f"`{line}`".replace("|", "\\|"))


def bold(value: object) -> Markdown:
    """Return a value in bold."""
    return Markdown(f"**{text(value)}**")


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, limit: int = 200) -> Markdown:
    """Return a table whose columns also line up in a text editor; without rows, nothing.

    Args:
        headers: one per column; a trailing ">" aligns the column to the right, for numbers, and is not shown.
        rows: one cell per column; cells that are not `Markdown` are escaped.
        limit: rows to show; a line below says how many there are.
    """
    if not rows:
        return Markdown()
    lines = tabulate(
        [[str(shown(cell)) for cell in row] for row in rows[:limit]],
        headers=[header.removesuffix(">") for header in headers],
        tablefmt="pipe",
        colalign=["right" if header.endswith(">") else "left" for header in headers],
        disable_numparse=True,
    )
    more = f"\n\nThe first {limit} of {len(rows):,}." if len(rows) > limit else ""
    return Markdown(lines + more)


def sparkline(values: Sequence[float | None], width: int = 32) -> str:
    """Return a curve of at most `width` characters, ▁ at its lowest and █ at its highest; · where nothing is known."""
    known = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    known[~np.isfinite(known)] = math.nan
    known = known[np.linspace(0, len(known) - 1, min(width, len(known))).round().astype(int)] if len(known) else known
    if np.isnan(known).all():
        return "·" * len(known)
    low, high = np.nanmin(known), np.nanmax(known)
    steps = (known - low) / (high - low or 1.0) * 7 + 1
    return "".join("·" if math.isnan(step) else BLOCKS[round(step)] for step in steps)


def bars(probabilities: Sequence[float], class_names: Sequence[str], top: int = 5, width: int = 24) -> list[str]:
    """Return the most probable classes as lines of a terminal: name, bar, percent.

    Args:
        probabilities: one per class, in [0, 1].
        class_names: one per class.
        top: how many classes at most.
        width: characters of a bar that stands for certainty.
    """
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])[:top]
    names = ["".join(letter for letter in class_names[index] if letter.isprintable())[:24] for index in order]
    pad = max(map(len, names), default=0)
    lines = []
    for name, index in zip(names, order, strict=True):
        full, eighth = divmod(round(8 * width * float(probabilities[index])), 8)
        bar = ("█" * full + (EIGHTHS[eighth] if eighth else "")).ljust(width)
        lines.append(f"{name:<{pad}}  {bar}  {percent(float(probabilities[index]), 1):>7}")
    return lines
