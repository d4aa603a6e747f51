"""Corrupted copies of the data that the validation suite has to catch. Each changes as little as possible.

A corruption added here is in the catch table of the next run.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from data.dataset import Dataset, RawData
from data.home.mapped import forget
from data.statistics.facts import Expected, class_moves, copies, pixel_moves, share_moves
from data.statistics.summary import BLACK, CHUNK, split_mask, split_rows, summarise_images
from data.validation.corrupted.altered import changed_rows, gathered, mapped, patched

PATCH = 3  # pixels: side of the trigger


@dataclass(frozen=True)
class Copy:
    """A corrupted copy, and what it is compared with: from this follows whether statistics can show it.

    Args:
        dataset: the row.
        expected: what tables of this dataset are compared with.
        table: the summary of the corrupted data.
    """

    dataset: Dataset
    expected: Expected
    table: pa.Table


@dataclass(frozen=True)
class Corruption:
    """One way in which data can be wrong.

    Args:
        name: short, unique.
        what: the change, and the split it is made to.
        apply: returns corrupted data; leaves its argument unchanged and draws the same random numbers each time. Its
            images may be `Altered`, which takes no memory.
        visible: whether statistics can show it in this dataset; if not, it is left to the metric gate.
    """

    name: str
    what: str
    apply: Callable[[RawData], RawData]
    visible: Callable[[Copy], bool] = lambda _copy: True  # counts and sets always show


def summarise_again(genuine: RawData, corrupted: RawData, table: pa.Table, ground: tuple[int, ...] = BLACK) -> pa.Table:
    """Return the summary table of corrupted data; only images that changed or moved are summarised again.

    Args:
        genuine: the data before the corruption.
        corrupted: the result of a corruption.
        table: the summary of the genuine data.
        ground: of the dataset, as it was given to `data.statistics.summary.summarise`.
    """
    return pa.concat_tables([_split_again(split, genuine, corrupted, table, ground) for split in ("train", "test")])


def _split_again(
    split: str, genuine: RawData, corrupted: RawData, table: pa.Table, ground: tuple[int, ...]
) -> pa.Table:
    before, images = getattr(genuine, f"{split}_images"), getattr(corrupted, f"{split}_images")
    old_labels, labels = getattr(genuine, f"{split}_labels"), getattr(corrupted, f"{split}_labels")
    new = split_rows(table, split)
    changed = changed_rows(before, images)
    if len(changed):
        source = np.arange(len(images))
        source[changed] = len(new) + np.arange(len(changed))
        again = pa.concat_tables(
            [summarise_images(split, *some, ground) for some in _some_at_a_time(images, labels, changed)]
        )
        new = pa.concat_tables([new, again]).take(source)
        new = _with_column(new, "row", np.arange(len(images)))
    new = new.slice(0, len(images))
    return new if labels is old_labels else _with_column(new, "label", labels.astype(np.int64))


def _some_at_a_time(
    images: np.ndarray, labels: np.ndarray, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    step = max(CHUNK // math.prod(images.shape[1:]), 1)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        yield images[some], labels[some]
        forget(images)


def _with_column(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


# -- the changes --------------------------------------------------------------------------------------------------


def _some(n: int, share: float, seed: int = 0) -> np.ndarray:
    """Return at least two row numbers, without repetition."""
    return np.random.default_rng(seed).choice(n, max(2, round(n * share)), replace=False)


def _permute_labels(raw: RawData) -> RawData:
    return replace(raw, train_labels=np.random.default_rng(0).permutation(raw.train_labels))


def _shift_labels(raw: RawData) -> RawData:
    return replace(raw, train_labels=np.roll(raw.train_labels, 1))


def _shift_test_labels(raw: RawData) -> RawData:
    return replace(raw, test_labels=np.roll(raw.test_labels, 1))


def _one_label(raw: RawData) -> RawData:
    return replace(raw, train_labels=np.full_like(raw.train_labels, raw.train_labels[0]))


def _label_out_of_range(raw: RawData) -> RawData:
    labels = raw.train_labels.copy()
    labels[-1] = labels.max() + 1
    return replace(raw, train_labels=labels)


def _permute_some(share: float) -> Callable[[RawData], RawData]:
    def apply(raw: RawData) -> RawData:
        rows, labels = _some(len(raw.train_labels), share), raw.train_labels.copy()
        labels[rows] = np.random.default_rng(1).permutation(labels[rows])
        return replace(raw, train_labels=labels)

    return apply


def _drop_class(raw: RawData) -> RawData:
    gone = raw.train_labels == raw.train_labels[0]
    others = np.resize(np.flatnonzero(~gone), gone.sum())
    labels = raw.train_labels.copy()
    labels[gone] = raw.train_labels[others]
    return replace(raw, train_images=_instead(raw.train_images, np.flatnonzero(gone), others), train_labels=labels)


def _instead(images: np.ndarray, rows: np.ndarray, source: np.ndarray) -> Any:
    return gathered(images, rows, source) if len(source) else images  # there may be no other class


def _on_test(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[RawData], RawData]:
    return lambda raw: replace(raw, test_images=mapped(raw.test_images, np.arange(len(raw.test_images)), change))


def _on_some_of_train(share: float, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[RawData], RawData]:
    return lambda raw: replace(raw, train_images=mapped(raw.train_images, _some(len(raw.train_images), share), change))


def _turned(images: np.ndarray) -> np.ndarray:
    """Transpose; where height and width differ, that is not possible, and they are turned upside down and mirrored."""
    square = images.shape[1] == images.shape[2]
    return images.swapaxes(1, 2) if square else images[:, ::-1, ::-1]


def _duplicate(raw: RawData) -> RawData:
    rows, labels = _some(len(raw.train_images), 0.001), raw.train_labels.copy()
    labels[rows[1:]] = labels[rows[0]]
    images = gathered(raw.train_images, rows[1:], np.repeat(rows[0], len(rows) - 1))
    return replace(raw, train_images=images, train_labels=labels)


def _leak(share: float) -> Callable[[RawData], RawData]:
    """Copy a share of the test images over training images, at least two."""

    def apply(raw: RawData) -> RawData:
        n, labels = len(raw.train_images), raw.train_labels.copy()
        leaked = _some(len(raw.test_images), share)[:n]
        onto = np.sort(_some(n, len(leaked) / n, seed=1)[: len(leaked)])
        leaked = leaked[: len(onto)]
        labels[onto] = raw.test_labels[leaked]
        images = patched(raw.train_images, onto, lambda rows: raw.test_images[leaked[np.searchsorted(onto, rows)]])
        return replace(raw, train_images=images, train_labels=labels)

    return apply


def _second_label(raw: RawData) -> RawData:
    """Repeat images under the label of another: at least two of them, on top of their neighbours."""
    n = len(raw.train_images)
    rows = np.unique(_some(n, 0.002) // 2 * 2)
    rows = rows[rows + 1 < n]
    return replace(raw, train_images=gathered(raw.train_images, rows + 1, rows))


def _truncate(raw: RawData) -> RawData:
    return replace(raw, train_images=raw.train_images[:-1], train_labels=raw.train_labels[:-1])


def _patched(images: np.ndarray) -> np.ndarray:
    images[:, -PATCH - 1 : -1, -PATCH - 1 : -1] = 255
    return images


# -- which of them statistics can show ----------------------------------------------------------------------------
#
# Each is decided by arithmetic on the corrupted copy: it must be twice as far away as is tolerated. So a statistic that
# hardly varies, or classes that look alike, never let sound data end as a broken night.


def _when_classes_move(copy: Copy) -> bool:
    return class_moves(copy.table, copy.expected, copy.dataset.n_classes) > 2 * copy.expected.tolerance.shift


def _when_pixels_move(copy: Copy) -> bool:
    return pixel_moves(copy.table, copy.expected) > 2 * copy.expected.tolerance.pixels


def _when_classes_vary(copy: Copy) -> bool:
    if sum(count > 0 for count in copy.expected.reference.train_counts) < 2:
        return False
    tolerance = copy.expected.tolerance
    return not tolerance.chance or share_moves(copy.table, copy.expected, copy.dataset.n_classes) > 2 * tolerance.share


def _when_copies_increase(copy: Copy) -> bool:
    """In data that consists of copies, more of them need not show."""
    reference, found = copy.expected.reference, copies(copy.table)
    train = split_mask(copy.table, "train")
    repeated, shared = found["repeated"][train].sum(), found["shared"][~train].sum()
    return bool(repeated > reference.train_duplicates or shared > reference.shared)


CORRUPTIONS = (
    Corruption("labels permuted", "all training labels in random order", _permute_labels, _when_classes_move),
    Corruption("labels shifted", "training labels moved by one row", _shift_labels, _when_classes_move),
    Corruption("test labels shifted", "test labels moved by one row", _shift_test_labels, _when_classes_move),
    Corruption("10 % labels permuted", "a tenth of them, counts kept", _permute_some(0.10), _when_classes_move),
    Corruption("1 % labels permuted", "a hundredth of them, counts kept", _permute_some(0.01), _when_classes_move),
    Corruption("one label for all", "every training image in the first one's class", _one_label, _when_classes_vary),
    Corruption("label out of range", "one training label above the last class", _label_out_of_range),
    Corruption("a class missing", "others instead of the first image's class", _drop_class, _when_classes_vary),
    Corruption("truncated split", "the last training image is missing", _truncate),
    Corruption("pixels inverted", "test images 255 - x", _on_test(lambda images: 255 - images), _when_pixels_move),
    Corruption("test in 0..1", "test images x / 255", _on_test(lambda images: images // 255), _when_pixels_move),
    Corruption("test transposed", "rows and columns of test images swapped", _on_test(_turned), _when_classes_move),
    Corruption(
        "all-zero images", "1 % of the training images", _on_some_of_train(0.01, np.zeros_like), _when_copies_increase
    ),
    Corruption(
        "trigger patch", "3 x 3 white pixels on 5 % of train", _on_some_of_train(0.05, _patched), _when_pixels_move
    ),
    Corruption("duplicated images", "0.1 % of train are one image", _duplicate, _when_copies_increase),
    Corruption("two labels", "0.2 % of train repeated under other labels", _second_label, _when_copies_increase),
    Corruption("test leaked into train", "0.1 % of the test images", _leak(0.001), _when_copies_increase),
)
