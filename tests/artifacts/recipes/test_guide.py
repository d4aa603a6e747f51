"""The recipe of docs/recipes.md does what the page says, exactly as it is written there."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artifacts.models.loading import load, predict, raw_pixels
from artifacts.models.provenance import CHECKOUT, sources
from artifacts.models.saving import save, weights_digest
from artifacts.operations.recipe_check import check
from artifacts.recipes import catalogue
from artifacts.recipes.candidate import Candidate
from artifacts.training.fit import fit
from data.home.files import file_sha256
from data.home.store import Store
from data.prepared import parquet
from tests.artifacts.small import blobs, info, prepare

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def my_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file of the page as a module of NIGHTSHIFT_RECIPES."""
    (code,) = re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs" / "recipes.md").read_text(), re.DOTALL)
    (tmp_path / "my_recipes.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "_searched", [])
    monkeypatch.delitem(sys.modules, "my_recipes", raising=False)
    catalogue.search(["my_recipes"])
    yield
    catalogue._found.cache_clear()


def test_it_learns_the_bundled_sample(store: Store, tmp_path: Path) -> None:
    """Half its epochs give more than 90 % of the test images, and the file that is saved predicts the same."""
    ref = prepare(store)
    training, validation, test = (parquet.read_split(store, ref, split) for split in ("train", "validation", "test"))
    fitted = fit(training, validation, info(training, 10), Candidate.parse("my-resnet:epochs=5"))
    path = tmp_path / "model.keras"
    save(fitted.model, path)
    answers = predict(load(path, file_sha256(path)), raw_pixels(test.images)).argmax(axis=1)
    assert (answers == test.labels).mean() > 0.9


def test_the_check_finds_nothing_wrong() -> None:
    """Built for every size, trained twice to the same weights, saved and loaded."""
    rows = list(check(Candidate("my-resnet")))
    assert [row for row in rows if row.exit_code] == []
    assert [row.tried.split()[0] for row in rows] == ["build"] * 5 + ["train", "train", "save,"]
    assert rows[4].tried == "build for 224 × 224 pixels, in colour, 10 classes"


def test_several_of_them_are_trained_side_by_side(tmp_path: Path) -> None:
    """An ensemble of functional networks, all with one name, is averaged, saved and loaded with its batch norms."""
    own = catalogue.get("my-resnet")

    def named(about: object, settings: object) -> object:
        model = own.build(about, settings)  # type: ignore[arg-type]
        model.name = "resnet"
        return model

    def plan(about: object, settings: object) -> object:
        return replace(own.plan(about, settings), members=2, average_flips=True)  # type: ignore[arg-type]

    examples = blobs(100)
    with catalogue.replaced(replace(own, build=named, plan=plan).shortened(3)):  # type: ignore[arg-type]
        model = fit(examples, examples, info(examples), Candidate("my-resnet")).model
    save(model, tmp_path / "model.keras")
    back = load(tmp_path / "model.keras", file_sha256(tmp_path / "model.keras"))
    assert weights_digest(back.get_layer(model.name)) == weights_digest(model)
    assert np.isfinite(predict(back, raw_pixels(examples.images))).all()
    assert sum("moving_mean" in weight.path for weight in model.weights) == 8


def test_its_file_decides_what_is_trained_again() -> None:
    """The code digest covers it."""
    assert "my_recipes.py" in sources()
