"""From prepared Parquet files to a model file."""

import json
from pathlib import Path

import numpy as np
import pytest

from artifacts.models import loading
from artifacts.models.saving import save
from artifacts.recipes.candidate import Candidate
from artifacts.training.fit import fit
from artifacts.training.train import TrainingResult, train
from data.home.files import file_sha256
from data.home.store import Store
from data.prepared.parquet import read_split
from tests.artifacts.small import info, prepare

pytestmark = pytest.mark.slow


def test_raw_images_and_parquet_rows_agree(store: Store, tmp_path: Path) -> None:
    """Raw bytes through the saved file and Parquet rows through the trained network give the same probabilities."""
    ref = prepare(store)
    rows, held_out = read_split(store, ref, "train"), read_split(store, ref, "validation")
    trained = fit(rows, held_out, info(rows, n_classes=10), Candidate.parse("cnn:epochs=1"))
    save(trained.model, tmp_path / "model.keras")
    model = loading.load(tmp_path / "model.keras", file_sha256(tmp_path / "model.keras"))
    predicted = loading.predict(model, loading.raw_pixels(held_out.images))
    logits = trained.model.predict(held_out.images, verbose=0).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)
    assert predicted.dtype == np.float32


def test_train_writes_model_history_and_result(store: Store, tmp_path: Path) -> None:
    """From prepared data by reference: the model, its history and the result, each readable and in agreement."""
    ref = prepare(store)
    folder = tmp_path / "candidate"
    folder.mkdir()
    result = train(store, ref, Candidate.parse("tiny:epochs=2,seed=1"), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["history.json", "model.keras", "training.json"]
    assert TrainingResult.from_json(json.loads((folder / "training.json").read_bytes())) == result
    assert len(json.loads((folder / "history.json").read_bytes())) == result.epochs == 2
    assert result.model_sha256 == file_sha256(folder / "model.keras")
    assert result.seed == 1
    assert result.parameters == {"hidden": 32, "epochs": 2, "learning_rate": 0.005}
    assert result.n_parameters == 784 * 32 + 32 + 32 * 10 + 10
    assert result.n_train + result.n_validation == 2000
    assert result.jit.startswith("xla:")
    assert result.precision.startswith("float32:")


def test_what_does_not_fit_into_memory_is_streamed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With little memory allowed, training and validation read chunks; every image is seen, and the result repeats."""
    ref = prepare(store)
    monkeypatch.setattr("artifacts.training.train.IN_MEMORY_BYTES", 100_000)
    monkeypatch.setattr("artifacts.training.train.CHUNK_BYTES", 784 * 4 * 500)
    results = []
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        results.append(train(store, ref, Candidate.parse("tiny:epochs=3"), tmp_path / name))
    assert results[0].weights_digest == results[1].weights_digest
    assert results[0].n_train + results[0].n_validation == 2000
    assert results[0].history[-1].val_accuracy > 0.7
