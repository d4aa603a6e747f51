"""What lies beside an exported model: the names of its classes, what was measured, and how to load it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from artifacts.exporting.formats import Format
from artifacts.exporting.parity import TOLERANCE, Parity
from artifacts.models import bundle
from artifacts.registry.versions import Version
from data.dataset import Geometry
from data.home.files import file_sha256

SCHEMA = 1
CLASS_NAMES, EXPORT, README = "class_names.json", "export.json", "README.md"
HOW = {
    "pad": "scaled until all of it fits, on the ground colour",
    "crop": "scaled and cut to its middle",
    "stretch": "stretched",
}


def write(folder: Path, version: Version, formats: Sequence[Format], measured: Sequence[Parity]) -> None:
    """Write CLASS_NAMES, EXPORT and README into a folder that holds the converted model."""
    names, geometry = bundle.class_names(version.folder), bundle.geometry(version.folder)
    hashes = {
        path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
    (folder / CLASS_NAMES).write_text(json.dumps(list(names), ensure_ascii=False, indent=1) + "\n")
    value = {
        "schema": SCHEMA,
        "version": version.id,
        "weights_digest": version.weights_digest,
        "input": _input(geometry),
        "output": {"dtype": "float32", "shape": [None, len(names)], "meaning": "calibrated probabilities"},
        "tolerance": TOLERANCE,
        "formats": [asdict(one) for one in measured],
        "sha256": hashes,
    }
    (folder / EXPORT).write_text(json.dumps(value, indent=1) + "\n")
    (folder / README).write_text(_readme(version, formats, measured, geometry, names))


def _input(geometry: Geometry) -> dict[str, Any]:
    return {
        "name": "images",
        "dtype": "uint8",
        "shape": [None, *geometry.shape],
        "range": [0, 255],
        "fit": geometry.fit,
        "ground": list(geometry.ground),
    }


def _readme(
    version: Version, formats: Sequence[Format], measured: Sequence[Parity], geometry: Geometry, names: Sequence[str]
) -> str:
    shape = f"(n, {', '.join(map(str, geometry.shape))})"
    colours = "grey, without an axis for channels" if geometry.channels == 1 else "red, green, blue in the last axis"
    ground = ", ".join(map(str, geometry.ground))
    parts = [
        f"# {version.id}, exported by Nightshift\n",
        f"- Takes `images`: uint8 {shape}, {colours}, 0 to 255 as in the file. Scaling is part of the model.\n"
        f"- Images of another size: in training each was {HOW[geometry.fit]}; the ground colour is {ground}.\n"
        f"- Gives float32 (n, {len(names)}): calibrated probabilities, in the order of `{CLASS_NAMES}`.\n"
        f"- Recipe {version.recipe}, weights {version.weights_digest[:12]}. `{EXPORT}` has every hash.\n",
        "Every format was asked the requests that are recorded with the version, in a process without Nightshift:\n",
        "| format | loaded by | images | same classes | largest difference of a probability |\n|---|---|---|---|---|",
        *(
            f"| {one.format} | {one.library} | {one.n_requests} | {'yes' if one.argmax_equal else 'no'} | "
            f"{one.max_abs_diff:.1e} |"
            for one in measured
        ),
        f"\nAt most {TOLERANCE:g} is accepted.",
        *(f"\n## {row.title}\n\n```python\n{row.loads}\n```" for row in formats),
    ]
    if any(row.name == "savedmodel" for row in formats):
        parts.append(_serving(version))
    return "\n".join(parts) + "\n"


def _serving(version: Version) -> str:
    return (
        "\n## TensorFlow Serving\n\nThe folder two levels up is the model's base path: each version is a number in it, "
        "and a new one is taken without a restart.\n\n"
        f"    tensorflow_model_server --rest_api_port=8501 --model_name={version.dataset} "
        f'--model_base_path="$DIR/{version.dataset}"\n\n'
        f"Signature `serving_default`: input `images`, output `output_0`. Answers under "
        f"`/v1/models/{version.dataset}:predict`."
    )
