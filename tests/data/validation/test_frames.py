"""Frames are what Arrow's own conversion gives, without a copy."""

import numpy as np
import pandas as pd
import pyarrow as pa

from data.validation.frames import frame_of, summary_frame

TABLE = pa.table(
    {
        "split": ["train", "train", "test"],
        "row": np.arange(3),
        "mean": np.array([0.1, np.nan, 0.3]),
        "sha256": pa.array([b"a" * 32, None, b"c" * 32], pa.binary(32)),
    }
)


def test_a_frame_holds_the_values_of_the_table() -> None:
    """Texts, whole numbers, fractions and gaps are those of pyarrow's conversion."""
    pd.testing.assert_frame_equal(pd.DataFrame(frame_of(TABLE)), TABLE.to_pandas())


def test_numbers_are_not_copied() -> None:
    """A frame of two million rows takes no memory for its numbers."""
    assert np.shares_memory(frame_of(TABLE)["mean"].to_numpy(), TABLE["mean"].chunk(0).to_numpy(zero_copy_only=False))


def test_of_a_hash_only_whether_it_is_there_is_kept() -> None:
    """A hash that is missing is missing, and no other is."""
    assert summary_frame(TABLE)["sha256"].isna().tolist() == [False, True, False]


def test_a_filter_that_leaves_nothing_out_is_no_copy() -> None:
    """Others leave out what they should, and columns are columns."""
    frame = frame_of(TABLE)
    assert frame[frame["row"].notnull()] is frame
    assert frame[frame["mean"].notnull()]["row"].tolist() == [0, 2]
    assert frame["split"].tolist() == ["train", "train", "test"]
    assert frame[["row", "mean"]].shape == (3, 2)
