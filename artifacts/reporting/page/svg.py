"""Elements of inline SVG, scales and ticks; colours come from the page's style, so that they follow light and dark.

Every figure is about 440 units wide: one unit is a pixel on a phone, where a wider drawing would have tiny text.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 440.0
SERIES = 7  # colours of the style, s0 to s6; then they repeat
Number = float | int


@dataclass(frozen=True)
class Figure:
    """A drawing with what it shows in words and in numbers.

    Args:
        title: a few words above it.
        drawing: the SVG element.
        text: what is to be seen, for those who do not see it.
        headers: of the table with its numbers; a trailing ">" aligns a column to the right.
        rows: of that table; none where the same table stands beside the figure.
        note: how to read it, below the drawing.
        legend: names of the series, in the order of their colours; nothing for a single series.
    """

    title: str
    drawing: Markup
    text: str
    headers: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    note: str = ""
    legend: Sequence[tuple[str, str]] = ()


def tag(name: str, content: object = "", **attributes: object) -> Markup:
    """Return an element; `_` in a name stands for `-`, a trailing one is dropped, and numbers get one decimal."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, printable(content))


def printable(value: object) -> object:
    """Return a value for the page: text without line breaks, control characters and lone surrogates."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "".join(letter if letter.isprintable() else " " for letter in value)
    return value


def _value(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else printable(value)


def drawing(width: float, height: float, label: str, *parts: Markup) -> Markup:
    """Return an SVG element that is one picture to a screen reader, named by `label`."""
    box = f"0 0 {width:.0f} {height:.0f}"
    content = Markup("").join(parts)
    return tag(
        "svg",
        content,
        viewBox=box,
        role="img",
        aria_label=label,
        class_="drawing",
        style=f"max-width:{width * 1.35:.0f}px",
    )


def words(x: float, y: float, content: object, class_: str = "", anchor: str | None = None) -> Markup:
    """Return a line of text; `anchor` is "middle" or "end" where it is not its start that lies at x."""
    return tag("text", content, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def box(x: float, y: float, width: float, height: float, class_: str, title: str = "") -> Markup:
    """Return a rectangle, with a text that a mouse shows."""
    inside = tag("title", title) if title else ""
    return tag("rect", inside, x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), class_=class_)


def dot(x: float, y: float, class_: str, title: str = "", radius: float = 3.5) -> Markup:
    """Return a disc, with a text that a mouse shows."""
    return tag("circle", tag("title", title) if title else "", cx=x, cy=y, r=radius, class_=class_)


def stroke(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(xs: Sequence[float], ys: Sequence[float], class_: str) -> Markup:
    """Return a line through points; where a coordinate is not finite it is interrupted."""
    steps, pen = [], "M"
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(x) and math.isfinite(y):
            steps.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
        else:
            pen = "M"
    return tag("path", d=" ".join(steps), class_=class_) if steps else Markup("")


@dataclass(frozen=True)
class Scale:
    """From values to places on the page.

    Args:
        low: the value at `start`.
        high: the value at `end`.
        start: a coordinate.
        end: a coordinate.
        bend: a growing function that is linear on the page: identity, logarithm...
    """

    low: float
    high: float
    start: float
    end: float
    bend: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        """Return where a value lies; NaN for one that is not finite."""
        if not math.isfinite(value):
            return math.nan
        low, high = self.bend(self.low), self.bend(self.high)
        return self.start + (self.end - self.start) * (self.bend(value) - low) / (high - low or 1.0)


def round_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Return about `n` round numbers between two values."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    raw = (high - low) / n
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5, 10... between two positive values, fewer where they span many decades."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    sizes = (1, 2, 5) if len(decades) < 4 else (1,)
    return [size * 10.0**decade for decade in decades for size in sizes if low <= size * 10.0**decade <= high]


def nines(accuracy: float) -> float:
    """Map accuracy to -log10(error), so that 99.0 and 99.5 % are as far apart as 90 and 95 %."""
    return -math.log10(min(max(1 - accuracy, 1e-4), 1.0))


def accuracy_ticks(low: float, high: float) -> list[float]:
    """Return round accuracies between two."""
    usual = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995)
    found = [tick for tick in usual if low <= tick <= high]
    return found if len(found) > 1 else round_ticks(low, high, 4)


def frame(x: Scale, y: Scale, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]) -> Markup:
    """Return grid and labels of a pair of axes; y grows upwards, so its `start` is the lower edge."""
    parts = [tag("g", Markup("").join(stroke(x.start, y(v), x.end, y(v), "grid") for v, _ in y_ticks))]
    parts += [words(x.start - 6, y(v) + 4, text, "tick", "end") for v, text in y_ticks]
    parts += [stroke(x(v), y.start, x(v), y.start + 4, "axis") for v, _ in x_ticks]
    parts += [words(x(v), y.start + 17, text, "tick", "middle") for v, text in x_ticks]
    parts.append(stroke(x.start, y.start, x.end, y.start, "axis"))
    return Markup("").join(parts)


def around(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """Return the range of the finite values, somewhat wider; (0, 1) where there are none."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    margin = (high - low) * share or abs(high) * share or 1.0
    return low - margin, high + margin
