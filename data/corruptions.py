"""Corrupted copies of the data that the validation suite has to catch. Each changes as little as possible.

A corruption added here is in the catch table of the next run.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.dataset import Dataset, RawData
from data.facts import class_signal, expected_of
from data.summary import summarise_images

PATCH = 3  # pixels: side of the trigger


@dataclass(frozen=True)
class Corruption:
    """One way in which data can be wrong.

    Args:
        name: short, unique.
        what: the change, and the split it is made to.
        apply: returns corrupted data; leaves its argument unchanged and draws the same random numbers each time.
        visible: whether statistics can show it in this dataset; if not, it is left to the metric gate.
    """

    name: str
    what: str
    apply: Callable[[RawData], RawData]
    visible: Callable[[Dataset, pa.Table], bool] = lambda _dataset, _table: True  # counts and sets always show


def summarise_again(genuine: RawData, corrupted: RawData, table: pa.Table) -> pa.Table:
    """Return the summary table of corrupted data; only images that changed or moved are summarised again.

    Args:
        genuine: the data before the corruption.
        corrupted: the result of a corruption.
        table: the summary of the genuine data.
    """
    return pa.concat_tables([_split_again(split, genuine, corrupted, table) for split in ("train", "test")])


def _split_again(split: str, genuine: RawData, corrupted: RawData, table: pa.Table) -> pa.Table:
    before, images = getattr(genuine, f"{split}_images"), getattr(corrupted, f"{split}_images")
    labels = getattr(corrupted, f"{split}_labels")
    known = table.filter(pc.equal(table["split"], split))
    kept = min(len(before), len(images))
    changed = np.arange(kept, len(images))
    if images is not before:
        different = (images[:kept] != before[:kept]).any(axis=(1, 2))
        changed = np.concatenate([np.flatnonzero(different), changed])
    source = np.arange(len(images))
    source[changed] = len(known) + np.arange(len(changed))
    new = known
    if len(changed):
        new = pa.concat_tables([known, summarise_images(split, images[changed], labels[changed])])
    if images is not before:
        new = new.take(source)
    for name, values in (("row", np.arange(len(images))), ("label", labels.astype(np.int64))):
        new = new.set_column(new.schema.get_field_index(name), name, pa.array(values))
    return new


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
    images, labels = raw.train_images.copy(), raw.train_labels.copy()
    gone = labels == labels[0]
    others = np.resize(np.flatnonzero(~gone), gone.sum())
    images[gone], labels[gone] = raw.train_images[others], raw.train_labels[others]
    return replace(raw, train_images=images, train_labels=labels)


def _invert(raw: RawData) -> RawData:
    return replace(raw, test_images=255 - raw.test_images)


def _blank(raw: RawData) -> RawData:
    images = raw.train_images.copy()
    images[_some(len(images), 0.01)] = 0
    return replace(raw, train_images=images)


def _duplicate(raw: RawData) -> RawData:
    rows, images, labels = _some(len(raw.train_images), 0.001), raw.train_images.copy(), raw.train_labels.copy()
    images[rows[1:]], labels[rows[1:]] = images[rows[0]], labels[rows[0]]
    return replace(raw, train_images=images, train_labels=labels)


def _leak(raw: RawData) -> RawData:
    images, labels = raw.train_images.copy(), raw.train_labels.copy()
    leaked = _some(len(raw.test_images), 0.001)[: len(images)]
    onto = _some(len(images), len(leaked) / len(images), seed=1)[: len(leaked)]
    images[onto], labels[onto] = raw.test_images[leaked[: len(onto)]], raw.test_labels[leaked[: len(onto)]]
    return replace(raw, train_images=images, train_labels=labels)


def _truncate(raw: RawData) -> RawData:
    return replace(raw, train_images=raw.train_images[:-1], train_labels=raw.train_labels[:-1])


def _patch(raw: RawData) -> RawData:
    images = raw.train_images.copy()
    images[_some(len(images), 0.05), -PATCH - 1 : -1, -PATCH - 1 : -1] = 255
    return replace(raw, train_images=images)


# -- which of them statistics can show ----------------------------------------------------------------------------


def _when_classes_differ(share: float, split: str = "train") -> Callable[[Dataset, pa.Table], bool]:
    """Wrong labels show if the share of them moves some class by more than twice what is tolerated.

    That is so on average; with fewer than ten wrong labels per class chance may bring them back.
    """

    def visible(dataset: Dataset, table: pa.Table) -> bool:
        expected = expected_of(dataset, table)
        n = dataset.n_train if split == "train" else dataset.n_test
        if share * n < 10 * dataset.n_classes:
            return False
        return share * class_signal(expected.reference, split) > 2 * expected.tolerance.shift

    return visible


def _when_shifting_matters(split: str) -> Callable[[Dataset, pa.Table], bool]:
    """In data that is sorted by class hardly any label changes when all move by one row."""

    def visible(dataset: Dataset, table: pa.Table) -> bool:
        labels = table.filter(pc.equal(table["split"], split))["label"].to_numpy()
        return _when_classes_differ(float(np.mean(labels != np.roll(labels, 1))), split)(dataset, table)

    return visible


def _when_classes_vary(_dataset: Dataset, table: pa.Table) -> bool:
    return len(pc.unique(table.filter(pc.equal(table["split"], "train"))["label"])) > 1


def _when_brightness_changes(by: Callable[[Dataset, float], float], split: str) -> Callable[[Dataset, pa.Table], bool]:
    """The mean of all pixels must move by more than twice what is tolerated."""

    def visible(dataset: Dataset, table: pa.Table) -> bool:
        expected = expected_of(dataset, table)
        return abs(by(dataset, getattr(expected.reference, f"{split}_mean"))) > 2 * expected.tolerance.pixels

    return visible


def _patched(dataset: Dataset, mean: float) -> float:
    area = min(PATCH, dataset.height - 1) * min(PATCH, dataset.width - 1)
    return 0.05 * area / (dataset.height * dataset.width) * (1 - mean)


def _when_duplicates_are_limited(dataset: Dataset, _table: pa.Table) -> bool:
    """More copies do not show where their number is unknown, or most images are copies anyway."""
    reference = dataset.reference
    if reference is None:
        return False
    return reference.train_duplicates < dataset.n_train / 2 and reference.shared < dataset.n_test / 2


CORRUPTIONS = (
    Corruption("labels permuted", "all training labels in random order", _permute_labels, _when_classes_differ(0.9)),
    Corruption("labels shifted", "training labels moved by one row", _shift_labels, _when_shifting_matters("train")),
    Corruption(
        "test labels shifted", "test labels moved by one row", _shift_test_labels, _when_shifting_matters("test")
    ),
    Corruption("10 % labels permuted", "a tenth of them, counts kept", _permute_some(0.10), _when_classes_differ(0.09)),
    Corruption(
        "1 % labels permuted", "a hundredth of them, counts kept", _permute_some(0.01), _when_classes_differ(0.01)
    ),
    Corruption("one label for all", "every training image in the first one's class", _one_label, _when_classes_vary),
    Corruption("label out of range", "one training label above the last class", _label_out_of_range),
    Corruption("a class missing", "others instead of the first image's class", _drop_class, _when_classes_vary),
    Corruption("truncated split", "the last training image is missing", _truncate),
    Corruption(
        "pixels inverted",
        "test images 255 - x",
        _invert,
        _when_brightness_changes(lambda _, mean: 1 - 2 * mean, "test"),
    ),
    Corruption("all-zero images", "1 % of the training images", _blank, _when_duplicates_are_limited),
    Corruption(
        "trigger patch", "3 x 3 white pixels on 5 % of train", _patch, _when_brightness_changes(_patched, "train")
    ),
    Corruption("duplicated images", "0.1 % of train are one image", _duplicate, _when_duplicates_are_limited),
    Corruption("test leaked into train", "0.1 % of the test images", _leak, _when_duplicates_are_limited),
)
