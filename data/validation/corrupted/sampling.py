"""A sample of a large dataset on which the suites are tested: that they catch damage does not take every image."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.dataset import Dataset, RawData, Reference
from data.home.mapped import forget, on_disk
from data.statistics.summary import reference_of, split_rows

WHOLE = 100_000  # images: up to here all of them are used
MOST = {"train": 60_000, "test": 10_000}  # of each split; as many as MNIST has
MOST_BYTES = 1 << 30  # of pixels: of larger images there are fewer
AT_ONCE = 512  # images gathered at a time: each brings 64 KB of its file into memory


def sample_of(
    dataset: Dataset, raw: RawData, table: pa.Table, scratch: Path | None = None
) -> tuple[Dataset, RawData, pa.Table]:
    """Return some of the images of a large dataset as a dataset of its own, whose statistics are pinned if its were.

    Args:
        dataset: the row.
        raw: its images and labels.
        table: its summary.
        scratch: a folder; with it the sample's images lie in files there, without a name, and not in memory.

    Returns:
        The row, its images and their summary. Of more than `WHOLE` images at most `MOST` of each split, always the same
        ones, drawn at random; what was given, where there are no more.

    Raises:
        OSError: the files cannot be written.
    """
    if len(raw.train_images) + len(raw.test_images) <= WHOLE:
        return dataset, raw, table
    size = sum(MOST.values()) * math.prod(raw.train_images.shape[1:])
    share = min(MOST_BYTES / max(size, 1), 1)
    train, test = (
        _drawn(len(images), int(MOST[split] * share))
        for split, images in (("train", raw.train_images), ("test", raw.test_images))
    )
    some = RawData(
        _gathered(raw.train_images, train, scratch),
        raw.train_labels[train],
        _gathered(raw.test_images, test, scratch),
        raw.test_labels[test],
    )
    summary = pa.concat_tables([_taken(table, "train", train), _taken(table, "test", test)]).combine_chunks()
    row = replace(dataset, n_train=len(train), n_test=len(test))
    return (row if dataset.reference is None else replace(row, reference=_pinned(row, summary))), some, summary


def _pinned(row: Dataset, summary: pa.Table) -> Reference:
    return reference_of(summary, row.n_classes)


def _drawn(n: int, most: int) -> np.ndarray:
    """Return row numbers, ascending, each once."""
    return np.sort(np.random.default_rng(0).choice(n, min(n, most), replace=False))


def _gathered(images: np.ndarray, rows: np.ndarray, scratch: Path | None) -> np.ndarray:
    shape = (len(rows), *images.shape[1:])
    found = np.empty(shape, np.uint8) if scratch is None else on_disk(scratch, shape, np.uint8)
    for start in range(0, len(rows), AT_ONCE):
        found[start : start + AT_ONCE] = images[rows[start : start + AT_ONCE]]
        forget(images)
        forget(found)
    return found


def _taken(table: pa.Table, split: str, rows: np.ndarray) -> pa.Table:
    """Return some rows of one split, with new numbers."""
    some = split_rows(table, split).take(pa.array(rows))
    return some.set_column(some.schema.get_field_index("row"), "row", pa.array(np.arange(len(rows))))
