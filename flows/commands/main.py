"""The console script. It parses, calls and prints; what is heavy is imported by the command that needs it.

Exit codes: 0 done, 1 broken (the work failed), 2 refused (bad input, nothing changed), 3 not promoted.
"""

import sys
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from cyclopts import App, CycloptsError, Parameter

from artifacts.gate.policy import Policy, meaning
from data.errors import NightshiftError
from data.fields import described
from flows.commands import admin, datasets, models, recipes
from flows.commands.console import (
    DONE,
    NOT_PROMOTED,
    REFUSED,
    Json,
    Several,
    console,
    print_json,
    print_table,
    store,
)

app = App(
    name="nightshift",
    help="Retrain every night, and promote only what is really better.",
    help_epilogue="Exit codes: 0 done, 1 broken, 2 refused (bad input), 3 not promoted.",
    version=lambda: metadata.version("nightshift"),
)
app.command(datasets.app)
app.command(recipes.app)
app.command(models.app, name="*")
app.command(admin.app, name="*")


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
    flags = {name: Annotated[field.base, Parameter(help=meaning(name))] for name, field in described(Policy).items()}
    PolicyFlags = Annotated[TypedDict("PolicyFlags", flags, total=False), Parameter(name="*", group="Promotion policy")]


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
    from artifacts.reporting.report import REPORT
    from flows.commands.local_run import run_night
    from flows.commands.tables import night_screen

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
    from flows.commands.local_run import run_smoke

    outcome = run_smoke(console(stderr=json))
    if json:
        print_json(outcome.to_json())
    else:
        print_table(("tried", "what came of it"), outcome.rows())
        print(f"all as it should be, in {outcome.seconds:.0f} s")
