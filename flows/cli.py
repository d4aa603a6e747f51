"""The console script. It parses, calls and prints; what is heavy is imported by the command that needs it.

Exit codes: 0 done, 1 broken (the work failed), 2 refused (bad input, nothing changed), 3 not promoted.
"""

import sys
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from cyclopts import App, CycloptsError, Parameter

from artifacts.policy import Policy, meaning
from data.errors import NightshiftError
from flows import operations, registered
from flows.terminal import DONE, NOT_PROMOTED, REFUSED, Flag, Json, Several, console, print_json, print_table, store

app = App(
    name="nightshift",
    help="Retrain every night, and promote only what is really better.",
    help_epilogue="Exit codes: 0 done, 1 broken, 2 refused (bad input), 3 not promoted.",
    version=lambda: metadata.version("nightshift"),
)
datasets = App(name="datasets", help="List the datasets, or bring your own.")
app.command(datasets)
app.command(registered.app, name="*")
app.command(operations.app, name="*")


def main() -> None:
    """Run the command line and exit with its code."""
    screen = console(stderr=True)
    try:
        code = app(result_action="return_value", exit_on_error=False)
    except CycloptsError:
        code = REFUSED  # cyclopts has said what is wrong
    except NightshiftError as error:
        screen.print("[bold red]refused:[/]" if error.exit_code == REFUSED else "[bold red]broken:[/]", end=" ")
        screen.print(str(error), markup=False, soft_wrap=True)
        code = error.exit_code
    except KeyboardInterrupt:
        screen.print("stopped; every step that was complete is kept, and the next run goes on from there")
        code = 130  # what shells expect of a program that ended on Ctrl-C
    sys.exit(code or DONE)


# -- the night --------------------------------------------------------------------------------------------------------

if TYPE_CHECKING:
    PolicyFlags = dict[str, Any]
else:  # a flag for each field of the policy; only those that were given are in the dictionary
    flags = {item.name: Annotated[item.type, Parameter(help=meaning(item))] for item in fields(Policy)}
    PolicyFlags = Annotated[
        TypedDict("PolicyFlags", flags, total=False), Parameter(name="*", group="What a model must fulfil")
    ]


@app.command(
    help_epilogue="Example: nightshift retrain fashion-mnist --recipe cnn --recipe mlp:epochs=30,hidden=256x128"
)
def retrain(
    dataset: str = "mnist",
    *,
    recipe: Annotated[tuple[str, ...], Several] = (),
    seed: int = 0,
    seeds: int = 1,
    device: Literal["auto", "gpu", "cpu"] = "auto",
    mode: Literal["normal", "dry-run", "force"] = "normal",
    reason: str = "",
    policy: PolicyFlags | None = None,
    json: Json = False,
) -> int:
    """Download, validate, normalise, train, evaluate, decide, register and report.

    Args:
        dataset: Which dataset; `nightshift datasets` lists them.
        recipe: A candidate such as cnn or mlp:epochs=5; repeat it for several. Default: see `nightshift recipes`.
        seed: Decides initial weights, order of images and augmentation.
        seeds: Seeds per recipe; the recipe with the best mean goes before the gate, with its median seed.
        device: Where to train; gpu fails where there is none.
        mode: dry-run decides and changes nothing; force promotes what the floors allow, and needs a reason.
        reason: Why you force; the ledger keeps it.
    """
    from artifacts.report import REPORT
    from flows.here import run_night
    from flows.screens import night_screen

    options = {"seed": seed, "seeds": seeds, "device": device, "mode": mode, "reason": reason}
    night = run_night(console(stderr=json), dataset=dataset, recipes=recipe, policy=policy, **options)
    report = store().run(night.run) / REPORT
    if json:
        print_json({**night.to_json(), "report": str(report)})
    else:
        console().print(night_screen(night, str(report)))
    return DONE if night.promoted else NOT_PROMOTED


@app.command(help_epilogue="Example: nightshift smoke")
def smoke(*, json: Json = False) -> None:
    """Run whole nights on a tiny bundled dataset, in a temporary home, without a network: does all of it work here?"""
    from flows.here import run_smoke

    outcome = run_smoke(console(stderr=json))
    if json:
        print_json(outcome.to_json())
    else:
        print_table(("tried", "what came of it"), outcome.rows())
        print(f"all as it should be, in {outcome.seconds:.0f} s")


# -- what there is ----------------------------------------------------------------------------------------------------


@datasets.default
def list_datasets(*, json: Json = False) -> None:
    """List the datasets."""
    from data import catalogue

    home = store()
    rows = [catalogue.get(home, name) for name in catalogue.names(home)]
    keys = ("name", "title", "n_train", "n_test", "height", "width", "class_names", "licence", "citation")
    if json:
        print_json([{key: getattr(row, key) for key in keys} for row in rows])
    else:
        print_table(
            ("name", "title", "train", "test", "size", "classes", "licence"),
            [
                (
                    row.name,
                    row.title,
                    f"{row.n_train:,}",
                    f"{row.n_test:,}",
                    f"{row.height}×{row.width}",
                    row.n_classes,
                    row.licence,
                )
                for row in rows
            ],
        )


@datasets.command(
    help_epilogue="Example: nightshift datasets add letters ~/letters --classes a b c --licence 'CC BY 4.0'"
)
def add(
    name: str,
    folder: Path,
    *,
    classes: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)] = (),
    title: str = "",
    licence: str = "",
    citation: str = "",
    mirror_symmetric: Annotated[bool, Flag] = False,
) -> None:
    """Make four IDX files (train and test, images and labels) a dataset that every command knows.

    Args:
        name: What you will call it: lower-case letters, digits, dashes.
        folder: Where train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files lie, gzipped or not.
        classes: What the labels 0, 1, 2... mean, in order. Default: the numbers themselves.
        title: What people call it.
        licence: Of the images.
        citation: Whom to name when results are published.
        mirror_symmetric: An image flipped left to right still belongs to its class.
    """
    from data import catalogue

    more = {"title": title, "licence": licence, "citation": citation, "mirror_symmetric": mirror_symmetric}
    row = catalogue.add(store(), name, folder.expanduser(), classes, **more)  # type: ignore[arg-type]
    print(
        f"{row.name}: {row.n_train:,} + {row.n_test:,} images of {row.height}×{row.width}, {row.n_classes} classes; "
        f"the files are copied and their hashes pinned\n  -> nightshift retrain {row.name}"
    )


@datasets.command(help_epilogue="Example: nightshift datasets remove letters")
def remove(name: str) -> None:
    """Forget a dataset that you added; its models stay.

    Args:
        name: The name you gave it.
    """
    from data import catalogue

    catalogue.remove(store(), name)
    print(f"{name} is forgotten")


@app.command(help_epilogue="Example: nightshift recipes cnn")
def recipes(name: str = "", *, json: Json = False) -> None:
    """List the recipes, or show one with its parameters.

    Args:
        name: A recipe; leave it out for the list.
    """
    from artifacts.recipes.base import Candidate
    from artifacts.recipes.catalogue import DEFAULT_CANDIDATES, RECIPES

    shown = [Candidate(name).definition] if name else list(RECIPES.values())
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
