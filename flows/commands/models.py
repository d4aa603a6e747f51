"""Commands about registered versions: list, show, ask, compare, train again, and check that their files are intact."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from data.dataset import Fit
from data.errors import BadInput, Corrupt
from flows.commands.console import (
    BROKEN,
    DONE,
    MODELS,
    Device,
    Flag,
    Json,
    Several,
    Text,
    VersionName,
    console,
    find_version,
    known_dataset,
    native_messages_to,
    print_json,
    print_table,
    ready_to_write,
    store,
)

if TYPE_CHECKING:
    from artifacts.registry.versions import Version
    from data.home.store import Store

app = App(name="versions")
models = App(name="models", help="List the registered versions.", group=MODELS)
app.command(models)


@models.default
@models.command(name="list", help_epilogue="Example: nightshift models list mnist")
def list_models(dataset: Text = "", *, json: Json = False) -> int:
    """List the registered versions; champions are marked with *. Damaged ones are named below.

    Args:
        dataset: Dataset to list. Default: all.
    """
    from artifacts.evaluation.numbers import percent
    from artifacts.registry import versions

    home = store()
    rows, damaged = [], []
    for name in (dataset,) if dataset else versions.datasets(home):
        for number in versions.numbers(home, name):
            try:
                rows.append(_version_row(home, versions.load(home, name, number)))
            except Corrupt as error:
                damaged.append({"version": f"{name}/{number}", "damaged": error.problem})
    if json:
        print_json([*rows, *damaged])
    elif rows:
        shown = [
            (
                "*" if row["champion"] else "",
                row["version"],
                row["recipe"],
                percent(row["accuracy"]) if row["accuracy"] is not None else "-",
                row["run"],
            )
            for row in rows
        ]
        print_table(
            ("", "version", "recipe", "test accuracy", "registered by run"), shown, spare=("registered by run",)
        )
    elif not damaged:
        print("no version is registered yet\n  -> nightshift retrain")
    for one in damaged:
        print(f"{one['version']} is damaged: {one['damaged']}\n  -> nightshift verify", file=sys.stderr)
    return BROKEN if damaged else DONE


def _version_row(home: "Store", version: "Version") -> dict[str, Any]:
    from artifacts.registry import champions, versions

    champion = champions.champion_id(home, version.dataset)
    versions.require_recorded(version, champions.history(home, version.dataset))
    return {
        "version": version.id,
        "champion": version.id == champion,
        "recipe": version.recipe,
        "accuracy": version.document("metrics.json").get("test", {}).get("accuracy"),
        "weights": version.weights_digest,
        "run": version.run_id,
        "folder": str(version.folder),
    }


@app.command(group=MODELS, help_epilogue="Example: nightshift show mnist/1")
def show(version: VersionName, *, json: Json = False) -> None:
    """Show a version: metrics, training, provenance and history."""
    from artifacts.registry import champions

    found = find_version(version)
    story = champions.version_history(store(), found.id)
    parts = {name: found.document(f"{name}.json") for name in ("metrics", "training", "provenance", "decision")}
    if json:
        print_json({**_version_row(store(), found), **parts, "history": [entry.to_json() for entry in story.entries]})
        return
    from flows.commands.tables import version_screen

    console().print(version_screen(found.id, parts, story.entries))


@app.command(
    group=MODELS,
    help_epilogue="Example: nightshift predict digit.png --model mnist --true 7 --save digit-prediction.png",
)
def predict(
    *images: Annotated[str, Parameter(allow_leading_hyphen=True)],  # - is standard input
    model: VersionName = "mnist",
    true: Annotated[tuple[str, ...], Several] = (),
    top: int = 3,
    save: Path | None = None,
    fit: Annotated[Fit | None, Parameter(show_default=False)] = None,
    from_photo: Annotated[bool, Flag] = False,
    invert: Annotated[bool, Flag] = False,
    resize: Annotated[bool, Flag] = False,  # noqa: ARG001  (scripts give it; it is what always happens now)
    json: Json = False,
) -> None:
    """Ask a version what images show.

    Probabilities are calibrated on the validation images. An image that is unlike the training images is marked, with
    its novelty: above 1 it may be none of the classes. What was done with the images is said before the
    answers.

    Args:
        images: PNG, JPEG, GIF, WebP, BMP, TIFF, NPY or IDX files, folders of pictures, http(s) URLs; - is standard
            input.
        true: Correct class, by name or number; repeat it for each image.
        top: Number of classes to print.
        save: PNG file to create, showing image, answer and probabilities.
        fit: How an image of another size is fitted. Default: as the training images were.
        from_photo: Cut a character out of a photograph of paper, as MNIST was made.
        invert: Invert an image whose ink is dark where the training images' is light, or the other way round.
        resize: Not needed any more: images of another size are always fitted.
    """
    from artifacts.prediction.predict import ask
    from flows.settings import prepare_environment

    prepare_environment()
    with native_messages_to(store().root / "native.log"):
        answer = ask(store(), find_version(model), images, true=true, fit=fit, from_photo=from_photo, invert=invert)
    if save:
        answer.save(save)
    if json:
        print_json(answer.to_json())
    else:
        notes = (f"note: {text}" for text in (*answer.notes, *answer.warnings))
        print("\n".join((*notes, *answer.lines(top))))
        if save:
            print(f"picture: {save}")


@app.command(group=MODELS, help_epilogue="Example: nightshift card mnist/3")
def card(version: VersionName) -> None:
    """Print the model card of a version."""
    from artifacts.registry.card import CARD, about, of_folder

    found = find_version(version)
    path = found.folder / CARD
    print(
        path.read_text() if path.is_file() else of_folder(found.id, found.folder, about(store(), found.dataset)), end=""
    )


@app.command(group=MODELS, help_epilogue="Example: nightshift export mnist --to savedmodel --to onnx exported")
def export(
    version: VersionName,
    folder: Path,
    *,
    to: Annotated[tuple[str, ...], Several] = (),
    json: Json = False,
) -> None:
    """Export a version for other software, such as ONNX Runtime.

    The folder gets NAME/NUMBER, the layout of TensorFlow Serving. Every format is asked the requests recorded with
    the version, in a process without Nightshift's code; if one answers otherwise, nothing is written.

    Args:
        folder: Folder to write into; made if it is not there.
        to: Format: savedmodel, onnx, litert, keras or weights; repeat it for several.
    """
    from artifacts.exporting.export import export as write

    found = find_version(version)
    progress = console(stderr=True)
    done = write(found, to, folder, lambda line: progress.print(line, markup=False, soft_wrap=True))
    if json:
        print_json({"version": found.id, "folder": str(done.folder), "formats": done.rows})
        return
    rows = [
        (row["format"], f"{row['bytes'] / 1e6:.2f} MB", row["library"], f"{row['max_abs_diff']:.1e}")
        for row in done.rows
    ]
    print_table(("format", "size", "answers as recorded in", "largest difference of a probability"), rows)
    print(f"{found.id}: {done.folder}   README.md says what the model takes and how to load it")


@app.command(group=MODELS, help_epilogue="Example: nightshift serve mnist fashion-mnist --port 8501")
def serve(*datasets: str, host: str = "127.0.0.1", port: int = 8501) -> None:
    """Answer requests over HTTP with champions, until Ctrl-C.

    In the REST form of TensorFlow Serving, for image files, and on a page to drop an image on. A promotion or rollback
    is followed without a restart. /health and /metrics are for monitors.

    Args:
        datasets: Datasets whose champions answer.
        host: Address to listen on; any but 127.0.0.1 requires the password in server/auth of the home.
        port: Port to listen on; 0 takes a free one.
    """
    from artifacts.serving.check import ENVIRONMENT
    from flows.serving.run import run
    from flows.settings import prepare_environment, set_environment

    if not datasets:
        raise BadInput("expected at least one dataset, got none", "write: nightshift serve mnist")
    names = [known_dataset(name) for name in datasets]
    prepare_environment()
    set_environment(ENVIRONMENT)
    quiet = native_messages_to(store().root / "native.log")
    run(store(), names, host, port, lambda line: print(line, flush=True), quiet)


@app.command(group=MODELS, help_epilogue="Example: nightshift diff mnist/1 mnist/2 --save difference.png")
def diff(first: VersionName, second: VersionName, *, save: Path | None = None, json: Json = False) -> None:
    """Compare two versions, and list the images on which they differ.

    Data, recipe, code, environment, seed and metrics are compared.

    Args:
        save: PNG file to create, showing the images on which they differ.
    """
    from artifacts.operations.diff import compare

    difference = compare(store(), find_version(first), find_version(second))
    if save:
        difference.save(save)
    if json:
        print_json(difference.to_json())
    else:
        print_table(("", difference.first, difference.second, ""), difference.rows())
        print(difference.sentence)
        if save:
            print(f"picture: {save}")


@app.command(group=MODELS, help_epilogue="Example: nightshift replay mnist/1")
def replay(version: VersionName, *, device: Device = "auto", json: Json = False) -> int:
    """Train a version again, and check that the weights are the same.

    Every input is taken from the version's provenance; if the weights differ, the inputs that differ are listed.

    Args:
        device: Where to train; gpu fails if there is none.
    """
    from artifacts.operations.replay import replay as train_again
    from flows.commands.progress import showing
    from flows.settings import prepare_environment
    from tasks.progress import Bar

    found = find_version(version)
    prepare_environment()
    with showing(console(stderr=True)), native_messages_to(store().root / "native.log"):
        bar = Bar(f"replay {found.id}")
        bar(0.0, "importing TensorFlow")
        result = train_again(
            store(), found, device, lambda now: bar(now.epoch / now.epochs, f"epoch {now.epoch} of {now.epochs}")
        )
    if json:
        print_json(result.to_json())
    else:
        if result.differing:
            rows = [(name, str(was), str(now)) for name, (was, now) in result.differing.items()]
            print_table(("", "then", "now"), rows)
        print(result.sentence)
    return DONE if result.same else BROKEN


@app.command(group=MODELS, help_epilogue="Example: nightshift verify")
def verify(*, repair: Annotated[bool, Flag] = False, load: Annotated[bool, Flag] = False, json: Json = False) -> int:
    """Hash every file and check every ledger, row and record again.

    The last line says what was checked, and what was not.

    Args:
        repair: Mend what needs no guess: a lost champion pointer, an untidy ledger, damaged files that are made anew.
            What is changed or moved is kept in quarantine/ of the home.
        load: Load every version that a rollback may need, too, and ask it the recorded requests.
    """
    from artifacts.operations.verify import check_home
    from artifacts.upkeep.repair import repair_home
    from flows.settings import prepare_environment

    if load:
        prepare_environment()
    repaired = repair_home(ready_to_write()) if repair else []
    report = check_home(store(), load=load)
    if json:
        print_json(
            {
                "findings": [finding.to_json() for finding in report.findings],
                "repaired": repaired,
                "checked": report.counts,
                "unchecked": report.unchecked,
            }
        )
    else:
        for line in (*repaired, *(f"{one.subject}: {one.problem}\n  -> {one.hint}" for one in report.findings)):
            print(line)
        print(report.sentence)
    return BROKEN if report.serious else DONE
