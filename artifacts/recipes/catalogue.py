"""Every recipe by name: one per module of this package, and of the modules that NIGHTSHIFT_RECIPES names.

A module counts if it assigns `RECIPE` at its top level; nothing else is imported, so that listing recipes loads neither
Keras nor anything that happens to lie beside them.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from artifacts.recipes.recipe import Recipe
from data.errors import UnknownName

# A floor that anything must beat, a net without assumptions about images, and the one that usually wins.
DEFAULT_CANDIDATES: tuple[str, ...] = ("softmax-regression", "mlp", "cnn")

_packages = ["artifacts.recipes"]


@cache
def recipes() -> dict[str, Recipe]:
    """Return every recipe by name, in the order of their names."""
    found = [import_module(name).RECIPE for package in _packages for name in _modules(package)]
    return {recipe.name: recipe for recipe in sorted(found, key=lambda recipe: recipe.name)}


def search(modules: Iterable[str]) -> None:
    """Look for recipes in these modules and packages, too; each must be importable, such as `my_team.recipes`."""
    _packages.extend(name for name in dict.fromkeys(modules) if name not in _packages)
    recipes.cache_clear()


def searched() -> tuple[str, ...]:
    """Return the modules that were added by `search`; another process hands them to its own `search`."""
    return tuple(_packages[1:])


def get(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        UnknownName: there is no such recipe; the message lists those there are.
    """
    if name not in recipes():
        raise UnknownName.among("recipe", name, recipes())
    return recipes()[name]


def _modules(package: str) -> Iterator[str]:
    """Yield the names of the modules of a package, at any depth, that have a recipe."""
    spec = find_spec(package)
    assert spec is not None
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in sorted(folder.rglob("*.py")):
            if re.search(r"^RECIPE\b", path.read_text(encoding="utf-8"), re.MULTILINE):
                yield ".".join((package, *path.relative_to(folder).with_suffix("").parts))
