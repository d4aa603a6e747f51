"""What a recipe is tried on before a night trains it."""

from dataclasses import replace
from typing import Any

import pytest

from artifacts.operations.recipe_check import check
from artifacts.recipes import catalogue
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.recipe import DatasetInfo, Settings

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("text", ["cnn", "mlp:hidden=16"])
def test_colour_and_large_images_are_tried(text: str) -> None:
    """A network can be built for each."""
    rows = {row.tried: row for row in check(Candidate.parse(text))}
    assert [row.found for row in rows.values() if row.exit_code] == []
    assert "build for 32 × 32 pixels, in colour, 10 classes" in rows
    assert "build for 224 × 224 pixels, in colour, 10 classes" in rows


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
