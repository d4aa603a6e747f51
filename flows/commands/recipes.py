"""The commands about recipes: list them, show one, check one."""

from typing import Any, Literal

from cyclopts import App

from flows.commands.console import Json, console, native_messages_to, print_json, print_table

app = App(
    name="recipes",
    help="List the recipes, show one with its parameters, or check one.",
    help_epilogue="Example: nightshift recipes check mlp:hidden=64x32",
)


@app.default
def list_recipes(name: str = "", *, json: Json = False) -> None:
    """List the recipes, or show one with its parameters.

    Args:
        name: Recipe to show; without it all are listed.
    """
    from artifacts.recipes.candidate import Candidate
    from artifacts.recipes.catalogue import recipes
    from flows.settings import settings

    settings()  # makes the recipes of NIGHTSHIFT_RECIPES known
    shown = [Candidate(name).definition] if name else list(recipes().values())
    if json:
        print_json([_recipe_json(one) for one in shown])
    elif name:
        print(shown[0].document.strip())
        rows = [(key, one.default, one.allowed, one.help) for key, one in shown[0].parameters.items()]
        print_table(("parameter", "default", "allowed", "meaning"), rows)
    else:
        _print_list(shown)
    if not name:
        _print_unusable()


@app.command(help_epilogue="Example: nightshift recipes check mlp:hidden=64x32")
def check(recipe: str, *, device: Literal["auto", "gpu", "cpu"] = "auto", json: Json = False) -> int:
    """Build a recipe for several image sizes, train it for a few steps, save it and load it back.

    Args:
        recipe: Recipe to check, with parameters if you like, such as mlp:hidden=64x32.
        device: Device to train on; gpu fails if there is none.
    """
    from flows.settings import prepare_environment, settings

    prepare_environment()
    home = settings().home
    with native_messages_to(home / "native.log"):
        from artifacts.operations.recipe_check import check as checked
        from artifacts.recipes.candidate import Candidate

        rows = list(checked(Candidate.parse(recipe), device))
    code = next((row.exit_code for row in rows if row.exit_code), 0)
    if json:
        print_json([{"tried": row.tried, "found": row.found, "ok": not row.exit_code} for row in rows])
    else:
        print_table(("", "tried", "found"), [("✗" if row.exit_code else "✓", row.tried, row.found) for row in rows])
        print(f"{recipe} {'does not work yet' if code else 'works'}")
    return code


def _print_list(shown: list[Any]) -> None:
    from artifacts.recipes.catalogue import DEFAULT_CANDIDATES

    rows = [("*" if one.name in DEFAULT_CANDIDATES else "", one.name, one.summary, one.claim) for one in shown]
    print_table(("", "recipe", "what it is", "measured"), rows)
    print("* trained by default")
    print(
        "`nightshift recipes NAME` shows the parameters, `nightshift recipes check NAME` builds and trains it briefly"
    )


def _print_unusable() -> None:
    from artifacts.recipes.catalogue import unusable

    for error in unusable().values():
        console(stderr=True).print(f"not usable: {error}", markup=False, soft_wrap=True)


def _recipe_json(recipe: Any) -> dict[str, Any]:
    parameters = {
        key: {"default": one.default, "allowed": one.allowed, "meaning": one.help}
        for key, one in recipe.parameters.items()
    }
    return {"name": recipe.name, "summary": recipe.summary, "claim": recipe.claim, "parameters": parameters}
