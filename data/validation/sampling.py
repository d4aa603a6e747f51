"""A sample of a large dataset on which the suites are tested: that they catch damage does not take every image."""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa

from data.dataset import Dataset, RawData
from data.home.mapped import forget
from data.statistics.summary import reference_of, split_rows
from data.validation.altered import Images

WHOLE = 100_000  # images: up to here all of them are used
MOST = {"train": 60_000, "test": 10_000}  # of each split; as many as MNIST has


@dataclass(frozen=True)
class Chosen:
    """Some of the images of a base, read when they are asked for.

    Args:
        base: images, of shape (n, height, width) or (n, height, width, 3).
        rows: int64: which of them, in which order.
    """

    base: Images
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """That of an array of these images."""
        return (len(self.rows), *self.base.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the base."""
        return cast(np.dtype[Any], self.base.dtype)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, wanted: Any) -> Any:
        if isinstance(wanted, slice):
            return Chosen(self.base, self.rows[wanted])
        return np.asarray(self.base[self.rows[wanted]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = np.asarray(self.base[self.rows]).astype(dtype or self.dtype, copy=False)
        forget(self.base)
        return found


def sample_of(dataset: Dataset, raw: RawData, table: pa.Table) -> tuple[Dataset, RawData, pa.Table]:
    """Return some of the images of a large dataset as a dataset of its own, whose statistics are pinned if its were.

    Args:
        dataset: the row.
        raw: its images and labels.
        table: its summary.

    Returns:
        The row, its images and their summary. Of more than `WHOLE` images at most `MOST` of each split, always the same
        ones, drawn at random; what was given, where there are no more.
    """
    sizes = {"train": len(raw.train_images), "test": len(raw.test_images)}
    if sum(sizes.values()) <= WHOLE:
        return dataset, raw, table
    rows = {split: _drawn(n, MOST[split]) for split, n in sizes.items()}
    some = RawData(
        Chosen(raw.train_images, rows["train"]),  # type: ignore[arg-type]
        raw.train_labels[rows["train"]],
        Chosen(raw.test_images, rows["test"]),  # type: ignore[arg-type]
        raw.test_labels[rows["test"]],
    )
    summary = pa.concat_tables([_taken(table, split, rows[split]) for split in rows]).combine_chunks()
    row = replace(dataset, n_train=len(rows["train"]), n_test=len(rows["test"]))
    return (row if dataset.reference is None else replace(row, reference=_pinned(row, summary))), some, summary


def _pinned(row: Dataset, summary: pa.Table) -> Any:
    return reference_of(summary, row.n_classes)


def _drawn(n: int, most: int) -> np.ndarray:
    """Return row numbers, ascending, each once."""
    return np.sort(np.random.default_rng(0).choice(n, min(n, most), replace=False))


def _taken(table: pa.Table, split: str, rows: np.ndarray) -> pa.Table:
    """Return some rows of one split, with new numbers."""
    some = split_rows(table, split).take(pa.array(rows))
    return some.set_column(some.schema.get_field_index("row"), "row", pa.array(np.arange(len(rows))))
