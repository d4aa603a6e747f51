"""Splits and classes of a summary table, measured and expected: the numbers that expectations bound."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from data.dataset import Dataset, Reference
from data.statistics import chance
from data.statistics.copies import find_copies
from data.statistics.summary import digests_of, numeric, reference_of, split_mask, split_rows

SPLITS = ("train", "test")
SIGMAS_IN_BAND = 6  # from the 0.1 % to the 99.9 % quantile; of a normal distribution it would be 6.2
FLAT = 1e-4  # of [0, 1], or of a pixel: a statistic whose band is narrower hardly varies, and tells nothing of a class


@dataclass(frozen=True)
class Tolerance:
    """How far data may be from what is known of it.

    Args:
        share: of a class in its split, relative.
        pixels: of the mean and of the mean square of all pixels, which lie in [0, 1].
        outside: share of a split's images that may lie outside a band, which leaves out 0.002 of the genuine ones.
        shift: of a class's mean statistics, in standard deviations of one image.
        chance: whether what chance explains is tolerated in addition: see `data.statistics.chance`.
    """

    share: float
    pixels: float
    outside: float
    shift: float
    chance: bool = False


# Genuine files meet all of these exactly. Random labels move the mean of MNIST's most distinct class by 0.15 standard
# deviations if there are 10 % of them, and by 0.015 if there is 1 %.
PINNED = Tolerance(share=0.02, pixels=1e-4, outside=0.005, shift=0.05)
# Train and test of MNIST and of Fashion-MNIST differ by a third of this at most (docs/decisions/0003-validation.md).
OTHER_SPLIT = Tolerance(share=0.2, pixels=0.05, outside=0.1, shift=0.5)


@dataclass(frozen=True)
class Expected:
    """What a dataset's summary table is compared with.

    Args:
        reference: the pinned statistics; without any, each split's are those of the other split.
        tolerance: how far from them is still right.
        pinned: whether the statistics were pinned.
    """

    reference: Reference
    tolerance: Tolerance
    pinned: bool


def expected_of(dataset: Dataset, table: pa.Table) -> Expected:
    """Return what this table is compared with.

    Without a pinned reference the two splits are compared with each other: a change to one of them shows, the
    same change to both does not. In data that grows no image occurs twice, and the splits may differ by chance.
    """
    if dataset.reference is not None:
        return Expected(dataset.reference, PINNED, pinned=True)
    found, grows = reference_of(table, dataset.n_classes), dataset.growth is not None
    swapped = Reference(
        train_counts=found.test_counts,
        test_counts=found.train_counts,
        train_mean=found.test_mean,
        train_std=found.test_std,
        test_mean=found.train_mean,
        test_std=found.train_std,
        train_duplicates=0 if grows else dataset.n_train,
        test_duplicates=0 if grows else dataset.n_test,
        shared=0 if grows else dataset.n_test,
        train_bands=found.test_bands,
        test_bands=found.train_bands,
        train_classes=found.test_classes,
        test_classes=found.train_classes,
    )
    return Expected(swapped, _by_chance(table) if grows else OTHER_SPLIT, pinned=False)


def _by_chance(table: pa.Table) -> Tolerance:
    return replace(
        OTHER_SPLIT,
        pixels=OTHER_SPLIT.pixels + chance.of_pixels(table),
        outside=min(OTHER_SPLIT.outside + chance.of_bands(table), 1.0),
        chance=True,
    )


def copies(table: pa.Table) -> dict[str, np.ndarray]:
    """Return which images of a summary occur more than once: see `data.statistics.copies.find_copies`."""
    return find_copies(digests_of(table), split_mask(table, "train"), table["label"].to_numpy())


def of_images(table: pa.Table) -> dict[str, pa.Table]:
    """Return the rows of each split with columns that depend on all rows.

    Added columns: `repeated` (1 if the same pixels occur more than once in the split), `shared` (1 if they occur in the
    other split, too), `square` (mean of the squared pixels). The hashes are left out.
    """
    found = copies(table)
    square = table["std"].to_numpy() ** 2 + table["mean"].to_numpy() ** 2
    table = table.drop_columns(["sha256"])
    for name in ("repeated", "shared"):
        table = table.append_column(name, pa.array(found[name].view(np.uint8)))
    table = table.append_column("square", pa.array(square))
    return {split: split_rows(table, split) for split in SPLITS}


def of_classes(table: pa.Table, expected: Expected, n_classes: int) -> pa.Table:
    """Return one row per split and class.

    Columns: split, label, images (their number), share (relative deviation of the class's share from the expected one),
    and for each numeric column of the summary table the deviation of the class's mean from the expected one, in
    standard deviations of one image; 0 for a column that hardly varies.
    """
    return pa.concat_tables([_classes(split, split_rows(table, split), expected, n_classes) for split in SPLITS])


def _classes(split: str, part: pa.Table, expected: Expected, n_classes: int) -> pa.Table:
    labels, reference = part["label"].to_numpy(), expected.reference
    images = np.bincount(labels, minlength=n_classes)
    counts = np.array(getattr(reference, f"{split}_counts"))
    bands, classes = getattr(reference, f"{split}_bands"), getattr(reference, f"{split}_classes")
    shares, by_chance = images / images.sum() - counts / counts.sum(), expected.tolerance.chance
    if by_chance:
        shares = chance.beyond(shares, chance.of_shares(images, counts))
    columns = {
        "split": np.full(n_classes, split),
        "label": np.arange(n_classes),
        "images": images,
        "share": shares / np.maximum(counts, 1) * counts.sum(),
    }
    for name in numeric(part):
        _, low, high = bands[name]
        found = np.bincount(labels, part[name].to_numpy(), n_classes) / np.maximum(images, 1)
        # a class without images has no mean: that it is missing shows in its share
        compared = (images > 0) & (counts > 0) & (high - low > FLAT)
        moved = np.where(compared, found - np.array(classes[name]), 0) / max(high - low, FLAT) * SIGMAS_IN_BAND
        if by_chance:
            spread = chance.spread(part[name].to_numpy(), high - low, int(counts.sum()))
            moved = np.where(compared, found - np.array(classes[name]), 0) / max(spread, FLAT / SIGMAS_IN_BAND)
            moved = chance.beyond(moved, chance.of_means(images, counts))
        columns[name] = moved
    return pa.table(columns)


def class_moves(table: pa.Table, expected: Expected, n_classes: int) -> float:
    """Return how far the class that moved furthest is from the expected one, in standard deviations of one image."""
    found = of_classes(table, expected, n_classes)
    return max(float(np.abs(found[name].to_numpy()).max()) for name in numeric(table))


def share_moves(table: pa.Table, expected: Expected, n_classes: int) -> float:
    """Return how far the share of the class that gained or lost most is from the expected one, relative to that."""
    return float(np.abs(of_classes(table, expected, n_classes)["share"].to_numpy()).max())


def pixel_moves(table: pa.Table, expected: Expected) -> float:
    """Return how far the mean of all pixels, or of their squares, is from the expected one in either split."""
    moves = [0.0]
    for split in SPLITS:
        part = split_rows(table, split)
        mean, std = getattr(expected.reference, f"{split}_mean"), getattr(expected.reference, f"{split}_std")
        means, squares = part["mean"].to_numpy(), part["std"].to_numpy() ** 2 + part["mean"].to_numpy() ** 2
        moves += [abs(means.mean() - mean), abs(squares.mean() - mean**2 - std**2)]
    return float(max(moves))
