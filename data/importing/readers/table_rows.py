"""The rows of a table, in batches: from Parquet, CSV or JSON lines, compressed or not."""

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, AnyStr, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from data.errors import BadFile
from data.importing.batches import BATCH, Split, spread
from data.importing.places.place import File
from data.sources.idx import GZIP_MAGIC

MAX_JSON = 64 << 20  # bytes of a JSON file that is one list; as objects they may take twenty times as much
MAX_LINE = 16 << 20  # bytes of a row of text; a file without line ends would be one row of any length

csv.field_size_limit(1 << 24)


@dataclass(frozen=True)
class Table:
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


def rows_of(table: Table, *, sampled: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the wanted columns in batches: lists by column, and "" for the pixels, an array (n, pixels)."""
    with damage(table.file):
        if table.file.suffix == ".parquet":
            yield from _parquet_rows(table, sampled)
        elif table.file.suffix in (".csv", ".tsv"):
            yield from _csv_rows(table)
        else:
            yield from _dict_rows(table, json_rows(table.file, table.path))


def _parquet_rows(table: Table, sampled: bool) -> Iterator[dict[str, Any]]:
    wanted = [name for name in (table.image, table.label, table.split_column, *table.pixels) if name]
    with pq.ParquetFile(table.path) as file:
        groups = spread(file.num_row_groups, 4) if sampled else list(range(file.num_row_groups))
        for group in groups:
            for batch in file.iter_batches(BATCH, row_groups=[group], columns=wanted):
                yield _lists(table, batch)
                if sampled:
                    break


def _csv_rows(table: Table) -> Iterator[dict[str, Any]]:
    texts = {name: pa.string() for name in (table.image, table.label, table.split_column) if name}
    with plain(table.path) as stream:
        start = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        delimiter = separator(table.file, start)
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


def _lists(table: Table, batch: Any) -> dict[str, Any]:
    lists: dict[str, Any] = {
        name: batch.column(name).to_pylist() for name in batch.schema.names if name not in table.pixels
    }
    if table.pixels:
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in table.pixels]
        lists[""] = np.stack(columns, axis=1).astype(np.float32)
    return lists


def _dict_rows(table: Table, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    while some := list(islice(rows, BATCH)):
        lists: dict[str, Any] = {
            name: [row.get(name) for row in some] for name in (table.image, table.label, table.split_column) if name
        }
        if table.pixels:
            lists[""] = np.array([[row.get(name, 0) for name in table.pixels] for row in some], np.float32)
        yield lists


def json_rows(file: File, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of JSON lines, or of a JSON file that is one list.

    Raises:
        BadFile: a row is no object, or a list is too large.
    """
    with plain(path) as stream:
        if file.suffix == ".json":
            content = stream.read(MAX_JSON + 1)
            if len(content) > MAX_JSON:
                raise BadFile(
                    f"{file.where}: expected at most {MAX_JSON >> 20} MiB, got more", "write JSON lines or Parquet"
                )
            rows = json.loads(content) if content.lstrip().startswith(b"[") else map(json.loads, content.splitlines())
        else:
            rows = (json.loads(line) for line in lines(stream.readline, file) if line.strip())
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise BadFile(
                    f"{file.where}: row {number}: expected an object with columns, found {str(row)[:40]}",
                    "write one object per row",
                )
            yield row


@contextlib.contextmanager
def plain(path: Path) -> Iterator[BinaryIO]:
    """Open a file; a compressed one as what it holds."""
    import gzip

    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        yield stream


@contextlib.contextmanager
def damage(file: File) -> Iterator[None]:
    """Raise what is wrong with a file as BadFile."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError, KeyError, csv.Error, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadFile(f"{file.where} cannot be read as a table: {reason}", "export it again") from error


def separator(file: File, text: io.TextIOWrapper) -> str:
    """Return what separates the columns of a text table, by its first line."""
    if file.suffix == ".tsv":
        return "\t"
    start = next(lines(text.readline, file), "")
    text.seek(0)
    return max(",;\t", key=start.count)


def lines(readline: Callable[[int], AnyStr], file: File) -> Iterator[AnyStr]:
    """Yield the lines of a stream, none of which may be longer than any row.

    Args:
        readline: as of a stream.
        file: for the message.

    Raises:
        BadFile: one is.
    """
    while line := readline(MAX_LINE):
        if len(line) >= MAX_LINE:
            raise BadFile(
                f"{file.where}: expected rows of at most {MAX_LINE >> 20} MiB, found a longer one", "export it again"
            )
        yield line
