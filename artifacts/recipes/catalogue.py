"""Every recipe by name, and the ones that a night trains unless told otherwise."""

from artifacts.recipes import (
    cnn,
    cnn_small,
    linear_64,
    mlp,
    mlp_128,
    scratch_512,
    sigmoid_regression,
    softmax_regression,
    tiny,
    vgg,
)
from artifacts.recipes.base import Recipe
from data.errors import UnknownName

FAITHFUL = (
    sigmoid_regression,
    softmax_regression,
    linear_64,
    mlp_128,
    scratch_512,
)  # checked by benchmarks/fidelity.py

RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE for module in (*FAITHFUL, mlp, cnn_small, cnn, vgg, tiny)
}

# A floor that anything must beat, a net without assumptions about images, and the one that usually wins.
DEFAULT_CANDIDATES: tuple[str, ...] = ("softmax-regression", "mlp", "cnn")


def get(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        UnknownName: there is no such recipe; the message lists those there are.
    """
    if name not in RECIPES:
        raise UnknownName.among("recipe", name, RECIPES)
    return RECIPES[name]
