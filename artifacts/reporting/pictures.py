"""Pictures of predictions: an image beside the probabilities of its classes. One PNG each.

Grey images are shown dark on light, as in the TensorFlow tutorial, however they are stored; colours as they are.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from artifacts.evaluation.numbers import short_percent
from artifacts.reporting.canvas import (
    BAR,
    BLUE,
    INK,
    MANY,
    RED,
    fill_with_image,
    needs_rotation,
    picture,
    rotation,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


def prediction(
    image: Pixels, probabilities: Probabilities, class_names: Sequence[str], true_label: int | None, path: Path
) -> None:
    """Draw an image with its predicted label, confidence and (true label) beside a bar chart of the probabilities.

    Args:
        image: (height, width) or (height, width, 3), uint8.
        probabilities: (classes,).
        class_names: one name per class.
        true_label: the true class, or None if it is not known.
        path: the PNG to write.
    """
    with picture(path, 6.4, 3.2) as figure:
        axes = figure.add_axes((0.02, 0.16, 0.42, 0.8))
        fill_with_image(axes, image)
        axes.set_xlabel(*_caption(probabilities, class_names, true_label, 26), size=11, labelpad=8)
        bottom = 0.28 if needs_rotation(class_names) else 0.16
        bars = figure.add_axes((0.53, bottom, 0.45, 0.96 - bottom))
        _bars(bars, probabilities, class_names, true_label)
        bars.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        bars.tick_params(axis="y", length=0)
        bars.grid(visible=True, axis="y")


def predictions(
    images: Pixels,
    probabilities: Probabilities,
    class_names: Sequence[str],
    labels: Labels | None,
    path: Path,
    *,
    n: int = 15,
) -> None:
    """Draw a grid of such pairs for the first `n` images; a single image gets the large form.

    Args:
        images: (images, height, width) or (images, height, width, 3), uint8.
        probabilities: (images, classes).
        class_names: one name per class.
        labels: (images,), the true classes, or None if they are not known.
        path: the PNG to write.
        n: how many images at most.
    """
    truth = [None] * len(images) if labels is None else [int(label) for label in labels]
    if len(images) == 1:
        prediction(images[0], probabilities[0], class_names, truth[0], path)
        return
    shown = min(n, len(images))
    columns = min(3, shown)
    rows = math.ceil(shown / columns)
    with picture(path, 3.4 * columns, 1.95 * rows) as figure:
        for place in range(shown):
            row, column = divmod(place, columns)
            left, bottom = column / columns, 1 - (row + 1) / rows
            image = figure.add_axes((left + 0.04 / columns, bottom + 0.22 / rows, 0.42 / columns, 0.73 / rows))
            fill_with_image(image, images[place])
            image.set_xlabel(*_caption(probabilities[place], class_names, truth[place], 18), size=8, labelpad=4)
            bars = figure.add_axes((left + 0.52 / columns, bottom + 0.32 / rows, 0.42 / columns, 0.63 / rows))
            _bars(bars, probabilities[place], class_names, truth[place], sparse=needs_rotation(class_names))
            bars.set_yticks([])


def _caption(
    probabilities: Probabilities, class_names: Sequence[str], true_label: int | None, width: int
) -> tuple[str, dict[str, str]]:
    """Return "predicted 87 % (true)" and its colour, on two lines where it is wider than `width` characters."""
    predicted = int(probabilities.argmax())
    text = f"{short(class_names[predicted], width - 6)} {short_percent(probabilities[predicted])}"
    if true_label is None:
        return text, {"color": INK}
    truth = f"({short(class_names[true_label], width - 2)})"
    separator = " " if len(text) + len(truth) < width else "\n"
    return f"{text}{separator}{truth}", {"color": BLUE if predicted == true_label else RED}


def _bars(
    axes: "Axes",
    probabilities: Probabilities,
    class_names: Sequence[str],
    true_label: int | None,
    sparse: bool = False,
) -> None:
    """One bar per class; of many classes, the ten most probable ones and the true one.

    Args:
        axes: where to draw.
        probabilities: (classes,).
        class_names: one name per class.
        true_label: the true class, if known.
        sparse: name only the bars that matter.
    """
    predicted = int(probabilities.argmax())
    shown = list(range(len(probabilities)))
    if len(shown) > MANY:
        shown = np.argsort(-probabilities, kind="stable")[:10].tolist()
        if true_label is not None and true_label not in shown:
            shown[-1] = true_label
    colours = [BLUE if index == true_label else RED if index == predicted else BAR for index in shown]
    axes.bar(range(len(shown)), probabilities[shown], color=colours, width=0.8)
    named = [not sparse or index in {predicted, true_label} or probabilities[index] > 0.1 for index in shown]
    names = [short(class_names[index], 12) if name else "" for index, name in zip(shown, named, strict=True)]
    axes.set_xticks(range(len(shown)), names, size=8, **rotation(names))
    for tick, colour in zip(axes.get_xticklabels(), colours, strict=True):
        tick.set_color(INK if colour == BAR else colour)
    axes.tick_params(axis="x", length=0, pad=2)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(0, 1)
    axes.grid(visible=False)
