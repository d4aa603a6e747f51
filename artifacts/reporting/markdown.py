"""Markdown that is pleasant raw and cannot be broken by what data contains: class names, file names, reasons."""

import math
import re
from collections.abc import Sequence

import numpy as np

NONE = "–"
BLOCKS = " ▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉"
# What would start markup: HTML, entities, tables, emphasis, code, strike-through, GitHub's formulas, links, images.
MARKUP = re.compile(
    r"[\\`*|~$]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|!?\[(?=[^\]]*\][(\[:])"
    r"|^[#>=\[]|^[+-](?=[\s-]|$)|^\d+(?=[.)](?:\s|$))"
)


def text(value: object, limit: int = 400) -> str:
    """Return a value as one line that Markdown shows as it is: no markup, no HTML, nothing invisible.

    Args:
        value: anything; line breaks, control characters, direction marks and lone surrogates become spaces.
        limit: characters after which an ellipsis follows.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return MARKUP.sub(_escaped, line)


def _escaped(match: re.Match[str]) -> str:
    found = match.group()
    if found.isdigit():
        return found + "\\"
    return {"<": "&lt;", "&": "&amp;", "![": "!\\["}.get(found, "\\" + found)


def code(value: object, limit: int = 200) -> str:
    """Return a value as inline code; a backtick in it becomes an apostrophe."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(value)).replace("`", "'").strip()
    return f"`{(line[:limit] or NONE)}`".replace("|", "\\|")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, limit: int = 200) -> str:
    """Return a table whose columns also line up in a text editor; numbers to the right.

    Args:
        headers: one per column; a trailing ">" aligns the column to the right and is not shown.
        rows: cells that are Markdown already, see `text` and `code`.
        limit: rows to show; a line below says how many there are.
    """
    right = [header.endswith(">") for header in headers]
    cells = [[header.removesuffix(">") for header in headers], *[list(row) for row in rows[:limit]]]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        padded = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 1) + (":" if r else "-") for width, r in zip(widths, right, strict=True))
    lines = [line(cells[0]), f"|{rule}|", *map(line, cells[1:])]
    if len(rows) > limit:
        lines += ["", f"The first {limit} of {len(rows):,}."]
    return "\n".join(lines)


def share(value: float | None, digits: int = 2) -> str:
    """Return a share in [0, 1] as per cent; a dash for None, words for what is not finite."""
    return number(None if value is None else 100 * value, digits, " %")


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number with thousands separated; a dash for None, words for what is not finite."""
    if value is None:
        return NONE
    return f"{value:,.{digits}f}{unit}" if math.isfinite(value) else "not finite"


def significant(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, such as a p-value."""
    return f"{value:.{digits}g}" if value is not None and math.isfinite(value) else number(value)


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
    """Return the most probable classes as lines of a terminal: name, bar, per cent.

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
        lines.append(f"{name:<{pad}}  {bar}  {100 * float(probabilities[index]):5.1f} %")
    return lines
