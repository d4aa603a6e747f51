"""`nightshift recipes`: the list, one recipe, and the check of one, with recipes from outside the package."""

import json
from pathlib import Path

import pytest

from tests.flows.commands.test_main import nightshift

pytestmark = pytest.mark.slow

TEXT = '''"""A net of a team's own."""
from dataclasses import replace
from artifacts.recipes.tiny import RECIPE as TINY


def build(info, settings):
    from keras import layers
    {fault}
    return TINY.build(info, settings)


RECIPE = replace(TINY, name="{name}", document=__doc__, build=build)
'''


@pytest.fixture
def theirs(tmp_path: Path) -> dict[str, str]:
    """The environment with a package of three recipes: one that works, one with a fault, and one that is none."""
    folder = tmp_path / "their_recipes"
    folder.mkdir()
    (folder / "good.py").write_text(TEXT.format(name="good", fault=""))
    (folder / "faulty.py").write_text(TEXT.format(name="faulty", fault="layers.Dense(units=-1)"))
    (folder / "none.py").write_text("RECIPE = 5\n")
    return {"PYTHONPATH": str(tmp_path), "NIGHTSHIFT_RECIPES": "their_recipes, json"}


def test_what_cannot_be_used_is_listed_beside_the_rest(theirs: dict[str, str], tmp_path: Path) -> None:
    """The recipes that work are in the list; what is wrong with a module is said with its file and line."""
    listed = nightshift(tmp_path / "home", "recipes", "--json", **theirs)
    assert listed.returncode == 0
    assert {"good", "faulty", "cnn"} <= {row["name"] for row in json.loads(listed.stdout)}
    assert "none.py:1: expected RECIPE to be an artifacts.recipes.recipe.Recipe, got int" in listed.stderr
    assert "the module json of NIGHTSHIFT_RECIPES assigns no RECIPE" in listed.stderr


def test_one_recipe_is_shown_with_its_parameters(theirs: dict[str, str], tmp_path: Path) -> None:
    """Its document, and a table of parameters with bounds."""
    shown = nightshift(tmp_path / "home", "recipes", "good", **theirs)
    assert "A net of a team's own." in shown.stdout
    assert "1..1024" in shown.stdout


def test_checking_a_recipe_tells_what_works(theirs: dict[str, str], tmp_path: Path) -> None:
    """One that works is built, trained, saved and loaded."""
    checked = nightshift(tmp_path / "home", "recipes", "check", "good:hidden=8", "--json", **theirs)
    assert checked.returncode == 0, checked.stderr
    assert [row["ok"] for row in json.loads(checked.stdout)] == [True] * 8


def test_checking_a_faulty_recipe_names_the_line(theirs: dict[str, str], tmp_path: Path) -> None:
    """The exit code says that the recipe is wrong, and the table where."""
    checked = nightshift(tmp_path / "home", "recipes", "check", "faulty", **theirs)
    assert checked.returncode == 2
    text = " ".join(checked.stdout.split())
    assert "faulty.py:8: build() of faulty raised ValueError" in text
    assert "faulty does not work yet" in text
    assert "train 3 steps" not in text
