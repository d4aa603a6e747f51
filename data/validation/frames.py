"""Tables as the pandas frames that Great Expectations looks at, without a copy of their numbers."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def summary_frame(table: pa.Table) -> Any:
    """Return a summary as a pandas frame; of a hash only whether it is there, as each would take 90 bytes."""
    there = np.where(pc.is_valid(table["sha256"]).to_numpy(), 1.0, np.nan)
    return frame_of(table.set_column(table.schema.get_field_index("sha256"), "sha256", pa.array(there)))


def frame_of(table: pa.Table) -> Any:
    """Return a table as a pandas frame."""
    return table.to_pandas()
