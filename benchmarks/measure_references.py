"""Measure the genuine data once more, and write the statistics that the expectations compare with.

    python -m benchmarks.measure_references ../shared/mirror

Writes data/references.py. A dataset that no mirror serves gets no reference, and the command says so.
"""

import sys
import tempfile
import textwrap
from dataclasses import asdict
from pathlib import Path

import data
from data.builtin import DATASETS
from data.errors import SourceUnavailable
from data.home.store import Store
from data.sources.source import download, read_raw
from data.statistics.summary import reference

HEAD = '''"""Statistics of the genuine images, written by `python -m benchmarks.measure_references <mirror>`."""

from data.dataset import Reference

# fmt: off
REFERENCES = {
'''


def main(mirror: str) -> None:
    """Measure every dataset of the catalogue and write the module."""
    text = HEAD
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for name, dataset in DATASETS.items():
            try:
                ref = download(store, dataset, (mirror,), deadline_s=60)
            except SourceUnavailable as error:
                print(f"{name}: not measured: {error}")
                continue
            measured = reference(read_raw(store, dataset, ref), dataset.n_classes)
            fields = "\n".join(_line(f"{key}={_value(value)},") for key, value in asdict(measured).items())
            text += f'    "{name}": Reference(\n{fields}\n    ),\n'
            print(f"{name}: measured")
    (Path(data.__file__).parent / "references.py").write_text(text + "}\n")


def _line(text: str) -> str:
    return "\n".join(
        textwrap.fill(line, 118, initial_indent=" " * 8, subsequent_indent=" " * 12) for line in text.splitlines()
    )


def _value(value: object) -> str:
    if not isinstance(value, dict):
        return repr(value)
    return "{\n" + "".join(f'    "{key}": {numbers!r},\n' for key, numbers in value.items()) + "}"


if __name__ == "__main__":
    main(sys.argv[1])
