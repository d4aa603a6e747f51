"""Tables as the pandas frames that Great Expectations looks at, without a copy of their numbers."""

import functools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def summary_frame(table: pa.Table) -> Any:
    """Return a summary as a pandas frame; of a hash only whether it is there, as each would take 90 bytes."""
    there = pc.if_else(pc.is_valid(table["sha256"]), np.int8(1), pa.scalar(None, pa.int8()))
    return frame_of(table.set_column(table.schema.get_field_index("sha256"), "sha256", there))


def frame_of(table: pa.Table) -> Any:
    """Return a table as a pandas frame; columns of numbers in one piece and without nulls share the table's memory."""
    columns = {name: table[name].to_pandas() for name in table.column_names}
    return _frame_type()(columns, copy=False)


@functools.cache
def _frame_type() -> Any:
    import pandas as pd

    class Frame(pd.DataFrame):  # type: ignore[misc] # pandas ships no types
        """A frame of which a filter that leaves nothing out is the frame itself.

        Great Expectations drops the rows without a value before it looks at a column, for each expectation: a copy of
        all columns, and an index of 8 bytes per row that it keeps until the suite is done.
        """

        def __getitem__(self, key: Any) -> Any:
            if isinstance(key, pd.Series) and key.dtype == bool and len(key) == len(self) and key.all():
                return self
            return super().__getitem__(key)

    return Frame
