"""The temperature: fitted on held-out images, inside the saved model, and no prediction changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.evaluation.metrics import measure
from artifacts.models.calibration import (
    HIGHEST,
    LARGEST_POWER,
    LOWEST,
    Calibration,
    calibrate,
    fitted_on,
    temperature,
)
from artifacts.models.saving import save, weights_digest
from artifacts.recipes.candidate import Candidate
from artifacts.training.fit import fit
from tests.artifacts.small import Images, blobs, info


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities in float32, as a model gives them."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def drawn(n: int, n_classes: int = 10, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with exactly their probabilities: the best temperature is 1."""
    rng = np.random.default_rng(seed)
    logits = (3 * rng.normal(size=(n, n_classes))).astype(np.float32)
    chances = softmax(logits).cumsum(axis=1)
    labels = (rng.random((n, 1)) > chances).sum(axis=1).clip(0, n_classes - 1)
    return logits, labels


@pytest.mark.parametrize("wrong_by", [0.2, 0.5, 1.0, 3.0])
def test_what_is_too_sure_or_too_modest_is_corrected(wrong_by: float) -> None:
    """By the factor by which the logits are too large or too small; then confidence is accuracy."""
    logits, labels = drawn(20_000)
    found = temperature(logits * np.float32(wrong_by), labels)
    assert found == pytest.approx(wrong_by, rel=0.04)
    assert measure(labels, softmax(logits * np.float32(wrong_by / found))).ece < 0.01


def test_it_is_the_minimum_of_the_log_loss() -> None:
    """No temperature beside it is better."""
    logits, labels = drawn(3_000)
    logits = logits * np.float32(1.7)
    found = temperature(logits, labels)

    def loss(divisor: float) -> float:
        return measure(labels, softmax(logits / np.float32(divisor))).log_loss

    assert loss(found) <= min(loss(found * 1.05), loss(found / 1.05))


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_a_few_images_that_are_all_right_do_not_ask_for_certainty(n: int) -> None:
    """Fewer images, less confidence: a hundred right answers cannot show 99.99 %."""
    labels = np.arange(n) % 3
    logits = np.eye(3, dtype=np.float32)[labels] * 4
    confidence = softmax(logits / np.float32(temperature(logits, labels))).max(axis=1).mean()
    assert confidence == pytest.approx(1 - 2 / (3 * (n + 2)), abs=0.002)


def test_logits_that_say_nothing_are_left_alone() -> None:
    """Constant, or not finite; what is always wrong becomes as unsure as is allowed, and no division fails."""
    labels = np.arange(4)
    assert temperature(np.zeros((4, 4), np.float32), labels) == 1
    assert temperature(np.full((4, 4), np.nan, np.float32), labels) == 1
    assert temperature(np.zeros((0, 4), np.float32), labels[:0]) == 1
    assert temperature(-9 * np.eye(4, dtype=np.float32), labels) == pytest.approx(HIGHEST, rel=0.01)
    assert LOWEST <= temperature(1e30 * np.eye(4, dtype=np.float32), labels) <= HIGHEST * 1.01


@settings(deadline=None, derandomize=True)
@given(
    rows=st.lists(st.lists(st.floats(-60, 60, width=32), min_size=4, max_size=4), min_size=1, max_size=8),
    divisor=st.floats(LOWEST, HIGHEST),
    power=st.floats(1 / LARGEST_POWER, LARGEST_POWER),
)
def test_no_order_is_reversed(rows: list[list[float]], divisor: float, power: float) -> None:
    """A positive factor is monotonic in float32, and so is a power: the largest logit is still one of the largest."""
    logits = np.array(rows, np.float32)
    scaled = logits * np.float32(1 / divisor)
    for one in (scaled, -((scaled.max(axis=1, keepdims=True) - scaled) ** np.float32(power))):
        assert (one[np.arange(len(rows)), logits.argmax(axis=1)] == one.max(axis=1)).all()


@pytest.mark.parametrize("power", [0.7, 1.5])
def test_a_power_is_found_where_it_pays(power: float) -> None:
    """Logits that were drawn together or apart, as label smoothing does: both numbers come back, calibrated again."""
    logits, labels = drawn(20_000)
    behind = logits.max(axis=1, keepdims=True) - logits
    bent = -(behind ** np.float32(1 / power)) * 2
    found = calibrate(bent, labels)
    assert found.power == pytest.approx(power, rel=0.05)
    assert found.temperature == pytest.approx(2, rel=0.05)
    assert measure(labels, softmax(-((-bent / np.float32(found.temperature)) ** np.float32(found.power)))).ece < 0.01


def test_a_power_that_does_not_pay_is_left_out() -> None:
    """With too few images, or where a temperature is enough, there is a temperature alone."""
    logits, labels = drawn(20_000)
    assert calibrate(logits, labels) == Calibration(temperature(logits, labels))
    bent = -(np.sqrt(logits.max(axis=1, keepdims=True) - logits)[:900])
    assert calibrate(bent, labels[:900]).power == 1
    assert calibrate(np.zeros((2000, 4), np.float32), labels[:2000] % 4) == Calibration()
    assert calibrate(np.full((2000, 4), np.nan, np.float32), labels[:2000] % 4) == Calibration()


class Mean:
    """A stand-in for a network that gives what the first row of each image says."""

    def predict(self, images: np.ndarray, **_: int) -> np.ndarray:
        """The first row as logits."""
        return images[:, 0]


def test_a_stream_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is cut into chunks, every third image of three times too many is used."""
    logits, labels = drawn(900, 5)
    monkeypatch.setattr("artifacts.models.calibration.AT_MOST", 300)
    expected = calibrate(logits[::3], labels[::3])
    for size in (900, 100, 7, 1):
        chunks = (Images(logits[at : at + size, None], labels[at : at + size]) for at in range(0, 900, size))
        assert fitted_on(Mean(), chunks, 900) == expected


@pytest.mark.parametrize("recipe", ["tiny:epochs=3", "cnn:epochs=1,width=2,members=2"])
def test_the_saved_model_is_calibrated_and_predicts_the_same(recipe: str, tmp_path: Path) -> None:
    """Every image keeps its class, the network its digest, and confidence comes nearer the truth."""
    import keras

    examples, held_out = blobs(300), blobs(200, seed=1)
    held_out.labels[::10] = (held_out.labels[::10] + 1) % 3  # a model without any mistake cannot be calibrated
    network = fit(examples, held_out, info(examples, 3, True), Candidate.parse(recipe)).model
    found, logits = fitted_on(network, [held_out], 200), network.predict(held_out.images, verbose=0)
    digest, raw = weights_digest(network), np.rint(held_out.images * 255).astype(np.uint8)
    answers = {}
    for name, by in (("plain", Calibration()), ("calibrated", found), ("powered", replace(found, power=1.7))):
        save(network, tmp_path / f"{name}.keras", by)
        back = keras.saving.load_model(tmp_path / f"{name}.keras", compile=False)
        assert weights_digest(back.get_layer(network.name)) == digest
        answers[name] = np.asarray(back.predict(raw, verbose=0))
    assert found.temperature != 1
    for name in ("calibrated", "powered"):
        assert (answers["plain"].argmax(axis=1) == answers[name].argmax(axis=1)).all()
    largest = logits.max(axis=1, keepdims=True)
    expected = softmax(-(((largest - logits) / found.temperature) ** 1.7))
    np.testing.assert_allclose(answers["powered"], expected, atol=1e-5)
    plain, calibrated = (measure(held_out.labels, answers[name]) for name in ("plain", "calibrated"))
    assert calibrated.log_loss < plain.log_loss
