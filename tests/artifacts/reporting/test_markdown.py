"""Markdown survives what data contains."""

import math
import re
from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from artifacts.reporting.markdown import Markdown, bars, code, shown, sparkline, table, text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("T-shirt/top", "T-shirt/top"),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("a | b", "a \\| b"),
        ("*bold* _it_ `code` ~~gone~~ $x$", "\\*bold\\* \\_it\\_ \\`code\\` \\~\\~gone\\~\\~ \\$x\\$"),
        ("images_per_s", "images_per_s"),
        ("95 % interval [98.1, 99.2]", "95 % interval [98.1, 99.2]"),
        ("![pixel](http://example.org/x.png)", "!\\[pixel](http://example.org/x.png)"),
        ("see [here](http://example.org)", "see \\[here](http://example.org)"),
        ("# one", "\\# one"),
        ("1. one", "1\\. one"),
        ("- one", "\\- one"),
        ("-0.3 points, p <= 0.01 < 0.05", "-0.3 points, p <= 0.01 < 0.05"),
        ("95.75 % of 400", "95.75 % of 400"),
        ("> one", "\\> one"),
        ("AT&T &lt;b&gt;", "AT&T &amp;lt;b&amp;gt;"),
        ("C:\\data", "C:\\\\data"),
        ("two\nlines\r\n\tand more", "two lines and more"),
        ("right\u202eto left", "right to left"),
        ("half a \ud800 character", "half a character"),
        ("ねこ é", "ねこ é"),
    ],
)
def test_text_is_shown_as_it_is(value: str, shown: str) -> None:
    """Whatever a class is called, Markdown shows its name and does nothing else."""
    assert text(value) == shown
    text(value).encode()


RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
MARKS = st.sampled_from("ab1 .)(*_`~[]<>!#|\\$&;:/-+=\"'\n\té\u202e")


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.text(MARKS | st.characters(), max_size=25))
def test_any_text_renders_as_itself(value: str) -> None:
    """Whatever the letters, a renderer shows them and nothing else: in a paragraph, at its start, in a cell."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())
    shown = escape(line).replace("&#x27;", "'")
    assert RENDERER.render(f"So: {text(value)}.") == f"<p>So: {shown}.</p>\n"
    assert RENDERER.render(text(value)) == (f"<p>{shown}</p>\n" if shown else "")
    cell = RENDERER.render(f"| a |\n|---|\n| {text(value)} |\n")
    assert f"<td>{shown}</td>" in cell
    assert cell.count("<td>") == 1


def test_long_text_is_cut() -> None:
    """A reason of a megabyte does not make a report of a megabyte."""
    assert len(text("x" * 1_000_000)) == 400


def test_code_cannot_be_left() -> None:
    """A backtick in a name does not end the code, a bar does not end the cell."""
    assert code("a`b|c\nd") == "`a'b\\|c d`"
    assert code("") == "`–`"


def test_table_lines_up_and_is_cut() -> None:
    """All lines of a table are equally wide, numbers stand at the right, and it says how many rows it left out."""
    lines = table(("name", "share>"), [("a", "1"), ("long name", "100"), ("c", "3")], limit=2).splitlines()
    assert lines[1].endswith("-:|")
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[2].endswith("  1 |")
    assert lines[-1] == "The first 2 of 3."


def test_a_table_without_rows_is_nothing() -> None:
    """Headers alone say nothing."""
    assert table(("name", "share>"), []) == ""


@pytest.mark.parametrize("cell", ["007", "1e5", "-", " x", "", "a|b", None, 3])
def test_a_table_shows_its_cells_as_they_are(cell: object) -> None:
    """No cell is taken for a number and rewritten, and none adds a column."""
    html = RENDERER.render(table(("name",), [(cell,)]))
    wanted = "–" if cell is None else str(cell).strip()
    assert re.findall(r"<td[^>]*>(.*)</td>", html) == [wanted]


def test_only_what_is_marked_as_markdown_is_not_escaped() -> None:
    """Marked text stays as it is; whatever is computed from it is plain text again, and escaped."""
    assert shown(code("x")) == "`x`"
    assert shown(code("x") + "") == "\\`x\\`"
    assert shown("*a*") == "\\*a\\*"
    assert shown(None) == "–"
    assert isinstance(shown(3), Markdown)


def test_sparkline_shows_shape_and_gaps() -> None:
    """A falling curve falls, an unknown epoch is a dot, a long curve is thinned out."""
    assert sparkline([3.0, 2.0, None, math.nan, 1.0]) == "█▄··▁"
    assert sparkline([0.5, 0.5]) == "▁▁"
    assert sparkline([math.nan]) == "·"
    assert sparkline([]) == ""
    assert sparkline(range(100), width=8) == "▁▂▃▄▅▆▇█"


def test_bars_show_the_most_probable_first() -> None:
    """The bar of certainty is full, that of nothing is empty, and no line is longer than another."""
    lines = bars([0.0, 1.0, 0.5], ["none", "all", "half\x1b[31m"], top=3, width=10)
    assert [line.count("█") for line in lines] == [10, 5, 0]
    assert lines[0].endswith("100.0 %")
    assert "\x1b" not in "".join(lines)
    assert len({len(line) for line in lines}) == 1
    assert len(bars([0.1] * 10, list("0123456789"))) == 5
