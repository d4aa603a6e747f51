import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.evaluation.evaluate import Evaluation, evaluate
from artifacts.evaluation.metrics import measure
from artifacts.models import predictions
from artifacts.models.loading import load, predict, raw_pixels
from artifacts.models.saving import serving_model
from artifacts.recipes.candidate import Candidate
from artifacts.training.fit import fit
from artifacts.training.train import train
from data.errors import BadInput, Corrupt
from data.home.files import file_sha256
from data.home.store import Store
from data.prepared.parquet import describe, read_split
from tests.artifacts.small import blobs, info, prepare


@pytest.fixture(scope="module")
def model() -> Any:
    """The tiny recipe on images of 12 by 10, as it would be saved."""
    examples = blobs(200)
    return serving_model(fit(examples, examples, info(examples), Candidate.parse("tiny:epochs=1")).model)


@pytest.fixture
def saved(model: Any, tmp_path: Path) -> Path:
    """That model as a file."""
    path = tmp_path / "model.keras"
    model.save(path)
    return path


def test_every_test_image_is_scored(store: Store, tmp_path: Path) -> None:
    """Evaluation writes one prediction per image of each split and the figures that follow from them."""
    ref = prepare(store)
    train(store, ref, Candidate.parse("tiny:epochs=2"), tmp_path)
    evaluation = evaluate(store, ref, tmp_path)
    assert Evaluation.from_json(json.loads((tmp_path / "metrics.json").read_bytes())) == evaluation
    for name, metrics in (("validation", evaluation.validation), ("test", evaluation.test)):
        split = read_split(store, ref, name)
        said = predictions.read(tmp_path / f"predictions-{name}.parquet")
        assert metrics.n_examples == len(split.labels) == len(said.labels)
        assert (said.rows == split.rows).all()
        assert measure(split.labels, said.probabilities) == metrics
        assert evaluation.splits[name] == describe(store, ref)["splits"][name]["digest"]
    assert evaluation.test.n_examples == 500
    assert evaluation.test.accuracy > 0.5


@pytest.mark.fault("F-26", "F-36")
def test_a_model_that_was_changed_is_not_scored(store: Store, tmp_path: Path) -> None:
    """A model file that is not the one that training recorded stops the evaluation, and nothing is written."""
    ref = prepare(store)
    train(store, ref, Candidate.parse("tiny:epochs=1"), tmp_path)
    (tmp_path / "model.keras").write_bytes((tmp_path / "model.keras").read_bytes() + b"\0")
    with pytest.raises(Corrupt, match="changed after it was written"):
        evaluate(store, ref, tmp_path)
    assert not list(tmp_path.glob("predictions-*"))


@pytest.mark.parametrize("n", [0, 1, 999, 1003])
def test_prediction_never_drops_an_image(model: Any, n: int) -> None:
    """However many images come, as many rows of probabilities go, each what the image gives alone."""
    images = raw_pixels(blobs(max(n, 1)).images)[:n]
    said = predict(model, images)
    assert said.shape == (n, 3)
    assert said.dtype == np.float32
    for index in {0, n - 1} if n else ():
        np.testing.assert_allclose(said[index], np.asarray(model(images[index : index + 1]))[0], atol=1e-6)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 12, 11), np.uint8),
        np.zeros((2, 12, 10), np.float32),
        np.zeros((12, 10), np.uint8),
        np.zeros((2, 12, 10, 1), np.uint8),
    ],
)
def test_other_images_are_refused(model: Any, images: np.ndarray) -> None:
    """An image of another size, type or rank is refused with what was expected, not resized or reinterpreted."""
    with pytest.raises(BadInput, match=r"expected images uint8 \(n, 12, 10\)"):
        predict(model, images)


def test_bytes_come_back_from_what_they_were_scaled_to() -> None:
    """Scaling to [0, 1] loses nothing: all 256 values come back."""
    pixels = np.arange(256, dtype=np.uint8)[None, None]
    assert (raw_pixels(pixels / np.float32(255)) == pixels).all()


def test_the_hash_comes_first(saved: Path) -> None:
    """A file with another hash is refused before Keras sees it, also when Keras could not have read it."""
    assert load(saved, file_sha256(saved)).output_shape == (None, 3)
    with pytest.raises(Corrupt, match="expected SHA-256 000000000000"):
        load(saved, "0" * 64)
    saved.write_bytes(b"no zip file")
    with pytest.raises(Corrupt, match="expected SHA-256 000000000000"):
        load(saved, "0" * 64)
    with pytest.raises(Corrupt, match="is not a model file"):
        load(saved, file_sha256(saved))
    saved.unlink()
    with pytest.raises(Corrupt, match="cannot be read"):
        load(saved, "0" * 64)


@pytest.mark.fault("F-27")
def test_code_inside_a_model_is_refused(tmp_path: Path) -> None:
    """A model with a Lambda layer is not loaded, even if its hash is the recorded one."""
    import keras

    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)]).save(path)
    with pytest.raises(Corrupt, match="Lambda"):
        load(path, file_sha256(path))
