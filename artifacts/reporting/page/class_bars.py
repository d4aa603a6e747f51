"""Bars by class: images, and what the candidate changed against the champion."""

from collections.abc import Sequence

import numpy as np

from artifacts.evaluation.numbers import percent, points
from artifacts.reporting.canvas import short
from artifacts.reporting.measured import ClassChange, DataFacts
from artifacts.reporting.page.svg import WIDTH, Figure, Scale, box, drawing, stroke, words

MOST = 30  # bars in one figure; its table has all classes
ROW, TOP, LEFT, RIGHT = 17.0, 8.0, 124.0, 62.0


def samples(facts: DataFacts, class_names: Sequence[str]) -> Figure:
    """Return the images per class: a bar for training, and a line where the reference has its share."""
    counts = facts.counts.get("train", ())
    total = sum(counts) or 1
    known = facts.reference_counts
    expected = [total * count / (sum(known) or 1) for count in known] if len(known) == len(counts) else []
    order = list(range(len(counts)))
    if len(order) > MOST:
        order = sorted(order, key=lambda index: (counts[index], index))[:MOST]
    x = Scale(0, max([*counts, *expected, 1]), LEFT, WIDTH - RIGHT)
    parts, height = [], TOP + ROW * len(order) + 8
    for place, index in enumerate(order):
        y = TOP + ROW * place
        parts.append(words(LEFT - 8, y + 11, short(class_names[index], 15), "label", "end"))
        parts.append(
            box(LEFT, y + 2, x(counts[index]) - LEFT, ROW - 5, "bar", f"{class_names[index]}: {counts[index]:,}")
        )
        if expected:
            parts.append(stroke(x(expected[index]), y, x(expected[index]), y + ROW - 1, "expected"))
        parts.append(words(x(counts[index]) + 6, y + 11, f"{counts[index]:,}", "tick"))
    least, most = (min(counts, default=0), max(counts, default=0))
    text = f"Training images per class: from {least:,} to {most:,}."
    splits = [split for split in ("train", "validation", "test") if split in facts.counts]
    headers = ("class", *(f"{'training' if split == 'train' else split}>" for split in splits), "share of training>")
    rows = [
        (class_names[index], *(f"{facts.counts[split][index]:,}" for split in splits), percent(counts[index] / total))
        for index in range(len(counts))
    ]
    if expected:
        headers += ("reference>",)
        rows = [(*row, percent(known[index] / (sum(known) or 1))) for index, row in enumerate(rows)]
    note = f"The {len(order)} classes with the fewest images, of {len(counts):,}. " if len(order) < len(counts) else ""
    note += "Vertical line: what the reference's share would be." if expected else ""
    return Figure("Images per class", drawing(WIDTH, height, text, *parts), text, headers, rows, note)


def changes(change: ClassChange, class_names: Sequence[str]) -> Figure:
    """Return the change of recall per class, in percentage points: right and blue is gained, left and red is lost."""
    difference = np.asarray(change.candidate) - np.asarray(change.champion)
    order = list(range(len(difference)))
    if len(order) > MOST:
        order = sorted(np.argsort(-np.abs(difference), kind="stable")[:MOST].tolist(), key=lambda i: difference[i])
    reach = max(float(np.abs(difference).max(initial=0.0)), 1e-4)
    x = Scale(-reach, reach, LEFT + 48, WIDTH - RIGHT)
    parts, height = [], TOP + ROW * len(order) + 8
    for place, index in enumerate(order):
        y, value = TOP + ROW * place, float(difference[index])
        left, right = sorted((x(0), x(value)))
        told = f"{class_names[index]}: {100 * value:+.2f} points"
        parts.append(words(LEFT - 8, y + 11, short(class_names[index], 15), "label", "end"))
        parts.append(box(left, y + 2, right - left, ROW - 5, "gained" if value > 0 else "lost", told))
        beside = (right + 5, None) if value >= 0 else (left - 5, "end")
        parts.append(words(beside[0], y + 11, f"{100 * value:+.2f}" if value else "0", "tick", beside[1]))
    parts.append(stroke(x(0), TOP - 4, x(0), height - 4, "axis"))
    up, down = int((difference > 0).sum()), int((difference < 0).sum())
    text = f"Recall per class against {change.name}: better in {up}, worse in {down} of {len(difference)} classes."
    rows = [
        (
            class_names[index],
            percent(change.champion[index]),
            percent(change.candidate[index]),
            points(difference[index]),
            f"{change.gained[index]:,}",
            f"{change.lost[index]:,}",
        )
        for index in range(len(difference))
    ]
    headers = ("class", "champion>", "candidate>", "change>", "gained>", "lost>")
    note = "Percentage points of recall; right: the candidate is better."
    if len(order) < len(difference):
        note = f"The {len(order)} classes that changed most, of {len(difference):,}. {note}"
    return Figure("Change per class", drawing(WIDTH, height, text, *parts), text, headers, rows, note)
