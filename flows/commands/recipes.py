"""The commands about recipes: list them, show one, check one."""

from typing import Any

from cyclopts import App

from flows.commands.console import Json, print_json, print_table

app = App(name="recipes", help="List the recipes, or show one with its parameters.")


@app.default
def list_recipes(name: str = "", *, json: Json = False) -> None:
    """List the recipes, or show one with its parameters.

    Args:
        name: A recipe; leave it out for the list.
    """
    from artifacts.recipes.candidate import Candidate
    from artifacts.recipes.catalogue import DEFAULT_CANDIDATES
    from artifacts.recipes.catalogue import recipes as all_recipes

    shown = [Candidate(name).definition] if name else list(all_recipes().values())
    if json:
        print_json([_recipe_json(one) for one in shown])
    elif name:
        print(shown[0].document.strip())
        rows = [(key, one.default, one.range, one.help) for key, one in shown[0].parameters.items()]
        print_table(("parameter", "default", "allowed", "meaning"), rows)
    else:
        rows = [("*" if one.name in DEFAULT_CANDIDATES else "", one.name, one.summary, one.claim) for one in shown]
        print_table(("", "recipe", "what it is", "measured"), rows)
        print("* what a night trains unless told otherwise; `nightshift recipes NAME` shows the parameters")


def _recipe_json(recipe: Any) -> dict[str, Any]:
    parameters = {
        key: {"default": one.default, "allowed": one.range, "meaning": one.help}
        for key, one in recipe.parameters.items()
    }
    return {"name": recipe.name, "summary": recipe.summary, "claim": recipe.claim, "parameters": parameters}
