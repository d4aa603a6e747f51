"""Tables: Parquet, CSV and JSON lines, with a column of images, of paths, or a column per pixel."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data.errors import BadFile
from data.importing.batches import Batch, Encoded, Label, Missing, Source, Split, counted, split_of
from data.importing.options import ImportOptions
from data.importing.pixels import Numbers, factor_of, image_shape
from data.importing.places.local import OneFile
from data.importing.places.place import File, Place
from data.importing.readers.table_columns import INTEGER, is_table, opened
from data.importing.readers.table_rows import Table, rows_of


def open_tables(place: Place, options: ImportOptions, files: Sequence[File] = ()) -> Source:
    """Look through tables.

    Args:
        place: where they lie, and the images that they name.
        options: `image_column`, `label_column`, `split_column`, size and range of pixels.
        files: the tables; all those of the place, if not given.

    Raises:
        BadFile: a table is damaged or empty, or has no column with images or labels.
    """
    notes: list[str] = []
    found = [table for file in files or place.files if is_table(file) for table in opened(file, options, notes)]
    if not found:
        raise BadFile(
            f"{place.location}: expected a table with images and labels, found none; "
            f"{'; '.join(notes) or 'there is no table'}",
            "name the columns with --image-column and --label-column",
        )
    first = found[0]
    what = f"{len(first.pixels)} pixel columns" if first.pixels else f"images from column {first.image!r}"
    notes.append(f"{what}, labels from column {first.label!r}")
    factor = _factor(found, options, notes)
    index = _Index(place)

    def batches() -> Iterator[Batch]:
        for table in found:
            yield from _batches(table, rows_of(table), index, options, factor)

    def sample() -> Iterator[Batch]:
        for table in found:
            yield from _batches(table, islice(rows_of(table, sampled=True), 4), index, options, factor)

    total = sum(pq.read_metadata(table.path).num_rows for table in found if table.file.suffix == ".parquet")
    return Source("table", total, batches, sample, class_names=first.names, notes=notes)


def label_of(value: Any) -> Label:
    """Return a label as a table or a text has it: whole numbers are numbers, other texts are names; None if empty."""
    if value is None or isinstance(value, bool | int):
        return None if value is None else int(value)
    if isinstance(value, float):
        return None if value != value else int(value) if value == int(value) else str(value)  # noqa: PLR0124
    text = str(value).strip()
    return int(float(text)) if INTEGER.fullmatch(text) else text or None


def _factor(tables: list[Table], options: ImportOptions, notes: list[str]) -> float:
    """Return what the pixel columns are multiplied by; 1 where there are none. They are read once for this."""
    if not tables[0].pixels:
        return 1.0
    low, high, whole = np.inf, -np.inf, True
    for table in tables:
        for lists in rows_of(table):
            values = lists[""]
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            whole = whole and bool((values == np.rint(values)).all())
    if low == np.inf:
        raise BadFile(f"{tables[0].file.where}: expected rows, found none", "export the table again")
    kind = np.dtype(np.int64 if whole and high != 1 else np.float32)
    return factor_of((low, high), kind, tables[0].file.where, options, notes)


def _batches(
    table: Table, rows: Iterator[dict[str, Any]], index: "_Index", options: ImportOptions, factor: float
) -> Iterator[Batch]:
    at = 0
    for lists in rows:
        labels = [label_of(value) for value in lists[table.label]]
        splits = (
            [_split(table, value) for value in lists[table.split_column]]
            if table.split_column
            else [table.split] * len(labels)
        )
        if table.pixels:
            shape = image_shape((len(table.pixels),), table.file.where, options)
            images: Any = Numbers(lists[""], shape, factor)[:]
        else:
            images = [_encoded(value, table, index) for value in lists[table.image]]
            if images and isinstance(images[0], np.ndarray):
                images = _stacked(images, table, options)
        start = at + (2 if table.header and table.file.suffix in (".csv", ".tsv") else 1)
        container = None if table.pixels or any(map(_is_elsewhere, lists[table.image])) else table.file
        yield Batch(images, labels, splits, counted(f"{table.file.where}, row", start), container)
        at += len(labels)


def _split(table: Table, value: Any) -> Split:
    found = split_of(str(value or ""))
    if value and not found:
        raise BadFile(
            f"{table.file.where}: column {table.split_column!r} says {value!r}, which is no split",
            "expected train, validation or test; name another column with --split-column",
        )
    return found or table.split


def _is_elsewhere(value: Any) -> bool:
    """Whether a cell names an image file, or holds numbers, which mean something only together with others."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    return value is not None and not isinstance(value, bytes | bytearray)


def _encoded(value: Any, table: Table, index: "_Index") -> "Encoded | bytes | np.ndarray":
    """Return the image that a cell holds or names."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str) and value.strip():
        numbers = value[:64].split()
        if len(numbers) > 8 and all(number.isdigit() for number in numbers[:8]):  # "70 80 82 ...", as in FER2013
            return np.array(value.split(), np.float32)
        return index.find(value.strip(), table)
    if isinstance(value, list):
        return np.asarray(value)
    return Missing("there is no image in this row")


def _stacked(images: list[Any], table: Table, options: ImportOptions) -> np.ndarray:
    if any(not isinstance(image, np.ndarray) or image.shape != images[0].shape for image in images):
        raise BadFile(
            f"{table.file.where}: expected lists of numbers of one length in column {table.image!r}", "export it again"
        )
    array = np.stack(images)
    shape = image_shape(array.shape[1:], table.file.where, options)
    kind = np.dtype(np.int64) if float(array.max(initial=0)) > 1 else array.dtype
    return Numbers(
        array, shape, factor_of((float(array.min()), float(array.max())), kind, table.file.where, options, [])
    )[:]


class _Index:
    """Finds the images that a table names: by path from the table on, from the place on, by name, or by stem."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._names: dict[str, list[File]] = {}

    def find(self, name: str, table: Table) -> "Encoded":
        if isinstance(table.file.place, OneFile):
            return self._on_disk(name, table)
        name = name.replace("\\", "/")
        relative = (PurePosixPath(table.file.name).parent / name).as_posix()
        found = self._place.find(relative) or self._place.find(name)
        if found:
            return found
        if not self._names:
            for file in self._place.files:
                path = PurePosixPath(file.name)
                for key in {path.name, path.stem}:
                    self._names.setdefault(key, []).append(file)
        others = [file for file in self._names.get(PurePosixPath(name).name, []) if not is_table(file)]
        if len(others) == 1:
            return others[0]
        return Missing(f"there is no file {name}" if not others else f"{name} could be {len(others)} files")

    def _on_disk(self, name: str, table: Table) -> "Encoded":
        """Return a file that a single table on this machine names; a table from the web names none."""
        if "://" in table.file.place.location:
            return Missing(f"{name} is not in the table, and a table from the web cannot name other files")
        folder = Path(table.file.place.location).expanduser().parent
        path = folder / name
        if not path.is_file():
            return Missing(f"there is no file {path}")
        return OneFile(str(path), table.file.place.scratch).fill(path, path.name).files[0]
