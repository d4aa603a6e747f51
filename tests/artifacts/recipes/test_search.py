"""Recipes from modules outside the package, as NIGHTSHIFT_RECIPES names them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.recipes import catalogue
from artifacts.recipes.candidate import Candidate
from data.errors import BadFile, BadInput, UnknownName

GOOD = '''"""A net of a team's own."""
from dataclasses import replace
from artifacts.recipes.tiny import RECIPE as TINY
RECIPE = replace(TINY, name="{name}", document=__doc__)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an importable package `team_of_NAME_OF_TEST.recipes`, not yet searched."""
    folder = tmp_path / f"team_of_{tmp_path.name}" / "recipes"
    folder.mkdir(parents=True)
    for parent in (folder, folder.parent):
        (parent / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "_searched", [])
    yield folder
    catalogue._found.cache_clear()


def module(package: Path) -> str:
    """Return the dotted name of the package."""
    return f"{package.parent.name}.recipes"


def test_a_module_from_elsewhere_adds_its_recipe(package: Path) -> None:
    """A package, at any depth, or a single module; the recipes of Nightshift stay."""
    (package / "deep").mkdir()
    (package / "deep" / "net.py").write_text(GOOD.format(name="deep-net"))
    (package / "other.py").write_text(GOOD.format(name="other"))
    (package / "helpers.py").write_text("raise SystemExit  # has no recipe, and is not imported\n")
    catalogue.search([f"{module(package)}.other"])
    assert Candidate.parse("other:epochs=2").name == "other-epochs2-seed0"
    assert "deep-net" not in catalogue.recipes()
    catalogue.search([module(package), f"{module(package)}.other"])
    assert {"other", "deep-net", "cnn"} <= set(catalogue.recipes())
    assert catalogue.unusable() == {}
    assert catalogue.searched() == (f"{module(package)}.other", module(package))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "x = 1\nimport no_such_library\nRECIPE = x\n",
            r"bad\.py:2: importing .*\.bad raised ModuleNotFoundError: ",
        ),
        ("RECIPE = (\n", r"bad\.py:1: importing .* raised SyntaxError"),
        ('"""A net."""\n\nRECIPE = {"name": "mine"}\n', r"bad\.py:3: expected RECIPE to be an .*Recipe, got dict"),
    ],
)
def test_a_module_that_is_wrong_hides_no_other(package: Path, text: str, complaint: str) -> None:
    """What is wrong is reported with file and line; the others are there, and a missing name mentions it."""
    (package / "bad.py").write_text(text)
    (package / "good.py").write_text(GOOD.format(name="good"))
    name = module(package)
    catalogue.search([name])
    assert {"good", "cnn"} <= set(catalogue.recipes())
    with pytest.raises(BadFile, match=complaint):
        catalogue.get(f"{name}.bad")
    with pytest.raises(UnknownName, match=rf"(?s)no recipe is called 'mine'.*not usable: .*{complaint}"):
        catalogue.get("mine")


def test_a_name_that_is_used_twice_is_refused(package: Path) -> None:
    """Neither recipe is taken for the other; all others can be used."""
    (package / "cnn.py").write_text(GOOD.format(name="cnn"))
    catalogue.search([module(package)])
    with pytest.raises(BadInput, match=r"'cnn' is used twice: .*artifacts/recipes/cnn\.py:\d+ and .*/cnn\.py:4"):
        catalogue.get("cnn")
    assert "mlp" in catalogue.recipes()
    assert "cnn" not in catalogue.recipes()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no_such_package.recipes", "names the module no_such_package.recipes, which cannot be found"),
        ("json", "the module json of NIGHTSHIFT_RECIPES assigns no RECIPE"),
    ],
)
def test_a_module_without_a_recipe_is_reported(name: str, complaint: str, package: Path) -> None:
    """A name with a typing mistake, or a module that is something else."""
    catalogue.search([name])
    assert complaint in str(catalogue.unusable()[name])
    assert "cnn" in catalogue.recipes()
