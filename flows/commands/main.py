"""The console script: parses, calls and prints. Heavy imports are made by the command that needs them.

Exit codes: 0 done, 1 broken (the work failed), 2 refused (bad input, nothing changed), 3 not promoted,
4 approved by the gate, waits for a person.
"""

import sys
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from cyclopts import App, CycloptsError, Parameter

from artifacts.gate.policy import Policy, meaning
from data.errors import NightshiftError
from data.fields import described
from data.home.files import disk_failures
from flows.commands import admin, datasets, models, recipes, registry
from flows.commands.console import (
    BROKEN,
    DATA,
    DONE,
    NIGHTS,
    NOT_PROMOTED,
    OPTIONS,
    REFUSED,
    WAITS,
    Device,
    Flag,
    Json,
    Several,
    Text,
    console,
    print_json,
    print_table,
    robust_streams,
    store,
)
from flows.runs.stopping import LINE, leave
from flows.settings import remove_private_home

app = App(
    name="nightshift",
    help="Retrain every night, and promote only a model that is better beyond chance.",
    help_epilogue="Exit codes: 0 done, 1 broken, 2 refused (bad input), 3 not promoted, 4 waits for a person.",
    version=lambda: metadata.version("nightshift"),
    suppress_keyboard_interrupt=False,  # `main` says what it means
)
for listed in (datasets.app, recipes.app):
    listed.group = DATA
    app.command(listed)
for commands in (models.app, registry.app, admin.app):
    app.command(commands, name="*")
app.register_install_completion_command(help="Install completion for this shell.")
for option in ("--help", "--version", "--install-completion"):
    app[option].group = OPTIONS


def main() -> None:
    """Run the command line and exit with its code."""
    output = robust_streams()
    screen = console(stderr=True)
    try:
        with disk_failures():
            code = app(result_action="return_value", exit_on_error=False)
    except CycloptsError:
        code = REFUSED  # cyclopts has printed what is wrong
    except NightshiftError as error:
        screen.print("[bold red]refused:[/]" if error.exit_code == REFUSED else "[bold red]broken:[/]", end=" ")
        screen.print(str(error), markup=False, soft_wrap=True)
        code = error.exit_code
    except KeyboardInterrupt as error:
        screen.print(LINE)
        sys.stdout.flush()
        leave(getattr(error, "exit_code", 130), remove_private_home)  # 130: by convention, what Ctrl-C ended
    sys.stdout.flush()
    if output.lost:
        screen.print(f"[bold red]broken:[/] standard output could not be written: {output.lost.strerror}")
        code = BROKEN if code is None else code  # a night has its own result, printed or not
    sys.exit(code or DONE)


# -- the night --------------------------------------------------------------------------------------------------------

if TYPE_CHECKING:
    PolicyFlags = dict[str, Any]
else:  # a flag for each field of the policy; only those that were given are in the dictionary
    flags = {name: Annotated[field.base, Parameter(help=meaning(name))] for name, field in described(Policy).items()}
    PolicyFlags = Annotated[TypedDict("PolicyFlags", flags, total=False), Parameter(name="*", group="Promotion policy")]


@app.command(
    group=NIGHTS,
    help_epilogue="Example: nightshift retrain fashion-mnist --recipe cnn --recipe mlp:epochs=30,hidden=256x128",
)
def retrain(
    dataset: str = "mnist",
    *,
    recipe: Annotated[tuple[str, ...], Several] = (),
    seed: int = 0,
    seeds: int = 1,
    device: Device = "auto",
    mode: Literal["normal", "dry-run", "force"] = "normal",
    reason: Text = "",
    policy: PolicyFlags | None = None,
    quiet: Annotated[bool, Flag] = False,
    json: Json = False,
) -> int:
    """Train candidates, and promote the best if it beats the champion.

    The steps: download, validate, normalise, train, evaluate, decide, register, report.

    Args:
        dataset: Dataset to train on; `nightshift datasets` lists them.
        recipe: Candidate such as cnn or mlp:epochs=5; repeat it for several. Default: see `nightshift recipes`.
        seed: Integer that determines initial weights, order of images and augmentation.
        seeds: Seeds per recipe; the recipe with the best mean wins and is represented by its median seed.
        device: Where to train; gpu fails if there is none.
        mode: dry-run decides and changes nothing; force skips the comparison, never the minimum requirements.
        reason: Why the promotion is forced, in one sentence; recorded in the ledger. Required by force.
        quiet: Print only the verdict with its reason, and where the report is.
    """
    from artifacts.reporting.report import PAGE
    from flows.commands.local_run import run_night
    from flows.commands.tables import night_screen

    options = {"seed": seed, "seeds": seeds, "device": device, "mode": mode, "reason": reason}
    night = run_night(console(stderr=json, quiet=quiet), dataset=dataset, recipes=recipe, policy=policy, **options)
    report = store().run(night.run) / PAGE
    if json:
        print_json({**night.to_json(), "report": str(report)})
    elif quiet:
        print(f"{night.headline}: {night.reason}\nreport: {report}")
    else:
        console().print(night_screen(night, str(report)), soft_wrap=True)  # tables fit, paths stay whole
    return DONE if night.promoted else WAITS if night.waiting else NOT_PROMOTED


@app.command(group=NIGHTS, help_epilogue="Example: nightshift smoke")
def smoke(*, json: Json = False) -> None:
    """Check this installation with nights on a tiny bundled dataset.

    Needs no network, and works in a temporary home: corrupted data must be refused, a good model promoted, a bad one
    rejected.
    """
    from flows.commands.local_run import run_smoke

    outcome = run_smoke(console(stderr=json))
    if json:
        print_json(outcome.to_json())
    else:
        print_table(("input", "result"), outcome.rows())
        print(f"all checks passed in {outcome.seconds:.0f} s")
