from pathlib import Path

import duckdb
import numpy as np
import pytest

from artifacts.models.predictions import Predictions, read, write
from data.errors import Corrupt


@pytest.fixture
def predictions() -> Predictions:
    """The predictions of a model of three classes for four images."""
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 4).astype(np.float32)
    return Predictions(np.array([3, 1, 4, 1]), np.array([0, 1, 2, 2]), probabilities)


def test_predictions_come_back(tmp_path: Path, predictions: Predictions) -> None:
    """Rows, labels and probabilities are read back bit by bit, with their types."""
    write(tmp_path / "predictions.parquet", predictions)
    back = read(tmp_path / "predictions.parquet")
    for name in ("rows", "labels", "probabilities", "predicted"):
        there, here = getattr(predictions, name), getattr(back, name)
        assert here.dtype == there.dtype
        assert (here == there).all()


def test_others_can_read_them(tmp_path: Path, predictions: Predictions) -> None:
    """Another Parquet reader finds one row per image, with the predicted class beside the truth."""
    path = tmp_path / "predictions.parquet"
    write(path, predictions)
    found = duckdb.sql(f"select row, label, predicted, len(probabilities) from '{path}'").fetchall()
    expected = zip(predictions.rows, predictions.labels, predictions.probabilities.argmax(axis=1), [3] * 4, strict=True)
    assert found == [tuple(map(int, row)) for row in expected]


def test_a_tie_goes_to_the_lower_class() -> None:
    """Two equally probable classes are resolved in the same way everywhere."""
    assert Predictions(np.array([0]), np.array([0]), np.float32([[0.2, 0.4, 0.4]])).predicted.tolist() == [1]


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "foreign"])
def test_damage_is_noticed(tmp_path: Path, predictions: Predictions, damage: str) -> None:
    """A file that is gone, cut short, changed in one bit, or something else is refused."""
    path = tmp_path / "predictions.parquet"
    write(path, predictions)
    content = bytearray(path.read_bytes())
    content[20] ^= 1  # inside the first page, behind its header
    replacements = {"truncated": content[:-50], "flipped": content, "foreign": b"PAR1 but not really"}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes(replacements[damage]))
    with pytest.raises(Corrupt, match="evaluate the model again"):
        read(path)
