"""The Parquet file of predictions that is stored with a model; it opens without Keras."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import Corrupt


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for every image of a split, in the split's order.

    Args:
        rows: int64 (n,), row of the image in its source file.
        labels: int64 (n,), the true classes.
        probabilities: float32 (n, c), one row per image.
    """

    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """int64 (n,), the most probable class; on a tie the lower one."""
        return np.asarray(np.argmax(self.probabilities, axis=1), np.int64)


def write(path: Path, predictions: Predictions) -> None:
    """Write row, label, predicted and probabilities (fixed-size list of float32), with page checksums."""
    n_classes = predictions.probabilities.shape[1]
    flat = pa.array(predictions.probabilities.astype(np.float32).reshape(-1))
    columns = {
        "row": pa.array(predictions.rows),
        "label": pa.array(predictions.labels),
        "predicted": pa.array(predictions.predicted),
        "probabilities": pa.FixedSizeListArray.from_arrays(flat, n_classes),
    }
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    table = pa.table(list(columns.values()), schema=pa.schema(fields))
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read(path: Path) -> Predictions:
    """Read what `write` wrote.

    Raises:
        Corrupt: the file is missing, damaged, or has other columns.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True).combine_chunks()
        listed = table["probabilities"].combine_chunks()
        n_classes = listed.type.list_size
        return Predictions(
            rows=table["row"].to_numpy(),
            labels=table["label"].to_numpy(),
            probabilities=listed.flatten().to_numpy().reshape(-1, n_classes),
        )
    except (OSError, pa.ArrowException, KeyError, AttributeError) as error:
        raise Corrupt(f"{path} is not a readable file of predictions ({error})", "evaluate the model again") from error
