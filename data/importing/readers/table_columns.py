"""Which column of a table is what: images, labels, splits, or a pixel each."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import BadFile
from data.importing.batches import split_of
from data.importing.options import ImportOptions
from data.importing.places.place import File
from data.importing.readers.table_rows import Table, damage, json_rows, lines, plain, separator

ENDINGS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
IMAGE_NAMES = (
    "image",
    "img",
    "image_bytes",
    "bytes",
    "file_name",
    "filename",
    "file",
    "image_path",
    "path",
    "filepath",
    "pixels",
)
LABEL_NAMES = ("label", "labels", "class", "target", "category", "y", "fine_label", "emotion")
SPLIT_NAMES = ("split", "subset", "usage", "partition")
INTEGER = re.compile(r"-?(0|[1-9]\d*)(\.0+)?")


def is_table(file: File) -> bool:
    """Whether a file's name is that of a table."""
    return file.suffix in ENDINGS


def is_metadata(file: File) -> bool:
    """Whether a file is what Hugging Face's imagefolder has beside the images."""
    return file.name.rpartition("/")[2].lower() in ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def opened(file: File, options: ImportOptions, notes: list[str]) -> Iterator[Table]:
    """Yield a file as a table; nothing, and a note, where it has no column with images or none with labels.

    Args:
        file: where it lies.
        options: `image_column`, `label_column`, `split_column`.
        notes: sentences are added here.

    Raises:
        BadFile: it is damaged or empty, or has no column of a name that was given.
    """
    path = file.local()
    with damage(file):
        schema = pq.read_schema(path) if file.suffix == ".parquet" else None
        columns, header = (tuple(schema.names), True) if schema else _columns(file, path)
    if not columns:
        raise BadFile(f"{file.where}: expected rows, found none", "export the table again")
    label = _chosen(options.label_column, LABEL_NAMES, columns, file) or _class_column(schema)
    image = _chosen(options.image_column, IMAGE_NAMES, columns, file) or _binary_column(schema)
    split = _chosen(options.split_column, SPLIT_NAMES, columns, file)
    if not header:
        label = label or columns[0]
        notes.append(f"{file.where} has no header: the first column is the label, the others are pixels")
    pixels = () if image else tuple(name for name in columns if name not in (label, split) and _is_pixel(name, header))
    if not label or not (image or len(pixels) > 3):
        lacks = "labels" if image or len(pixels) > 3 else "images"
        notes.append(f"{file.name} is left out: no column with {lacks} among {', '.join(columns[:6])}")
        return
    yield Table(
        file, path, image, label, split, split_of(file.name), pixels, header, columns, _class_names(schema, label)
    )


def _chosen(given: str, usual: Sequence[str], columns: Sequence[str], file: File) -> str:
    if given and given not in columns:
        raise BadFile(f"{file.where} has no column {given!r}", f"its columns: {', '.join(columns[:20])}")
    lower = {name.strip().lower(): name for name in reversed(columns)}
    return given or next((lower[name] for name in usual if name in lower), "")


def _features(schema: Any) -> dict[str, Any]:
    """Return what Hugging Face's `datasets` wrote about the columns."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {str(name): feature for name, feature in features.items() if isinstance(feature, dict)}
    except (AttributeError, KeyError, ValueError, TypeError):
        return {}


def _class_column(schema: Any) -> str:
    labels = [name for name, feature in _features(schema).items() if feature.get("_type") == "ClassLabel"]
    return labels[0] if len(labels) == 1 else ""


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    names = _features(schema).get(label, {}).get("names") or ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _binary_column(schema: Any) -> str:
    if schema is None:
        return ""
    found = [
        field.name
        for field in schema
        if pa.types.is_binary(field.type)
        or pa.types.is_large_binary(field.type)
        or (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    ]
    return found[0] if len(found) == 1 else ""


def _is_pixel(name: str, header: bool) -> bool:
    return not header or bool(re.fullmatch(r"(pixel|pix|px|p|x|f|col|v)?[-_ ]?\d+([x_,.]\d+)?", name.strip().lower()))


def _columns(file: File, path: Path) -> tuple[tuple[str, ...], bool]:
    """Return the columns of a text table, and whether its first line names them."""
    if file.suffix not in (".csv", ".tsv"):
        rows = list(islice(json_rows(file, path), 20))
        return tuple(dict.fromkeys(name for row in rows for name in row)), True
    with plain(path) as stream:
        start = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        delimiter = separator(file, start)
        first = next(csv.reader(lines(start.readline, file), delimiter=delimiter), [])
    if len(first) > 4 and all(INTEGER.fullmatch(text.strip()) or _is_number(text) for text in first):
        return tuple(f"column {i}" for i in range(len(first))), False
    return tuple(first), True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
