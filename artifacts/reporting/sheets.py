"""A sheet of many images: where two models differ. One PNG."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from artifacts.evaluation.numbers import short_percent
from artifacts.reporting.canvas import BLUE, FAINT, INK, RED, picture, short, show_image
from artifacts.reporting.pictures import Labels, Pixels, Probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def difference_grid(
    images: Pixels,
    labels: Labels,
    probabilities_a: Probabilities,
    probabilities_b: Probabilities,
    class_names: Sequence[str],
    *,
    path: Path,
    names: tuple[str, str] = ("A", "B"),
    n: int = 25,
) -> None:
    """Draw the images on which two models disagree: what each predicts, blue where right and red where wrong.

    First those that only the first model gets right (what switching to the second would break), then those that
    only the second gets right, then those that neither does, in equal shares and the most confident ones of each.

    Args:
        images: (images, height, width) or (images, height, width, 3), uint8; those that are drawn are read one by one.
        labels: (images,), the true classes.
        probabilities_a: (images, classes) of the first model.
        probabilities_b: (images, classes) of the second model.
        class_names: one name per class.
        path: the PNG to write.
        names: what the two models are called.
        n: how many images at most.
    """
    predicted_a, predicted_b = probabilities_a.argmax(axis=1), probabilities_b.argmax(axis=1)
    differ = np.flatnonzero(predicted_a != predicted_b)
    a_right, b_right = (predicted_a == labels)[differ], (predicted_b == labels)[differ]
    group = np.where(a_right, 0, np.where(b_right, 1, 2))
    confidence = probabilities_a.max(axis=1)[differ] + probabilities_b.max(axis=1)[differ]
    chosen = differ[_shares(group, confidence, n)]
    first, second = (short(name, 20) for name in names)
    only_a, only_b, neither = np.bincount(group, minlength=3)
    title = f"{first} and {second} differ on {len(differ):,} of {len(labels):,} images"
    note = f"below each image: {first}, {second}, truth"
    if len(differ):
        title += f"; right there: {only_a:,} and {only_b:,}, neither: {neither:,}"
    with _sheet(path, len(chosen), lines=3) as axes:
        _title(axes, title, (("wrong", RED), ("right", BLUE)), note)
        for place, index in enumerate(chosen):
            truth = int(labels[index])
            answers = [_answer(p[index], class_names, truth) for p in (probabilities_a, probabilities_b)]
            _cell(axes, place, images[index], [*answers, (short(class_names[truth], 17), INK)])


def _answer(probabilities: Probabilities, class_names: Sequence[str], truth: int) -> tuple[str, str]:
    """Return a model's prediction for one image as text, and the colour that says whether it is right."""
    predicted = int(probabilities.argmax())
    text = f"{short(class_names[predicted], 11)} · {short_percent(probabilities[predicted])}"
    return text, BLUE if predicted == truth else RED


def _shares(group: NDArray[np.int64], confidence: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Pick `n` positions, about as many from each group, the most confident of each; ordered by group."""
    order = np.lexsort((-confidence, group))
    ranked = group[order]
    rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    taken = np.sort(np.lexsort((ranked, rank))[:n])
    return order[taken].astype(np.int64)


@contextlib.contextmanager
def _sheet(path: Path, n: int, lines: int) -> Iterator["Axes"]:
    """Yield axes that span a page for `n` images in rows of five, measured in inches; afterwards write it as PNG.

    One pair of axes for all images: a pair for each would cost more time than everything else in the picture.
    """
    width, height = 8.4, 0.65 + max(1, math.ceil(n / 5)) * (1.42 + 0.16 * lines)
    with picture(path, width, height) as figure:
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        axes.set_axis_off()
        yield axes


def _title(axes: "Axes", title: str, key: Sequence[tuple[str, str]], note: str = "") -> None:
    top, left = axes.get_ylim()[1], 0.15
    axes.text(left, top - 0.25, title, size=10.5)
    for word, colour in key:
        axes.text(left, top - 0.45, f"■ {word}", size=8, color=colour)
        left += 0.28 + 0.075 * len(word)
    axes.text(left, top - 0.45, note, size=8, color="#666666")


def _cell(axes: "Axes", place: int, image: Pixels, captions: Sequence[tuple[str, str]]) -> None:
    """Draw an image into a box of 1.5 by 1.3 inches, its lines of text below."""
    row, column = divmod(place, 5)
    middle = 0.9 + 1.63 * column
    top = axes.get_ylim()[1] - 0.6 - (1.42 + 0.16 * len(captions)) * row
    scale = min(1.3 / image.shape[0], 1.5 / image.shape[1])
    height, width = scale * image.shape[0], scale * image.shape[1]
    left, bottom = middle - width / 2, top - 0.65 - height / 2
    extent = (left, left + width, bottom, bottom + height)
    show_image(axes, image, extent=extent, aspect="auto")
    corners = [(left, bottom), (left + width, bottom), (left + width, bottom + height), (left, bottom + height)]
    axes.plot(*zip(*corners, corners[0], strict=True), color=FAINT, linewidth=0.6)
    for line, (text, colour) in enumerate(captions):
        axes.text(middle, top - 1.44 - 0.16 * line, text, size=8, color=colour, ha="center")
