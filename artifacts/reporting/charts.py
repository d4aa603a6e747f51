"""Charts of a night: loss and accuracy of the candidates, and the winner's confusion matrix. One PNG each."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from artifacts.reporting.canvas import FAINT, INK, MANY, PALETTE, needs_rotation, picture, rotation, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def loss_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw loss and accuracy per epoch: solid for validation, dotted for training, one colour per candidate.

    Args:
        histories: per candidate, one mapping per epoch with `loss`, `accuracy`, `val_loss`, `val_accuracy`;
            what is missing or not finite leaves a gap.
        path: the PNG to write.
    """
    from matplotlib.ticker import MaxNLocator

    kept = {name: list(history) for name, history in histories.items() if history}
    legend = 0.4 + 0.2 * math.ceil(len(kept) / 4)  # inches
    height = 3.5 + legend
    with picture(path, 9.6, height) as figure:
        box = {"left": 0.065, "right": 0.985, "top": 1 - 0.35 / height, "bottom": (0.5 + legend) / height}
        grid = figure.add_gridspec(1, 2, wspace=0.2, **box)
        losses, accuracies = (figure.add_subplot(grid[0, column]) for column in range(2))
        for (name, history), colour in zip(kept.items(), _colours(), strict=False):
            columns = {key: _column(history, key) for key in ("loss", "val_loss", "accuracy", "val_accuracy")}
            _curves(losses, columns["loss"], columns["val_loss"], colour, short(name, 34))
            _curves(accuracies, _nines(columns["accuracy"]), _nines(columns["val_accuracy"]), colour, "")
        longest = max((len(history) for history in kept.values()), default=1)
        for axes, title in ((losses, "Loss"), (accuracies, "Accuracy")):
            axes.set(title=title, xlabel="epoch", xlim=(0.6, longest + 0.4))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _loss_ticks(losses)
        _accuracy_ticks(accuracies)
        figure.legend(
            *losses.get_legend_handles_labels(), loc="lower center", ncols=4, bbox_to_anchor=(0.5, 0.19 / height)
        )
        key = "solid: validation   ·   dotted: training" if kept else "nothing was trained"
        figure.text(0.5, 0.1 / height, key, ha="center", color="#666666", size=8)


def _colours() -> Iterator[tuple[float, ...]]:
    """Yield the palette, then paler and paler copies of it."""
    from matplotlib.colors import to_rgb

    for lap in itertools.count():
        for colour in PALETTE:
            yield tuple(1 - (1 - part) * 0.55**lap for part in to_rgb(colour))


def _curves(
    axes: "Axes", training: list[float], validation: list[float], colour: tuple[float, ...], label: str
) -> None:
    epochs = range(1, len(training) + 1)
    marker = "o" if len(training) < 8 else ""
    axes.plot(epochs, training, ":", color=colour, marker=marker, markersize=3, alpha=0.85)
    axes.plot(epochs, validation, "-", color=colour, marker=marker, markersize=4, label=label)


def _column(history: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    values = (epoch.get(key) for epoch in history)
    return [float(value) if value is not None and math.isfinite(value) else math.nan for value in values]


def _nines(accuracies: list[float]) -> list[float]:
    """Map accuracy to -log10(error), so that 99.0 and 99.5 % are as far apart as 90 and 95 %."""
    return [-math.log10(max(1 - value, 1e-4)) if math.isfinite(value) else math.nan for value in accuracies]


def _accuracy_ticks(axes: "Axes") -> None:
    low, high = axes.get_ylim()
    shown = [
        tick
        for tick in (0, 50, 70, 80, 85, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95)
        if low <= _nines([tick / 100])[0] <= high
    ]
    if len(shown) < 2:  # a range too narrow for round numbers
        shown = [round(100 * (1 - 10**-place), 2) for place in np.linspace(low, high, 4)]
    axes.set_yticks(_nines([tick / 100 for tick in shown]), [f"{tick:g} %" for tick in shown])
    axes.set_ylim(low, high)


def _loss_ticks(axes: "Axes") -> None:
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 8 * values.min():
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


# -- a model's mistakes ---------------------------------------------------------------------------------------


def confusion_matrix(confusion: Sequence[Sequence[int]], class_names: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix; the diagonal (correct predictions) is grey, so that mistakes stand out.

    Args:
        confusion: counts, rows are true classes, columns are predicted ones.
        class_names: one name per row.
        path: the PNG to write.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    few = len(counts) <= MANY
    names = [short(name, 14) for name in class_names]
    longest = max(map(len, names)) if few else 4
    margin, bottom = 0.4 + 0.078 * longest, 0.45 + (0.058 * longest if needs_rotation(names) else 0)  # inches
    side = max(2.4, 0.48 * len(counts)) if few else 5.6
    width, height = margin + side + (0.15 if few else 3.4), bottom + side + 0.45
    with picture(path, width, height) as figure:
        axes = figure.add_axes((margin / width, bottom / height, side / width, side / height))
        if few:
            _cells(axes, counts, wrong, names)
        else:
            _dots(axes, wrong)
            _pairs(figure, wrong, counts, class_names, left=margin + side + 0.25)
        right, total = int(np.trace(counts)), int(counts.sum())
        axes.set(xlabel="predicted", ylabel="true")
        axes.set_title(f"{right:,} of {total:,} correct, {total - right:,} wrong", pad=10)


def _cells(axes: "Axes", counts: NDArray[np.int64], wrong: NDArray[np.int64], names: list[str]) -> None:
    strength = np.sqrt(wrong / max(1, int(wrong.max())))[..., None]
    colours = (1 - strength) + strength * np.array([0.835, 0.369, 0.0])  # white to Okabe and Ito's vermilion
    colours[np.diag_indices(len(counts))] = 0.925
    axes.imshow(colours)
    axes.grid(visible=False)
    for row, column in np.argwhere(counts > 0):
        text = f"{counts[row, column]:,}"
        shade = INK if row == column or strength[row, column, 0] < 0.75 else "white"
        axes.text(column, row, text, ha="center", va="center", size=8 if len(text) < 6 else 6.5, color=shade)
    places = range(len(names))
    axes.set_xticks(places, names, **rotation(names))
    axes.set_yticks(places, names)
    axes.tick_params(length=0)


def _dots(axes: "Axes", wrong: NDArray[np.int64]) -> None:
    rows, columns = np.nonzero(wrong)
    counts = wrong[rows, columns]
    last = len(wrong) - 1
    axes.plot([0, last], [0, last], color=FAINT, linewidth=0.8)
    areas = np.minimum(5.0 * counts, 60.0)  # square points: a single mistake must be seen too
    smooth = len(rows) < 1500  # smooth edges of thousands of dots make a large file
    axes.scatter(columns, rows, s=areas, color=PALETTE[1], alpha=0.6, linewidths=0, antialiased=smooth)
    axes.set(xlim=(-1, last + 1), ylim=(last + 1, -1), aspect="equal")


def _pairs(
    figure: "Figure", wrong: NDArray[np.int64], counts: NDArray[np.int64], names: Sequence[str], left: float
) -> None:
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - 0.32 / height, "Most frequent mistakes", size=10)
    for place, flat in enumerate(np.argsort(-wrong, axis=None, kind="stable")[:24]):
        row, column = divmod(int(flat), len(wrong))
        if not wrong[row, column]:
            break
        down = 1 - (0.62 + 0.23 * place) / height
        text = f"{short(names[row], 15)} → {short(names[column], 15)}"
        figure.text(left / width, down, f"{wrong[row, column]:,} of {counts[row].sum():,}", size=8, color=PALETTE[1])
        figure.text((left + 0.85) / width, down, text, size=8)
