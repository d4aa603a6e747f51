"""How the candidates trained: loss and accuracy by epoch, and accuracy against training time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from artifacts.evaluation.numbers import number, percent
from artifacts.reporting.page.svg import (
    SERIES,
    WIDTH,
    Figure,
    Scale,
    accuracy_ticks,
    around,
    dot,
    drawing,
    frame,
    log_ticks,
    nines,
    path,
    round_ticks,
    stroke,
    words,
)
from artifacts.reporting.summary import CandidateRow

HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 250.0, 52.0, 12.0, 14.0, 40.0
MOST = 12  # curves in one figure; a reader cannot tell more apart
RISE = 1.02  # of the least validation loss: what it must rise above before it counts as overfitting
History = Sequence[Mapping[str, Any]]


def overfits_after(history: History) -> int | None:
    """Return the epoch, from 1, after which a training overfits; None if it does not.

    From there the validation loss no longer falls, while the training loss goes on falling: the validation loss ends
    at least 2 % above its least value, and the training loss ends below its value at that epoch.
    """
    validation, training = column(history, "val_loss"), column(history, "loss")
    known = [value for value in validation if math.isfinite(value)]
    if len(known) < 3 or not math.isfinite(validation[-1]):
        return None
    least = validation.index(min(known))
    overfits = validation[-1] > RISE * validation[least] and training[-1] < training[least]
    return least + 1 if overfits else None


def column(history: History, key: str) -> list[float]:
    """Return one value per epoch; NaN where it is missing or not finite."""
    values = (epoch.get(key) for epoch in history)
    return [float(value) if value is not None and math.isfinite(value) else math.nan for value in values]


def shown(candidates: Sequence[CandidateRow]) -> list[CandidateRow]:
    """Return the candidates with curves, at most `MOST`: those of best validation accuracy, in their order."""
    trained = [row for row in candidates if row.history]
    ranked = sorted(trained, key=lambda row: -row.validation.accuracy if row.validation else 0.0)[:MOST]
    return [row for row in trained if row in ranked]


def curves(candidates: Sequence[CandidateRow]) -> list[Figure]:
    """Return two figures, loss and accuracy by epoch: solid for validation, dotted for training."""
    rows = shown(candidates)
    if not rows:
        return []
    return [_losses(rows), _accuracies(rows)]


def _losses(rows: Sequence[CandidateRow]) -> Figure:
    values = [value for row in rows for key in ("loss", "val_loss") for value in column(row.history, key)]
    known = [value for value in values if math.isfinite(value)]
    wide = bool(known) and min(known) > 0 and max(known) > 8 * min(known)
    low, high = (min(known) / 1.1, max(known) * 1.1) if wide else around(values)
    ticks = log_ticks(low, high) if wide else round_ticks(low, high)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP, math.log10 if wide else float)
    marks = [(index, row, epoch) for index, row in enumerate(rows) if (epoch := overfits_after(row.history))]
    drawn = _panel(rows, ("loss", "val_loss"), y, [(tick, f"{tick:g}") for tick in ticks], "Loss by epoch", marks)
    told = [f"{row.name} overfits after epoch {epoch}" for _, row, epoch in marks]
    return _figure("Loss", rows, drawn, "; ".join(told) or "no candidate overfits", ("loss", "val_loss"), bool(marks))


def _accuracies(rows: Sequence[CandidateRow]) -> Figure:
    values = [value for row in rows for key in ("accuracy", "val_accuracy") for value in column(row.history, key)]
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = max(0.0, min(known) - 0.01), min(0.9999, max(known) + (1 - max(known)) * 0.2)
    y = Scale(low, max(high, low + 1e-3), HEIGHT - BOTTOM, TOP, nines)
    ticks = [(tick, f"{100 * tick:.4g} %") for tick in accuracy_ticks(low, high)]
    drawn = _panel(rows, ("accuracy", "val_accuracy"), y, ticks, "Accuracy by epoch", [])
    best = max(rows, key=lambda row: row.validation.accuracy if row.validation else 0.0)
    told = f"{best.name} reaches the best validation accuracy"
    return _figure("Accuracy", rows, drawn, told, ("accuracy", "val_accuracy"), False)


def _panel(
    rows: Sequence[CandidateRow],
    keys: tuple[str, str],
    y: Scale,
    y_ticks: Sequence[tuple[float, str]],
    label: str,
    marks: Sequence[tuple[int, CandidateRow, int]],
) -> Markup:
    longest = max(len(row.history) for row in rows)
    x = Scale(1, max(longest, 2), LEFT, WIDTH - RIGHT)
    epochs = sorted({max(1, round(tick)) for tick in round_ticks(1, longest)} | {1, longest})
    epochs = [one for one in epochs if one in (1, longest) or (one - 1 > 1 and longest - one > longest / 12)]
    parts = [frame(x, y, [(one, str(one)) for one in epochs], y_ticks)]
    parts.append(words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "epoch", "tick", "middle"))
    for index, row in enumerate(rows):
        places = [x(epoch + 1) for epoch in range(len(row.history))]
        for key, dashed in zip(keys, (" dotted", ""), strict=True):
            heights = [y(value) for value in column(row.history, key)]
            parts.append(path(places, heights, f"line s{index % SERIES}{dashed}"))
            if len(places) < 8:
                points = zip(places, heights, strict=True)
                parts += [dot(a, b, f"fill s{index % SERIES}", radius=2.2) for a, b in points if math.isfinite(b)]
    for index, row, epoch in marks:
        height = y(column(row.history, "val_loss")[epoch - 1])
        parts.append(stroke(x(epoch), y.start, x(epoch), height - 16, f"mark s{index % SERIES}"))
        parts.append(dot(x(epoch), height, f"ring s{index % SERIES}", f"{row.name} overfits after epoch {epoch}", 5.0))
        parts.append(words(x(epoch), height - 20, "overfits", "tick", "end" if x(epoch) > WIDTH - 60 else "middle"))
    return drawing(WIDTH, HEIGHT, label, *parts)


def _figure(
    title: str, rows: Sequence[CandidateRow], drawn: Markup, told: str, keys: tuple[str, str], marked: bool
) -> Figure:
    many = len(rows) > 1
    cells = [
        ((row.name,) if many else ()) + (str(epoch + 1), *(number(column(row.history, key)[epoch], 4) for key in keys))
        for row in rows
        for epoch in range(len(row.history))
    ]
    headers = (*(("candidate",) if many else ()), "epoch>", "training>", "validation>")
    note = "Solid: validation. Dotted: training, on augmented images where a recipe augments."
    if marked:
        note += " Ring: from here the validation loss rises while the training loss still falls."
    legend = [(row.name, f"s{index % SERIES}") for index, row in enumerate(rows)]
    return Figure(
        f"{title} by epoch", drawn, f"{title} by epoch of {len(rows)} candidates: {told}.", headers, cells, note, legend
    )


def scatter(candidates: Sequence[CandidateRow], winner: str) -> Figure | None:
    """Return accuracy against training time, a point per candidate, with 95 % intervals; None without candidates."""
    rows = [row for row in candidates if row.validation and _finite(row)]
    if not rows:
        return None
    seconds = [float(row.seconds or 0) for row in rows]
    low, high = min(seconds) / 1.6, max(seconds) * 1.6
    x = Scale(low, high, LEFT, WIDTH - RIGHT - 8, math.log10)
    ends = [(row.validation.low, row.validation.high) for row in rows if row.validation]
    bottom, top = max(0.0, min(a for a, _ in ends)), min(0.9999, max(b for _, b in ends))
    bottom, top = bottom - (1 - bottom) * 0.12, min(0.9999, top + (1 - top) * 0.15)
    y = Scale(max(bottom, 0.0), max(top, bottom + 1e-3), HEIGHT - BOTTOM, TOP, nines)
    x_ticks = [(tick, f"{tick:g} s") for tick in log_ticks(low, high)] or [(seconds[0], f"{seconds[0]:.3g} s")]
    y_ticks = [(tick, f"{100 * tick:.4g} %") for tick in accuracy_ticks(max(bottom, 0.0), top)]
    parts = [frame(x, y, x_ticks, y_ticks)]
    parts.append(words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "training time", "tick", "middle"))
    for index, row in enumerate(rows):
        parts += _point(row, x, y, index, row.name == winner, named=len(rows) <= SERIES)
    label = "Validation accuracy against training time"
    best = next((row for row in rows if row.name == winner), rows[0])
    told = f"the winner {best.name} reaches {percent(best.validation.accuracy if best.validation else None)}"
    text = f"{label} of {len(rows)} candidates: {told} after {number(best.seconds, 1, ' s')}."
    note = "Vertical lines: 95 % intervals on the validation images, by which the winner (ring) is chosen."
    return Figure(label, drawing(WIDTH, HEIGHT, text, *parts), text, note=note)


def _finite(row: CandidateRow) -> bool:
    values = (
        row.seconds or 0.0,
        *((row.validation.accuracy, row.validation.low, row.validation.high) if row.validation else ()),
    )
    return all(map(math.isfinite, values)) and values[0] > 0


def _point(row: CandidateRow, x: Scale, y: Scale, index: int, wins: bool, named: bool) -> list[Markup]:
    assert row.validation is not None  # `scatter` leaves the others out
    place, height, colour = x(float(row.seconds or 0)), y(row.validation.accuracy), f"s{index % SERIES}"
    title = f"{row.name}: {percent(row.validation.accuracy)}, {number(row.seconds, 1, ' s')}"
    parts = [
        stroke(place, y(row.validation.low), place, y(min(row.validation.high, 0.9999)), f"line thin {colour}"),
        dot(place, height, f"fill {colour}", title, 4.5),
    ]
    if wins:
        parts.append(dot(place, height, f"ring {colour}", radius=8.0))
    if named or wins:
        right = place < WIDTH * 0.62
        parts.append(
            words(place + (11 if right else -11), height + 4, row.name[:28], "label", None if right else "end")
        )
    return parts
