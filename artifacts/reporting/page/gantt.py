"""When each step of the night began and ended, as bars below each other."""

from collections.abc import Sequence

from artifacts.evaluation.numbers import number
from artifacts.reporting.canvas import short
from artifacts.reporting.measured import Step
from artifacts.reporting.page.svg import WIDTH, Figure, Scale, box, drawing, round_ticks, stroke, words

LEFT, RIGHT, ROW, TOP, MOST = 150.0, 56.0, 20.0, 8.0, 60


def timeline(steps: Sequence[Step]) -> Figure | None:
    """Return the steps of a night against time, in the order in which they began; None without any."""
    shown = sorted(steps, key=lambda step: (step.began, step.ended))[:MOST]
    if not shown:
        return None
    end = max(step.ended for step in shown)
    x = Scale(0, max(end, 1e-3), LEFT, WIDTH - RIGHT)
    height = TOP + ROW * len(shown) + 26
    bottom = height - 22
    parts = [stroke(x(tick), TOP, x(tick), bottom, "grid") for tick in round_ticks(0, end, 4)]
    parts += [words(x(tick), bottom + 16, f"{tick:g} s", "tick", "middle") for tick in round_ticks(0, end, 4)]
    for place, step in enumerate(shown):
        y, seconds = TOP + ROW * place, step.ended - step.began
        parts.append(words(LEFT - 8, y + 13, short(step.name, 20), "label", "end"))
        told = f"{step.name}: {number(seconds, 1, ' s')}"
        parts.append(box(x(step.began), y + 3, max(x(step.ended) - x(step.began), 1.5), ROW - 7, "bar", told))
        parts.append(words(x(step.ended) + 6, y + 13, number(seconds, 1, " s"), "tick"))
    slowest = max(shown, key=lambda step: step.ended - step.began)
    text = f"Steps of the night: {number(end, 1, ' s')} in all; the longest is {slowest.name}, "
    text += number(slowest.ended - slowest.began, 1, " s")
    rows = [
        (step.name, number(step.began, 1, " s"), number(step.ended, 1, " s"), number(step.ended - step.began, 1, " s"))
        for step in shown
    ]
    headers = ("step", "began after>", "ended after>", "took>")
    note = "Seconds since the night began. The report itself, written last, is not among them."
    return Figure("Where the time went", drawing(WIDTH, height, text, *parts), text, headers, rows, note)
