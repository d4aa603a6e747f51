"""The model card of a version: README.md in its folder, with the metadata header that the Hugging Face Hub reads.

The sections are those of Mitchell et al., Model Cards for Model Reporting (2019). Everything in them is copied from the
version's own documents; what is not recorded is said to be not recorded, or left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from artifacts.evaluation.numbers import NONE, number, percent, with_interval
from artifacts.models import bundle
from data.errors import NightshiftError
from data.home.store import Store

CARD = "README.md"
DOCUMENTS = ("metrics", "training", "provenance", "decision", "interface")
MOST_CLASSES = 50  # with a row each

Documents = Mapping[str, Mapping[str, Any]]

FOLDER = """\
# Registered models of {dataset}

`versions/` has one folder per registered version: a Keras model file, its metrics and predictions, the decision that
promoted it, everything it was made from, and a model card (`README.md`; older versions: `nightshift card {dataset}/1`).
`champion.json` names the version in use, `ledger.jsonl` has every decision.

Nothing here is to be changed by hand: every file is recorded with its hash, and `nightshift verify` finds differences.

    nightshift models list {dataset}       # the versions
    nightshift history {dataset}           # every decision, and why
    nightshift serve {dataset}             # ask the champion over HTTP
    nightshift export {dataset} --to savedmodel DIR
"""


def of_folder(version: str, folder: Path, dataset: Mapping[str, str] | None = None) -> str:
    """Return the card of a version, or of a version that is being written.

    Args:
        version: as "mnist/3".
        folder: its files; documents that cannot be read are left out.
        dataset: see `about`; without it, the card has the dataset's name only.
    """
    name = version.partition("/")[0]
    documents = {document: _document(folder / f"{document}.json") for document in DOCUMENTS}
    return card(version, documents, dataset or {"name": name, "title": name})


def about(store: Store, dataset: str) -> dict[str, str]:
    """Return title, licence and citation of a dataset, as far as the catalogue knows them.

    For callers of the registry, not for itself: the catalogue imports pydantic, the registry needs nothing but Python.
    """
    from data import catalogue

    try:
        row = catalogue.get(store, dataset)
    except NightshiftError:
        return {"name": dataset, "title": dataset}
    return {"name": dataset, "title": row.title, "licence": row.licence, "citation": row.citation}


def card(version: str, documents: Documents, dataset: Mapping[str, str]) -> str:
    """Return a model card in Markdown.

    Args:
        version: as "mnist/3".
        documents: the version's JSON documents by name, without ".json".
        dataset: see `about`.
    """
    sections = (
        ("Model details", _details(documents)),
        ("Intended use", _use(documents, dataset)),
        ("Evaluation data and metrics", _evaluation(documents)),
        ("Training data", _data(documents, dataset)),
        ("Quantitative analyses", _classes(documents)),
        ("Decision", _decision(documents)),
        ("Ethical considerations, caveats and recommendations", _caveats(documents)),
        ("How to use it", iter([_usage(version)])),
    )
    text = [_header(version, documents, dataset), f"# {version}\n"]
    for title, lines in sections:
        text.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(text)


def _document(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _header(version: str, documents: Documents, dataset: Mapping[str, str]) -> str:
    """Return the metadata in YAML; a JSON string is a YAML string."""
    test = documents["metrics"].get("test", {})
    lines = ["library_name: keras", "pipeline_tag: image-classification", "tags: [nightshift, image-classification]"]
    if "accuracy" in test:
        lines += [
            "model-index:",
            f"- name: {json.dumps(version)}",
            "  results:",
            "  - task: {type: image-classification}",
            f"    dataset: {{name: {json.dumps(dataset['title'])}, type: {json.dumps(dataset['name'])}, split: test}}",
            "    metrics:",
            f"    - {{type: accuracy, value: {json.dumps(test['accuracy'])}}}",
        ]
    return "\n".join(("---", *lines, "---", ""))


def _details(documents: Documents) -> Iterator[str]:
    made, training = documents["provenance"], documents["training"]
    parameters = ", ".join(f"{name}={value}" for name, value in made.get("parameters", {}).items())
    yield f"- recipe: `{made.get('recipe', NONE)}`{f' with {_plain(parameters)}' if parameters else ''}"
    yield f"- seed: {made.get('seed', NONE)}; parameters of the network: {number(training.get('n_parameters'), 0)}"
    yield f"- weights: SHA-256 `{made.get('weights_digest', NONE)}`"
    if made.get("parent"):
        yield f"- the training began with the weights of {_plain(made['parent'])}"
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(made.get("libraries", {}).items()))
    yield f"- made by run `{made.get('run_id', NONE)}` with Python {made.get('python', NONE)}, {_plain(libraries)}"
    yield f"- trained on: {_plain(made.get('device', NONE))}, {number(training.get('seconds'), 1, ' s')}"
    if commit := made.get("git_commit"):
        yield f"- code: commit `{commit}`{', with uncommitted changes' if made.get('git_dirty') else ''}"
    yield "- who may use the model, and under which licence: not recorded"


def _use(documents: Documents, dataset: Mapping[str, str]) -> Iterator[str]:
    form = documents["interface"]
    names = form.get("class_names", [])
    if {"height", "width"} <= form.keys():
        colour = "grey" if form.get("channels", 1) == 1 else "colour"
        yield f"- takes {colour} images of {form['height']} x {form['width']} pixels, uint8, as they are in the file"
    shown = ", ".join(map(str, names[:MOST_CLASSES])) + (", ..." if len(names) > MOST_CLASSES else "")
    yield f"- gives a calibrated probability for each of {len(names)} classes: {_plain(shown)}"
    yield f"- made for images like those of {_plain(dataset['title'])}; other uses were not evaluated"


def _evaluation(documents: Documents) -> Iterator[str]:
    yield "| split | images | accuracy (95 % interval) | log loss | calibration error |"
    yield "|---|---|---|---|---|"
    for split in ("test", "validation"):
        found = documents["metrics"].get(split, {})
        accuracy = with_interval(found["accuracy"], found["low"], found["high"]) if "low" in found else NONE
        yield (
            f"| {split} | {number(found.get('n_examples'), 0)} | {accuracy} | {number(found.get('log_loss'), 4)} | "
            f"{number(found.get('ece'), 4)} |"
        )
    yield ""
    yield "The validation images chose the winner and the temperature; the test images decided about the promotion."


def _data(documents: Documents, dataset: Mapping[str, str]) -> Iterator[str]:
    training, made = documents["training"], documents["provenance"]
    yield f"- dataset: {_plain(dataset['title'])} (`{dataset['name']}`), {number(training.get('n_train'), 0)} images"
    yield f"- source files: digest `{made.get('raw_digest', NONE)}`; prepared: `{made.get('prepared_digest', NONE)}`"
    yield f"- licence of the images: {_plain(dataset.get('licence') or 'not recorded')}"
    if dataset.get("citation"):
        yield f"- citation: {_plain(dataset['citation'])}"


def _classes(documents: Documents) -> Iterator[str]:
    rows = documents["metrics"].get("test", {}).get("per_class", [])
    names = documents["interface"].get("class_names", [])
    if not rows or len(rows) > MOST_CLASSES or len(names) != len(rows):
        yield "Figures per class: `metrics.json`."
        return
    yield "| class | test images | precision | recall |"
    yield "|---|---|---|---|"
    for name, row in zip(names, rows, strict=True):
        yield (
            f"| {_plain(name)} | {number(row.get('support'), 0)} | {percent(row.get('precision'))} | "
            f"{percent(row.get('recall'))} |"
        )


def _decision(documents: Documents) -> Iterator[str]:
    decision = documents["decision"]
    yield f"{decision.get('verdict', NONE)}: {_plain(decision.get('reason', 'not recorded'))}."


def _caveats(documents: Documents) -> Iterator[str]:
    yield "- Whether the images show people, or the classes matter to anybody's rights, is not recorded."
    yield "- An image of none of the classes gets one all the same. `nightshift predict` and `serve` mark images that"
    yield "  are unlike the training images."
    yield "- The figures are of the test images of the night on which it was made. `nightshift why` has the rest."
    if worst := _worst(documents):
        yield f"- Lowest recall of a class on the test images: {worst}."


def _worst(documents: Documents) -> str:
    rows: Sequence[Mapping[str, Any]] = documents["metrics"].get("test", {}).get("per_class", [])
    names = documents["interface"].get("class_names", [])
    measured = [(row["recall"], _plain(name)) for row, name in zip(rows, names, strict=False) if row.get("support")]
    if not measured:
        return ""
    recall, name = min(measured)
    return f"{name}, {percent(recall)}"


def _usage(version: str) -> str:
    dataset = version.partition("/")[0]
    return (
        f"    nightshift predict image.png --model {version}\n"
        f"    nightshift export {version} --to savedmodel DIR     # also onnx, litert, keras, weights\n"
        f"    nightshift serve {dataset}                          # the champion of {dataset}\n\n"
        f"`{bundle.MODEL}` is a Keras model file from uint8 images to probabilities."
    )


def _plain(text: object) -> str:
    """Return text that Markdown shows as it is, in one line."""
    line = " ".join(str(text).split())
    return "".join(f"\\{one}" if one in "\\`*_[]<>|#" else one for one in line)
