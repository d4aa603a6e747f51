"""The charts, decoded again and looked at."""

import math
from pathlib import Path

import numpy as np
import pytest

from artifacts.reporting import charts
from tests.artifacts.reporting.test_pictures import HOSTILE, decoded, pixels_of

VERMILION = "#d55e00"


def history(epochs: int, speed: float = 1.0) -> list[dict[str, float]]:
    """A training that goes well."""
    left = [(epoch + 1) ** -speed for epoch in range(epochs)]
    return [
        {"loss": 2 * x, "accuracy": 1 - x / 2, "val_loss": 2 * x + 0.05, "val_accuracy": 0.99 - x / 2} for x in left
    ]


def test_curves_of_every_candidate_are_drawn(tmp_path: Path) -> None:
    """Each candidate has its colour in both panels."""
    charts.loss_curves({"cnn-seed0": history(8), "mlp-seed0": history(8, 0.5)}, tmp_path / "curves.png")
    image = decoded(tmp_path / "curves.png")
    half = image.shape[1] // 2
    for colour in charts.PALETTE[:2]:
        for panel in (image[:, :half], image[:, half:]):
            assert len(pixels_of(panel, colour)) > 200


@pytest.mark.parametrize(
    "histories",
    [
        {},
        {"never-trained": []},
        {"one-epoch": history(1)},
        {"diverged": [{"loss": math.nan, "accuracy": 0.1, "val_loss": math.inf, "val_accuracy": None}]},
        {"no-validation": [{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.9, "accuracy": 0.6}]},
        {"perfect": [{"loss": 0.0, "accuracy": 1.0, "val_loss": 0.0, "val_accuracy": 1.0}] * 3},
        {"huge": [{"loss": 1e30, "accuracy": 0.0, "val_loss": 1e-30, "val_accuracy": 0.0}]},
        {name: history(3) for name in HOSTILE},
        {f"candidate-{index}": history(100, 1 + index / 10) for index in range(25)},
    ],
    ids=lambda histories: next(iter(histories), "none")[:12],
)
def test_curves_of_any_night_can_be_drawn(histories: dict[str, list[dict[str, float]]], tmp_path: Path) -> None:
    """No candidate, one epoch, NaN, gaps, perfection, many candidates: always a picture, always a small one."""
    charts.loss_curves(histories, tmp_path / "curves.png")
    assert decoded(tmp_path / "curves.png").std() > 0
    assert (tmp_path / "curves.png").stat().st_size < 150_000


@pytest.mark.parametrize("n", [2, 10, 20])
def test_confusion_marks_mistakes_and_not_the_diagonal(n: int, tmp_path: Path) -> None:
    """The one kind of mistake is vermilion; a model without mistakes has no such pixel."""
    confusion = np.diag(np.full(n, 90))
    charts.confusion_matrix(confusion.tolist(), list(map(str, range(n))), tmp_path / "right.png")
    assert len(pixels_of(decoded(tmp_path / "right.png"), VERMILION)) == 0
    confusion[0, n - 1] = 12
    charts.confusion_matrix(confusion.tolist(), list(map(str, range(n))), tmp_path / "wrong.png")
    image = decoded(tmp_path / "wrong.png")
    marked = pixels_of(image, VERMILION)
    assert len(marked) > 1000
    assert marked[:, 0].max() < image.shape[0] / 2 < marked[:, 1].min() + 40, "true is first, predicted last: top right"


def test_a_single_mistake_among_a_thousand_classes_is_visible(tmp_path: Path) -> None:
    """It is a dot in its place, and it is named."""
    confusion = np.diag(np.full(1000, 10))
    names = [f"class number {index}" for index in range(1000)]
    charts.confusion_matrix(confusion.tolist(), names, tmp_path / "right.png")
    confusion[900, 100] = 1
    charts.confusion_matrix(confusion.tolist(), names, tmp_path / "wrong.png")
    right, wrong = decoded(tmp_path / "right.png"), decoded(tmp_path / "wrong.png")
    rows, columns = np.nonzero(np.abs(right - wrong).max(axis=2)[50:] > 60)
    assert ((rows > right.shape[0] * 0.6) & (columns < right.shape[1] * 0.25)).sum() > 5, "the dot: bottom left"
    assert (columns > right.shape[1] * 0.65).sum() > 50, "its name"


def test_thousands_of_mistakes_still_make_a_small_file(tmp_path: Path) -> None:
    """A bad model of a thousand classes has a picture below 150 KB."""
    rng = np.random.default_rng(0)
    confusion = np.zeros((1000, 1000), int)
    np.add.at(confusion, tuple(rng.integers(0, 1000, (2, 10_000))), 1)
    charts.confusion_matrix(confusion.tolist(), [str(index) for index in range(1000)], tmp_path / "bad.png")
    assert (tmp_path / "bad.png").stat().st_size < 150_000


def test_hostile_class_names_are_drawn_as_text(tmp_path: Path) -> None:
    """Names with formulas, line breaks or nothing do not fail, nor does an evaluation of no image."""
    charts.confusion_matrix(np.zeros((10, 10), int).tolist(), HOSTILE, tmp_path / "hostile.png")
    assert decoded(tmp_path / "hostile.png").std() > 0
