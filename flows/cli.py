"""The console script. It parses, calls and prints; what is heavy is imported by the command that needs it.

Exit codes: 0 done, 1 broken (the work failed), 2 refused (bad input, nothing changed), 3 not promoted.
"""

import getpass
import json as json_module
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from data.errors import BadInput, NightshiftError

if TYPE_CHECKING:
    from data.store import Store

DONE, BROKEN, REFUSED, NOT_PROMOTED = 0, 1, 2, 3

app = App(
    name="nightshift",
    help="Retrain every night, and promote only what is really better.",
    help_epilogue="Exit codes: 0 done, 1 broken, 2 refused (bad input), 3 not promoted.",
    version=lambda: metadata.version("nightshift"),
)
datasets = App(name="datasets", help="List the datasets, or bring your own.")
models = App(name="models", help="The registered models.")
app.command(datasets)
app.command(models)

Json = Annotated[bool, Parameter("--json", negative="", help="Print JSON for a script.")]
Flag = Parameter(negative="")


def main() -> None:
    """Run the command line and exit with its code."""
    console = _console(stderr=True)
    try:
        code = app(result_action="return_value", exit_on_error=False)
    except CycloptsError:
        code = REFUSED  # cyclopts has said what is wrong
    except NightshiftError as error:
        console.print("[bold red]refused:[/]" if error.exit_code == REFUSED else "[bold red]broken:[/]", end=" ")
        console.print(str(error), markup=False, soft_wrap=True)
        code = error.exit_code
    except KeyboardInterrupt:
        console.print("stopped; every step that was complete is kept, and the next run goes on from there")
        code = 130  # what shells expect of a program that ended on Ctrl-C
    sys.exit(code or DONE)


# -- the night --------------------------------------------------------------------------------------------------------


@app.command(
    help_epilogue="Example: nightshift retrain fashion-mnist --recipe cnn --recipe mlp:epochs=30,hidden=256x128"
)
def retrain(
    dataset: str = "mnist",
    *,
    recipe: tuple[str, ...] = (),
    seed: int = 0,
    seeds: int = 1,
    device: Literal["auto", "gpu", "cpu"] = "auto",
    min_accuracy: float | None = None,
    mode: Literal["normal", "dry-run", "force"] = "normal",
    reason: str = "",
    json: Json = False,
) -> int:
    """Download, validate, normalise, train, evaluate, decide, register and report.

    Args:
        dataset: Which dataset; `nightshift datasets` lists them.
        recipe: A candidate such as cnn or mlp:epochs=5; repeat it for several. Default: see `nightshift recipes`.
        seed: Decides initial weights, order of images and augmentation.
        seeds: Seeds per recipe; the recipe with the best mean goes before the gate, with its median seed.
        device: Where to train; gpu fails where there is none.
        min_accuracy: Test accuracy in [0, 1] below which nothing is promoted. Default: the dataset's.
        mode: dry-run decides and changes nothing; force promotes what the floors allow, and needs a reason.
        reason: Why you force; the ledger keeps it.
    """
    from flows.here import run_night

    options = {"seed": seed, "seeds": seeds, "device": device, "mode": mode, "reason": reason}
    night = run_night(_console(stderr=json), dataset=dataset, recipes=recipe, min_accuracy=min_accuracy, **options)
    return _finished(night, json)


@app.command(help_epilogue="Example: nightshift smoke")
def smoke(*, json: Json = False) -> int:
    """Run a whole night on a tiny bundled dataset, in a temporary home and without a network."""
    from flows.here import run_smoke

    return _finished(run_smoke(_console(stderr=json)), json)


def _finished(night: Any, json: bool) -> int:
    from artifacts.report import REPORT
    from flows.screens import night_screen

    report = _store().run(night.run) / REPORT
    if json:
        _print_json({**night.to_json(), "report": str(report)})
    else:
        _console().print(night_screen(night, str(report)))
    return DONE if night.promoted else NOT_PROMOTED


# -- what there is ----------------------------------------------------------------------------------------------------


@datasets.default
def list_datasets(*, json: Json = False) -> None:
    """List the datasets."""
    from data import catalogue

    store = _store()
    rows = [catalogue.get(store, name) for name in catalogue.names(store)]
    keys = ("name", "title", "n_train", "n_test", "height", "width", "class_names", "licence", "citation")
    if json:
        _print_json([{key: getattr(row, key) for key in keys} for row in rows])
    else:
        _print_table(
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
    classes: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
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
    row = catalogue.add(_store(), name, folder.expanduser(), classes, **more)  # type: ignore[arg-type]
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

    catalogue.remove(_store(), name)
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
        _print_json([_recipe_json(one) for one in shown])
    elif name:
        print(shown[0].document.strip())
        rows = [(key, one.default, one.range, one.help) for key, one in shown[0].parameters.items()]
        _print_table(("parameter", "default", "allowed", "meaning"), rows)
    else:
        rows = [("*" if one.name in DEFAULT_CANDIDATES else "", one.name, one.summary, one.claim) for one in shown]
        _print_table(("", "recipe", "what it is", "measured"), rows)
        print("* what a night trains unless told otherwise; `nightshift recipes NAME` shows the parameters")


def _recipe_json(recipe: Any) -> dict[str, Any]:
    parameters = {
        key: {"default": one.default, "allowed": one.range, "meaning": one.help}
        for key, one in recipe.parameters.items()
    }
    return {"name": recipe.name, "summary": recipe.summary, "claim": recipe.claim, "parameters": parameters}


# -- the registered models --------------------------------------------------------------------------------------------


@models.default
@models.command(name="list", help_epilogue="Example: nightshift models list mnist")
def list_models(dataset: str = "", *, json: Json = False) -> None:
    """List the registered versions; the champions are marked.

    Args:
        dataset: Only this one's.
    """
    from artifacts import versions
    from flows.screens import percent

    store = _store()
    names = (dataset,) if dataset else versions.datasets(store)
    rows = [_version_row(store, version) for name in names for version in versions.versions(store, name)]
    if json:
        _print_json(rows)
    elif rows:
        shown = [
            ("*" if row["champion"] else "", row["version"], row["recipe"], percent(row["accuracy"]), row["run"])
            for row in rows
        ]
        _print_table(("", "version", "recipe", "test accuracy", "registered by run"), shown)
    else:
        print("no model is registered yet\n  -> nightshift retrain")


def _version_row(store: "Store", version: Any) -> dict[str, Any]:
    from artifacts import registry

    champion = registry.champion_id(store, version.dataset)
    return {
        "version": version.id,
        "champion": version.id == champion,
        "recipe": version.recipe,
        "accuracy": version.document("metrics.json")["test"]["accuracy"],
        "weights": version.weights_digest,
        "run": version.run_id,
        "folder": str(version.folder),
    }


@app.command(help_epilogue="Example: nightshift show mnist/1")
def show(version: str, *, json: Json = False) -> None:
    """Show one version: what it is, what it was made from, how good it is, and what became of it.

    Args:
        version: Such as mnist/1; a dataset means its champion.
    """
    from artifacts import registry

    found = _find(version)
    story = registry.why(_store(), found.id)
    parts = {name: found.document(f"{name}.json") for name in ("metrics", "training", "provenance", "decision")}
    if json:
        _print_json({**_version_row(_store(), found), **parts, "history": [entry.to_json() for entry in story.entries]})
        return
    from flows.screens import version_screen

    _console().print(version_screen(found.id, parts, story.entries))


@app.command(help_epilogue="Example: nightshift history mnist")
def history(dataset: str = "mnist", *, json: Json = False) -> None:
    """Tell every decision ever taken about a dataset's champion, oldest first.

    Args:
        dataset: Whose.
    """
    from artifacts import registry

    entries = registry.history(_store(), _known(dataset))
    if json:
        _print_json([entry.to_json() for entry in entries])
    elif entries:
        rows = [
            (
                entry.when[:19].replace("T", " "),
                entry.action,
                entry.from_version,
                entry.to_version,
                entry.who,
                entry.why,
            )
            for entry in entries
        ]
        _print_table(("when (UTC)", "what", "from", "to", "who", "why"), rows)
    else:
        print(f"nothing has been decided about {dataset} yet\n  -> nightshift retrain {dataset}")


@app.command(help_epilogue="Example: nightshift champion mnist --at 2026-11-20")
def champion(dataset: str = "mnist", *, at: str = "", json: Json = False) -> int:
    """Say which version is champion, or was at some moment, and why.

    Args:
        dataset: Whose.
        at: A date or time such as 2026-11-20 or 2026-11-20T03:00; a date means its end, times are UTC.
    """
    from artifacts import registry

    entry = registry.champion_at(_store(), _known(dataset), _moment(at))
    if json:
        _print_json(entry.to_json() if entry else None)
    elif entry:
        when = entry.when[:19].replace("T", " ")
        print(f"{entry.to_version} since {when} UTC ({entry.action} by {entry.who}): {entry.why}")
    else:
        print(f"{dataset} had no champion{' then' if at else ' yet'}\n  -> nightshift retrain {dataset}")
    return DONE if entry else NOT_PROMOTED


@app.command(help_epilogue="Example: nightshift predict digit.png --model mnist --true 7 --save digit-prediction.png")
def predict(
    image: Path,
    *,
    model: str = "mnist",
    true: tuple[str, ...] = (),
    top: int = 3,
    save: Path | None = None,
    resize: Annotated[bool, Flag] = False,
    invert: Annotated[bool, Flag] = False,
    json: Json = False,
) -> None:
    """Ask a registered model what an image shows.

    Args:
        image: A PNG, JPEG, NPY or IDX file, with one image or several.
        model: A version such as mnist/1; a dataset means its champion.
        true: What it really is: a class name or number, one for each image.
        top: How many classes to print.
        save: Write the picture that shows image, answer and probabilities to this PNG file.
        resize: Fit an image of another size.
        invert: The image is dark on light; the datasets are light on dark.
    """
    from artifacts.asking import ask
    from flows.quiet import native_messages_to
    from flows.settings import prepare_environment

    prepare_environment()
    with native_messages_to(_store().root / "native.log"):
        answer = ask(_store(), _find(model), image, true=true, resize=resize, invert=invert)
    if save:
        answer.save(save)
    if json:
        _print_json(answer.to_json())
    else:
        print("\n".join((*(f"note: {warning}" for warning in answer.warnings), *answer.lines(top))))
        if save:
            print(f"picture: {save}")


@app.command(help_epilogue="Example: nightshift rollback mnist --why 'confuses 4 and 9 in production'")
def rollback(dataset: str, *, why: str, to: str = "", json: Json = False) -> None:
    """Make an earlier version champion again, and bar the one that was.

    Args:
        dataset: Whose champion.
        why: The reason; the ledger keeps it.
        to: A version such as mnist/1. Default: the champion before this one.
    """
    from artifacts import recall

    print("checking the earlier version in a fresh process and on the test images", file=sys.stderr)
    entry = recall.roll_back(_store(), _known(dataset), who=getpass.getuser(), why=why, to=to or None)
    if json:
        _print_json(entry.to_json())
    else:
        print(f"{entry.to_version} is champion of {dataset} again; {entry.from_version} is barred from promotion")


@app.command(help_epilogue="Example: nightshift verify")
def verify(*, repair: Annotated[bool, Flag] = False, json: Json = False) -> int:
    """Hash every registered file again, follow every ledger, and say what is wrong.

    Args:
        repair: Rebuild a damaged champion pointer from the ledger.
    """
    from artifacts import audit, versions

    store = _store()
    repaired = [done for dataset in versions.datasets(store) for done in audit.repair(store, dataset)] if repair else []
    findings = audit.verify(store)
    if json:
        _print_json({"findings": [finding.to_json() for finding in findings], "repaired": repaired})
    else:
        print("\n".join((*repaired, *(f"{one.subject}: {one.problem}\n  -> {one.hint}" for one in findings))))
        print(f"{len(findings)} findings" if findings else "everything is as it was written")
    return BROKEN if any(finding.serious for finding in findings) else DONE


def _find(name: str) -> Any:
    """Return the version called "mnist/1", or the champion of "mnist"."""
    from artifacts import registry, versions
    from data.errors import UnknownName

    if "/" in name:
        return versions.find(_store(), name)
    found = registry.champion(_store(), _known(name))
    if found is None:
        raise UnknownName(f"{name} has no champion yet", f"run: nightshift retrain {name}")
    return found


def _known(dataset: str) -> str:
    """Return the name of a dataset that the catalogue or the registry knows."""
    from artifacts import versions
    from data import catalogue

    store = _store()
    return dataset if dataset in versions.datasets(store) else catalogue.get(store, dataset).name


def _moment(text: str) -> datetime:
    if not text:
        return datetime.now(UTC)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is not a date or time", "write 2026-11-20 or 2026-11-20T03:00") from error
    if len(text) <= len("2026-11-20"):
        when = when.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


# -- small things -----------------------------------------------------------------------------------------------------


def _store() -> "Store":
    from flows.settings import settings

    return settings().store


def _print_json(value: Any) -> None:
    print(json_module.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def _print_table(headers: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from flows.screens import table

    _console().print(table(headers, rows))


def _console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal; a pipe or a log has no width, and nothing is folded for it."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = 160
    return console
