"""What a recipe is tried on before a night trains it."""

from dataclasses import replace
from typing import Any

import pytest

from artifacts.operations import recipe_check
from artifacts.operations.recipe_check import check
from artifacts.recipes import catalogue
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.recipe import DatasetInfo, Settings

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("text", ["cnn", "mlp:hidden=16"])
def test_colour_and_large_images_are_tried(text: str) -> None:
    """Built, and the large ones trained for a few steps in the batches of a night; all of it works."""
    rows = {row.tried: row for row in check(Candidate.parse(text))}
    assert [row.found for row in rows.values() if row.exit_code] == []
    assert "build for 32 × 32 pixels, in colour, 10 classes" in rows
    assert rows["train 3 steps on 40 of 224 × 224 pixels, in colour, 10 classes"].found.startswith("loss ")


def test_a_recipe_for_grey_images_only_is_found() -> None:
    """What reshapes every image to one channel cannot be built for colour, and the row says where."""
    own = catalogue.get("tiny")

    def build(info: DatasetInfo, settings: Settings) -> Any:
        from keras import Sequential, layers

        flat = layers.Reshape((info.height * info.width,))
        return Sequential([layers.Input(info.shape), flat, layers.Dense(info.n_classes)])

    with catalogue.replaced(replace(own, build=build)):
        rows = [row for row in check(Candidate("tiny")) if row.exit_code]
    assert [row.tried.partition(",")[0] for row in rows] == [f"build for {side} × {side} pixels" for side in (32, 224)]
    assert "test_recipe_check.py:" in rows[0].found


def test_too_many_weights_are_not_tried_on_large_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dense net on all pixels could take more memory than there is: the row says so, and nothing is trained."""
    monkeypatch.setattr(recipe_check, "MOST_WEIGHTS", 100_000)
    *_, last = check(Candidate("tiny"))
    assert last.exit_code == 0
    assert last.found.startswith("not tried: 4,817,258 weights are more than 100,000")
