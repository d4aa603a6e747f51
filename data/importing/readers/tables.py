"""Tables: Parquet, CSV and JSON lines, with a column of images, of paths, or a column per pixel."""

import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, AnyStr, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from data.errors import BadFile
from data.importing.batches import BATCH, Batch, Encoded, Label, Missing, Source, Split, counted, split_of, spread
from data.importing.options import ImportOptions
from data.importing.pixels import Numbers, factor_of, image_shape
from data.importing.places.local import OneFile
from data.importing.places.place import File, Place
from data.sources.idx import GZIP_MAGIC

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
MAX_JSON = 64 << 20  # bytes of a JSON file that is one list; as objects they may take twenty times as much
MAX_LINE = 16 << 20  # bytes of a row of text; a file without line ends would be one row of any length
INTEGER = re.compile(r"-?(0|[1-9]\d*)(\.0+)?")

csv.field_size_limit(1 << 24)


@dataclass(frozen=True)
class _Table:
    """One file of a table.

    Args:
        file: where it lies.
        path: a local copy.
        image: the column with images or their paths; "" if each pixel has a column.
        label: the column with labels.
        split_column: the column with splits; "" if there is none.
        split: what the file's name says.
        pixels: the columns of the pixels.
        header: whether the first line of a CSV names the columns.
        columns: all columns.
        names: class names, from the metadata of Hugging Face.
    """

    file: File
    path: Path
    image: str
    label: str
    split_column: str
    split: Split
    pixels: tuple[str, ...]
    header: bool
    columns: tuple[str, ...]
    names: tuple[str, ...]


def is_table(file: File) -> bool:
    """Whether a file's name is that of a table."""
    return file.suffix in ENDINGS


def is_metadata(file: File) -> bool:
    """Whether a file is what Hugging Face's imagefolder has beside the images."""
    return PurePosixPath(file.name).name.lower() in ("metadata.csv", "metadata.jsonl", "metadata.parquet")


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
    found = [table for file in files or place.files if is_table(file) for table in _opened(file, options, notes)]
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
            yield from _batches(table, _rows(table), index, options, factor)

    def sample() -> Iterator[Batch]:
        for table in found:
            yield from _batches(table, islice(_rows(table, sampled=True), 4), index, options, factor)

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


# -- columns ----------------------------------------------------------------------------------------------------------


def _opened(file: File, options: ImportOptions, notes: list[str]) -> Iterator[_Table]:
    path = file.local()
    with _damage(file):
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
    yield _Table(
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
        rows = list(islice(_json_rows(file, path), 20))
        return tuple(dict.fromkeys(name for row in rows for name in row)), True
    with _plain(path) as stream:
        start = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        delimiter = _delimiter(file, start)
        first = next(csv.reader(_lines(start.readline, file), delimiter=delimiter), [])
    if len(first) > 4 and all(INTEGER.fullmatch(text.strip()) or _is_number(text) for text in first):
        return tuple(f"column {i}" for i in range(len(first))), False
    return tuple(first), True


def _delimiter(file: File, text: io.TextIOWrapper) -> str:
    if file.suffix == ".tsv":
        return "\t"
    start = next(_lines(text.readline, file), "")
    text.seek(0)
    return max(",;\t", key=start.count)


def _lines(readline: Callable[[int], AnyStr], file: File) -> Iterator[AnyStr]:
    """Yield the lines of a stream, none of which may be longer than any row.

    Raises:
        BadFile: one is.
    """
    while line := readline(MAX_LINE):
        if len(line) >= MAX_LINE:
            raise BadFile(
                f"{file.where}: expected rows of at most {MAX_LINE >> 20} MiB, found a longer one", "export it again"
            )
        yield line


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# -- rows -------------------------------------------------------------------------------------------------------------


def _rows(table: _Table, *, sampled: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the wanted columns in batches: lists by column, and "" for the pixels, an array (n, pixels)."""
    with _damage(table.file):
        if table.file.suffix == ".parquet":
            yield from _parquet_rows(table, sampled)
        elif table.file.suffix in (".csv", ".tsv"):
            yield from _csv_rows(table)
        else:
            yield from _dict_rows(table, _json_rows(table.file, table.path))


def _parquet_rows(table: _Table, sampled: bool) -> Iterator[dict[str, Any]]:
    wanted = [name for name in (table.image, table.label, table.split_column, *table.pixels) if name]
    with pq.ParquetFile(table.path) as file:
        groups = spread(file.num_row_groups, 4) if sampled else list(range(file.num_row_groups))
        for group in groups:
            for batch in file.iter_batches(BATCH, row_groups=[group], columns=wanted):
                yield _lists(table, batch)
                if sampled:
                    break


def _csv_rows(table: _Table) -> Iterator[dict[str, Any]]:
    texts = {name: pa.string() for name in (table.image, table.label, table.split_column) if name}
    with _plain(table.path) as stream:
        start = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        delimiter = _delimiter(table.file, start)
        stream.seek(0)
        reader = pa.csv.open_csv(
            stream,
            read_options=pa.csv.ReadOptions(
                block_size=4 << 20, column_names=None if table.header else list(table.columns)
            ),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=not table.pixels),
            convert_options=pa.csv.ConvertOptions(
                include_columns=[*texts, *table.pixels],
                column_types={**dict.fromkeys(table.pixels, pa.float32()), **texts},
                strings_can_be_null=False,
            ),
        )
        for block in reader:
            for at in range(0, block.num_rows, BATCH):
                yield _lists(table, block.slice(at, BATCH))
        start.detach()


def _lists(table: _Table, batch: Any) -> dict[str, Any]:
    lists: dict[str, Any] = {
        name: batch.column(name).to_pylist() for name in batch.schema.names if name not in table.pixels
    }
    if table.pixels:
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in table.pixels]
        lists[""] = np.stack(columns, axis=1).astype(np.float32)
    return lists


def _dict_rows(table: _Table, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    while some := list(islice(rows, BATCH)):
        lists: dict[str, Any] = {
            name: [row.get(name) for row in some] for name in (table.image, table.label, table.split_column) if name
        }
        if table.pixels:
            lists[""] = np.array([[row.get(name, 0) for name in table.pixels] for row in some], np.float32)
        yield lists


def _json_rows(file: File, path: Path) -> Iterator[dict[str, Any]]:
    with _plain(path) as stream:
        if file.suffix == ".json":
            content = stream.read(MAX_JSON + 1)
            if len(content) > MAX_JSON:
                raise BadFile(
                    f"{file.where}: expected at most {MAX_JSON >> 20} MiB, got more", "write JSON lines or Parquet"
                )
            rows = json.loads(content) if content.lstrip().startswith(b"[") else map(json.loads, content.splitlines())
        else:
            rows = (json.loads(line) for line in _lines(stream.readline, file) if line.strip())
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise BadFile(
                    f"{file.where}: row {number}: expected an object with columns, found {str(row)[:40]}",
                    "write one object per row",
                )
            yield row


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[BinaryIO]:
    """Open a file; a compressed one as what it holds."""
    import gzip

    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        yield stream


@contextlib.contextmanager
def _damage(file: File) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError, KeyError, csv.Error, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadFile(f"{file.where} cannot be read as a table: {reason}", "export it again") from error


# -- images -----------------------------------------------------------------------------------------------------------


def _factor(tables: list[_Table], options: ImportOptions, notes: list[str]) -> float:
    """Return what the pixel columns are multiplied by; 1 where there are none. They are read once for this."""
    if not tables[0].pixels:
        return 1.0
    low, high, whole = np.inf, -np.inf, True
    for table in tables:
        for lists in _rows(table):
            values = lists[""]
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            whole = whole and bool((values == np.rint(values)).all())
    if low == np.inf:
        raise BadFile(f"{tables[0].file.where}: expected rows, found none", "export the table again")
    kind = np.dtype(np.int64 if whole and high != 1 else np.float32)
    return factor_of((low, high), kind, tables[0].file.where, options, notes)


def _batches(
    table: _Table, rows: Iterator[dict[str, Any]], index: "_Index", options: ImportOptions, factor: float
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


def _split(table: _Table, value: Any) -> Split:
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


def _encoded(value: Any, table: _Table, index: "_Index") -> "Encoded | bytes | np.ndarray":
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


def _stacked(images: list[Any], table: _Table, options: ImportOptions) -> np.ndarray:
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

    def find(self, name: str, table: _Table) -> "Encoded":
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

    def _on_disk(self, name: str, table: _Table) -> "Encoded":
        """Return a file that a single table on this machine names; a table from the web names none."""
        if "://" in table.file.place.location:
            return Missing(f"{name} is not in the table, and a table from the web cannot name other files")
        folder = Path(table.file.place.location).expanduser().parent
        path = folder / name
        if not path.is_file():
            return Missing(f"there is no file {path}")
        return OneFile(str(path), table.file.place.scratch).fill(path, path.name).files[0]
