"""How the winner answers on the test images: which classes it confuses, and whether its confidence is its accuracy."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from artifacts.evaluation.metrics import BINS, Metrics, wilson
from artifacts.evaluation.numbers import percent
from artifacts.reporting.canvas import short
from artifacts.reporting.page.svg import WIDTH, Figure, Scale, box, dot, drawing, frame, path, stroke, words
from artifacts.reporting.summary import ScoredImages

NAMED = 12  # classes: up to here the cells of the matrix have room for their counts
ALL = 40  # classes: up to here every cell is drawn; beyond, only those with mistakes
CELLS = 3000  # that are drawn of a large matrix: the most frequent mistakes
PAIRS = 30  # of classes that are confused, in the table of a large matrix


def confusion_matrix(test: Metrics, class_names: Sequence[str]) -> Figure:
    """Return the confusion matrix: rows are true classes, columns predicted ones; mistakes are coloured."""
    counts = np.asarray(test.confusion, dtype=np.int64)
    wrong = counts - np.diag(np.diag(counts))
    n = len(counts)
    left, top = (70.0, 66.0) if n <= ALL else (34.0, 20.0)
    side = (WIDTH - left - 4) / n
    parts = [*_diagonal(counts, left, top, side), *_mistakes(wrong, class_names, left, top, side)]
    if n <= ALL:
        parts += _names(class_names, left, top, side)
    height = top + side * n + 4
    parts.append(words(left, 12, "predicted →", "tick"))
    parts.append(words(0, top - 6 if n <= ALL else top + 12, "true ↓", "tick"))
    right, total = int(np.trace(counts)), int(counts.sum())
    pairs = _pairs(wrong)
    worst = (
        f"; most often {class_names[pairs[0][0]]} as {class_names[pairs[0][1]]}, {pairs[0][2]} times" if pairs else ""
    )
    text = f"Confusion matrix: {right:,} of {total:,} correct, {total - right:,} wrong{worst}."
    rows = [(class_names[a], class_names[b], f"{k:,}", f"of {int(counts[a].sum()):,}") for a, b, k in pairs]
    headers = ("true class", "predicted as", "images>", "of this class>")
    note = f"{right:,} of {total:,} correct. Grey: correct; orange: mistakes, the more the darker."
    if len(rows) < np.count_nonzero(wrong):
        note += f" The table has the {len(rows)} most frequent pairs."
    return Figure("Which classes are confused", drawing(WIDTH, height, text, *parts), text, headers, rows, note)


def _pairs(wrong: NDArray[np.int64], n: int = PAIRS) -> list[tuple[int, int, int]]:
    order = np.argsort(-wrong, axis=None, kind="stable")[:n].tolist()
    pairs = (divmod(flat, len(wrong)) for flat in order)
    return [(true, other, int(wrong[true, other])) for true, other in pairs if wrong[true, other]]


def _diagonal(counts: NDArray[np.int64], left: float, top: float, side: float) -> list[Markup]:
    parts = []
    for index in range(len(counts)):
        x, y = left + side * index, top + side * index
        parts.append(box(x, y, side - (side > 6), side - (side > 6), "right"))
        if len(counts) <= NAMED:
            parts.append(words(x + side / 2, y + side / 2 + 4, f"{counts[index, index]}", "count", "middle"))
    return parts


def _mistakes(
    wrong: NDArray[np.int64], class_names: Sequence[str], left: float, top: float, side: float
) -> list[Markup]:
    parts, most = [], max(1, int(wrong.max(initial=0)))
    few = len(wrong) <= NAMED
    least = max(side, 3.2)  # of a thousand classes a cell would be smaller than a pixel
    for true, other, n in _pairs(wrong, CELLS):
        x, y, strength = left + side * other, top + side * true, 0.15 + 0.85 * (n / most) ** 0.5
        title = f"{short(class_names[true], 30)} as {short(class_names[other], 30)}: {n}" if len(wrong) <= ALL else ""
        cell = box(x, y, least - (side > 6), least - (side > 6), "mistake", title)
        parts.append(Markup('<g fill-opacity="{:.2f}">{}</g>').format(strength, cell))
        if few:
            parts.append(
                words(x + side / 2, y + side / 2 + 4, n, "count strong" if strength > 0.7 else "count", "middle")
            )
    return parts


def _names(class_names: Sequence[str], left: float, top: float, side: float) -> list[Markup]:
    parts, small = [], "label tiny" if side < 14 else "label"
    for index, name in enumerate(class_names):
        middle = side * (index + 0.5)
        parts.append(words(left - 5, top + middle + 4, short(name, 10), small, "end"))
        x, y = left + middle + 3, top - 6
        turned = Markup('<text x="{0:.1f}" y="{1:.1f}" class="{2}" transform="rotate(-55 {0:.1f} {1:.1f})">{3}</text>')
        plain = words(left + middle, y, name, small, "middle")
        parts.append(plain if max(map(len, class_names)) <= 3 else turned.format(x, y, small, short(name, 10)))
    return parts


def calibration(scored: ScoredImages) -> Figure:
    """Return accuracy against confidence in 15 bins, with 95 % intervals: calibrated answers lie on the diagonal."""
    confidence = scored.probabilities.max(axis=1).astype(np.float64)
    hits = scored.probabilities.argmax(axis=1) == scored.labels
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    height, edge = 270.0, 52.0
    x, y = Scale(0, 1, edge, WIDTH - 24), Scale(0, 1, height - 40, 14)
    ticks = [(share / 4, f"{25 * share} %") for share in range(5)]
    parts = [frame(x, y, ticks, ticks), stroke(x(0), y(0), x(1), y(1), "expected")]
    parts.append(words((edge + WIDTH) / 2, height - 6, "confidence", "tick", "middle"))
    rows, xs, ys = [], [], []
    for index in np.flatnonzero(np.bincount(bins, minlength=BINS)).tolist():
        inside = bins == index
        n, right, mean = int(inside.sum()), int(hits[inside].sum()), float(confidence[inside].mean())
        low, high = wilson(right, n)
        parts.append(stroke(x(mean), y(low), x(mean), y(high), "line thin s0"))
        radius = 2.5 + 4.5 * (n / len(bins)) ** 0.5
        parts.append(dot(x(mean), y(right / n), "fill s0", f"{n:,} images: {percent(right / n)} right", radius))
        xs.append(x(mean))
        ys.append(y(right / n))
        rows.append((f"{index / BINS:.2f} to {(index + 1) / BINS:.2f}", f"{n:,}", percent(mean), percent(right / n)))
    parts.append(path(xs, ys, "line thin s0"))
    text = f"Accuracy against confidence of {len(bins):,} test images in {len(rows)} bins; on the line both are equal."
    note = "Dashed line: confidence equals accuracy. Discs: the larger, the more images."
    headers = ("confidence", "images>", "mean confidence>", "accuracy>")
    return Figure("Calibration", drawing(WIDTH, height, text, *parts), text, headers, rows, note)
