"""From a trained network to a model file."""

from pathlib import Path

import numpy as np
import pytest

from artifacts.models.saving import save, serving_model, weights_digest
from artifacts.recipes.candidate import Candidate
from artifacts.training.fit import Fitted, fit
from tests.artifacts.small import blobs, info


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """The tiny recipe, trained for one epoch."""
    examples = blobs(60)
    return fit(examples, examples, info(examples), Candidate.parse("tiny:epochs=1"))


def test_the_digest_covers_everything(fitted: Fitted) -> None:
    """One bit of one weight, or two weights exchanged, changes the digest; saving and asking again does not."""
    before = weights_digest(fitted.model)
    weights = fitted.model.get_weights()
    changed = [weight.copy() for weight in weights]
    changed[-1][0] = np.nextafter(changed[-1][0], np.float32(9))
    try:
        fitted.model.set_weights(changed)
        assert weights_digest(fitted.model) != before
    finally:
        fitted.model.set_weights(weights)
    assert weights_digest(fitted.model) == before


def test_scaling_inside_is_exact(fitted: Fitted) -> None:
    """The layer inside the saved model turns each of the 256 bytes into exactly byte / float32(255)."""
    import keras

    model = serving_model(fitted.model)
    scale = keras.Model(model.input, model.get_layer("scale").output)
    pixels = np.resize(np.arange(256, dtype=np.uint8), (3, 12, 10))
    assert (scale.predict(pixels, verbose=0) == pixels / np.float32(255)).all()


def test_the_model_file_is_plain_keras(fitted: Fitted, tmp_path: Path) -> None:
    """What is kept has standard layers in float32, takes bytes and gives probabilities, without any code of ours."""
    save(fitted.model, tmp_path / "model.keras")
    import keras

    model = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert model.input.dtype == "uint8"
    assert model.output.dtype == "float32"
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    total = model.predict(np.zeros((2, 12, 10), np.uint8), verbose=0).sum(axis=1)
    assert total == pytest.approx(1)
