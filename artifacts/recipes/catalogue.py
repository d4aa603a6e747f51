"""Every recipe by name: one per module of this package, and of the modules that NIGHTSHIFT_RECIPES names.

A module counts if it assigns `RECIPE` at its top level; nothing else is imported, so that listing recipes loads neither
Keras nor anything that happens to lie beside them. A module that cannot be used hides no other: see `unusable`.
"""

import logging
import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from artifacts.recipes.recipe import Recipe
from data.errors import BadFile, BadInput, UnknownName

# A floor that anything must beat, a net without assumptions about images, and the one that usually wins.
DEFAULT_CANDIDATES: tuple[str, ...] = ("softmax-regression", "mlp", "cnn")

PACKAGE = "artifacts.recipes"

_searched: list[str] = []


class Module(NamedTuple):
    """A module that assigns `RECIPE`, and where it does."""

    name: str
    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Found(NamedTuple):
    """What the search found.

    Args:
        recipes: by name, in the order of their names.
        unusable: what is wrong with the other modules, with file and line; the key is the recipe's name where it is
            known, else the module's.
    """

    recipes: dict[str, Recipe]
    unusable: dict[str, BadInput]


def search(modules: Iterable[str]) -> None:
    """Look for recipes in these modules and packages, too; each must be importable, such as `my_team.recipes`."""
    new = [name for name in dict.fromkeys(modules) if name not in _searched]
    if new:
        _searched.extend(new)
        _found.cache_clear()


def searched() -> tuple[str, ...]:
    """Return the modules that were added by `search`; another process hands them to its own `search`."""
    return tuple(_searched)


def folders() -> dict[str, Path]:
    """Return the folder that contains each top-level package or module of `searched`, as far as they are found."""
    found = {}
    for top in dict.fromkeys(name.partition(".")[0] for name in _searched):
        spec = find_spec(top)
        inside = list(spec.submodule_search_locations or ()) if spec else []
        if inside or (spec and spec.origin):
            found[top] = Path(inside[0] if inside else str(spec.origin)).parent  # type: ignore[union-attr]
    return found


def recipes() -> dict[str, Recipe]:
    """Return every usable recipe by name, in the order of their names."""
    return _found().recipes


def unusable() -> dict[str, BadInput]:
    """Return what is wrong with the modules that have no usable recipe, each with file and line."""
    return _found().unusable


def get(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        UnknownName: there is no such recipe; the message lists those there are.
        BadInput: several modules have a recipe of this name.
    """
    if name in unusable():
        raise unusable()[name]
    if name not in recipes():
        others = "; ".join(error.problem for error in unusable().values())
        raise UnknownName.among("recipe", name, recipes(), f"not usable: {others}" if others else "")
    return recipes()[name]


def import_layers() -> None:
    """Import Keras and the modules with layers that recipes name, so that it can load models with such layers."""
    for module in dict.fromkeys(module for recipe in recipes().values() for module in recipe.layers):
        try:
            import_module(module)
        except Exception as error:  # noqa: BLE001  (models without these layers can still be loaded)
            logging.getLogger(__name__).warning("%s: %s", module, error)


@contextmanager
def replaced(recipe: Recipe) -> Iterator[None]:
    """Use this recipe in place of the one with its name while the block runs."""
    kept = recipes()[recipe.name]
    recipes()[recipe.name] = recipe
    try:
        yield
    finally:
        recipes()[recipe.name] = kept


@cache
def _found() -> Found:
    usable: dict[str, tuple[Module, Recipe]] = {}
    unusable: dict[str, BadInput] = {}
    for name in (PACKAGE, *_searched):
        with _noting(unusable, name):
            for module in _modules(name):
                with _noting(unusable, module.name):
                    _add(usable, unusable, module, _recipe_of(module))
    return Found({name: usable[name][1] for name in sorted(usable.keys() - unusable.keys())}, unusable)


@contextmanager
def _noting(unusable: dict[str, BadInput], name: str) -> Iterator[None]:
    """Note an error under this name, and go on after the block."""
    try:
        yield
    except BadInput as error:
        unusable[name] = error


def _add(
    usable: dict[str, tuple[Module, Recipe]], unusable: dict[str, BadInput], module: Module, recipe: Recipe
) -> None:
    """Add a recipe. Of two with one name neither can be used: training the wrong one would go unnoticed."""
    other, _ = usable.setdefault(recipe.name, (module, recipe))
    if other.path != module.path:
        unusable[recipe.name] = BadInput(
            f"the recipe name {recipe.name!r} is used twice: {other} and {module}", "give one of them another name"
        )


def _modules(name: str) -> Iterator[Module]:
    """Yield the modules that assign `RECIPE`: the one of this name, or those of the package, at any depth.

    Raises:
        BadFile: there is no such module, or its package cannot be imported, or it has no recipe.
    """
    found = False
    for module, path in _files(name):
        text = path.read_text(encoding="utf-8", errors="replace")
        assigned = re.search(r"^RECIPE\b", text, re.MULTILINE)
        if assigned:
            found = True
            yield Module(module, path, text.count("\n", 0, assigned.start()) + 1)
    if not found:
        raise BadFile(
            f"the module {name} of NIGHTSHIFT_RECIPES assigns no RECIPE", "see docs/recipes.md for what it must contain"
        )


def _files(name: str) -> Iterator[tuple[str, Path]]:
    try:
        spec = find_spec(name)
    except Exception as error:
        if not (isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")):
            raise _unimportable(name, Path(name.replace(".", "/")), error) from error
        spec = None  # a package above it is missing
    if spec is None:
        raise BadFile(
            f"NIGHTSHIFT_RECIPES names the module {name}, which cannot be found",
            "install it here, or put the folder that contains it on PYTHONPATH",
        )
    if spec.submodule_search_locations is None and str(spec.origin).endswith(".py"):
        yield name, Path(str(spec.origin))
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).with_suffix("").parts
            yield ".".join((name, *(part for part in inside if part != "__init__"))), path


def _recipe_of(module: Module) -> Recipe:
    """Import a module and return its recipe.

    Raises:
        BadFile: it cannot be imported, or its RECIPE is no Recipe.
    """
    try:
        recipe = import_module(module.name).RECIPE
    except Exception as error:
        raise _unimportable(module.name, module.path, error) from error
    if not isinstance(recipe, Recipe):
        raise BadFile(
            f"{module}: expected RECIPE to be an artifacts.recipes.recipe.Recipe, got {type(recipe).__name__}",
            "assign RECIPE = Recipe(name=..., ...)",
        )
    return recipe


def _unimportable(name: str, path: Path, error: Exception) -> BadFile:
    if isinstance(error, SyntaxError):
        where = f"{error.filename}:{error.lineno}"
    else:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
        where = f"{path}:{lines[-1]}" if lines else str(path)
    return BadFile(f"{where}: importing {name} raised {type(error).__name__}: {error}", "fix that line")
