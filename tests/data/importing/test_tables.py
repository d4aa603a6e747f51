"""Tables with images, paths or pixels."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import BadFile, BadInput
from tests.data.importing.made import images, png, read, write

PIXELS = images(12, shape=(6, 6))
LABELS = [i % 3 for i in range(12)]
FILES = [png(image) for image in PIXELS]


def everything(got: object) -> set[tuple[bytes, int]]:
    """All images with their labels, wherever they are."""
    return {
        (image.tobytes(), int(label))
        for side in ("train", "test")
        for image, label in zip(getattr(got, f"{side}_images"), getattr(got, f"{side}_labels"), strict=True)
    }


ALL = {(image.tobytes(), label) for image, label in zip(PIXELS, LABELS, strict=True)}


def parquet(path: Path, rows: list[dict[str, object]], metadata: dict[str, object] | None = None) -> Path:
    """Write a Parquet file, with what Hugging Face's datasets would say about its columns."""
    table = pa.Table.from_pylist(rows)
    if metadata:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": metadata}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=5)
    return path


def test_a_dataset_of_hugging_face(tmp_path: Path) -> None:
    """Shards named by split, {bytes, path} structs, class names in the metadata."""
    rows = [
        {"image": {"bytes": content, "path": None}, "label": label}
        for content, label in zip(FILES, LABELS, strict=True)
    ]
    about = {"image": {"_type": "Image"}, "label": {"names": ["ant", "bee", "cat"], "_type": "ClassLabel"}}
    parquet(tmp_path / "in" / "data" / "train-00000-of-00002.parquet", rows[:4], about)
    parquet(tmp_path / "in" / "data" / "train-00001-of-00002.parquet", rows[4:8], about)
    parquet(tmp_path / "in" / "data" / "test-00000-of-00001.parquet", rows[8:], about)
    got = read(tmp_path / "in", tmp_path / "out")
    assert np.array_equal(got.train_images, PIXELS[:8])
    assert np.array_equal(got.test_images, PIXELS[8:])
    assert got.test_labels.tolist() == LABELS[8:]
    assert got.classes == ("ant", "bee", "cat")


@pytest.mark.parametrize("name", ["img", "picture"])
def test_bytes_in_a_column_of_any_name(tmp_path: Path, name: str) -> None:
    """The only binary column is the images; labels may be texts; a column says the split."""
    rows: list[dict[str, object]] = [
        {"id": i, name: content, "target": "abc"[label], "split": "train" if i < 8 else "test"}
        for i, (content, label) in enumerate(zip(FILES, LABELS, strict=True))
    ]
    got = read(parquet(tmp_path / "t.parquet", rows), tmp_path / "out")
    assert everything(got) == ALL
    assert got.classes == ("a", "b", "c")
    assert len(got.test_images) == 4


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "json", "csv.gz"])
def test_paths_in_a_table(tmp_path: Path, form: str) -> None:
    """Relative to the table, by name alone, or without the ending, as Kaggle has them; quoted where necessary."""
    folder = write(tmp_path / "in", {f"pictures/no, {i}.png": content for i, content in enumerate(FILES)})
    names = [(f"pictures/no, {i}.png", f"no, {i}.png", f"no, {i}")[i % 3] for i in range(12)]
    rows = [{"path": name, "category": label} for name, label in zip(names, LABELS, strict=True)]
    separator = "\t" if form == "tsv" else ","
    lines = [f'"{row["path"]}"{separator}{row["category"]}' for row in rows]
    text = {
        "jsonl": "\n".join(map(json.dumps, rows)),
        "json": json.dumps(rows),
    }.get(form, "\n".join([f"path{separator}category", *lines, ""]))
    content = "\ufeff".encode() * (form == "csv") + text.encode()
    (folder / f"labels.{form}").write_bytes(gzip.compress(content) if form.endswith("gz") else content)
    assert everything(read(folder, tmp_path / "out")) == ALL


def test_a_table_on_its_own_names_files_from_its_folder_on(tmp_path: Path) -> None:
    """The table is named, not its folder; absolute paths are fine."""
    folder = write(tmp_path / "in", {f"{i}.png": content for i, content in enumerate(FILES)})
    lines = [f"{i}.png,{label}" if i % 2 else f"{folder / f'{i}.png'},{label}" for i, label in enumerate(LABELS)]
    (folder / "t.csv").write_text("\n".join(["file,label", *lines]))
    assert everything(read(folder / "t.csv", tmp_path / "out")) == ALL
    (folder / "t.csv").write_text("\n".join(["file,label", *lines[:-1], "nowhere.png,1", ",2", "1.png,"]))
    with pytest.raises(
        BadFile,
        match=r"3 of 14 images cannot be used:\n.*row 13: there is no file .*nowhere\.png\n"
        r".*row 14: there is no image.*\n.*row 15: it has no label",
    ):
        read(folder / "t.csv", tmp_path / "out2")


def pixel_rows(header: bool = True, label: int = 0) -> list[str]:
    """Kaggle's rows, the label in column `label`."""
    names = [f"pixel{i}" for i in range(36)]
    lines = []
    for image, number in zip(PIXELS, LABELS, strict=True):
        values = [*map(str, image.ravel())]
        values.insert(label, str(number))
        lines.append(",".join(values))
    names.insert(label, "label")
    return [",".join(names), *lines] if header else lines


@pytest.mark.parametrize(("header", "label"), [(True, 0), (True, 36), (False, 0)])
def test_pixels_in_columns(tmp_path: Path, header: bool, label: int) -> None:
    """`label,pixel0,...` as Kaggle has it; the label last; no header at all, as in well-known copies of MNIST."""
    (tmp_path / "mnist.csv").write_text("\n".join(pixel_rows(header, label)) + "\n")
    got = read(tmp_path / "mnist.csv", tmp_path / "out")
    assert everything(got) == ALL
    assert "36 pixel columns" in got.notes


def test_kaggles_competition_folder(tmp_path: Path) -> None:
    """test.csv has no labels and the sample submission no images: both are left out, and it is said."""
    rows = pixel_rows()
    write(
        tmp_path / "in",
        {
            "train.csv": "\n".join(rows),
            "test.csv": "\n".join(row.partition(",")[2] for row in rows),
            "sample_submission.csv": "ImageId,Label\n1,0\n2,0\n",
        },
    )
    got = read(tmp_path / "in", tmp_path / "out")
    assert everything(got) == ALL
    assert "test.csv is left out: no column with labels" in got.notes
    assert "sample_submission.csv is left out: no column with images" in got.notes


def test_train_and_test_in_two_files(tmp_path: Path) -> None:
    """Their names say which is which; or the test set is named on its own."""
    rows = pixel_rows()
    write(tmp_path / "in", {"x_train.csv": "\n".join(rows[:9]), "x_test.csv": "\n".join([rows[0], *rows[9:]])})
    got = read(tmp_path / "in", tmp_path / "out")
    assert np.array_equal(got.train_images, PIXELS[:8])
    assert np.array_equal(got.test_images, PIXELS[8:])
    got = read(tmp_path / "in" / "x_train.csv", tmp_path / "out2", test=str(tmp_path / "in" / "x_test.csv"))
    assert np.array_equal(got.test_images, PIXELS[8:])


def test_pixels_as_text(tmp_path: Path) -> None:
    """FER2013 has numbers in one column, and calls its splits Training, PublicTest and PrivateTest."""
    usage = ["Training"] * 8 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    lines = [
        f"{label},{' '.join(map(str, image.ravel()))},{use}"
        for label, image, use in zip(LABELS, PIXELS, usage, strict=True)
    ]
    (tmp_path / "fer.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]))
    got = read(tmp_path / "fer.csv", tmp_path / "out")
    assert np.array_equal(got.train_images, PIXELS[:8])
    assert np.array_equal(got.test_images, PIXELS[8:])


def test_columns_may_be_named(tmp_path: Path) -> None:
    """And a name that is none of them gets the list."""
    rows: list[dict[str, object]] = [
        {"a": content, "b": content[:5], "c": label} for content, label in zip(FILES, LABELS, strict=True)
    ]
    source = parquet(tmp_path / "t.parquet", rows)
    with pytest.raises(BadFile, match="no column with"):
        read(source, tmp_path / "out")
    assert everything(read(source, tmp_path / "out2", image_column="a", label_column="c")) == ALL
    with pytest.raises(BadFile, match="has no column 'image'") as error:
        read(source, tmp_path / "out3", image_column="image", label_column="c")
    assert error.value.hint == "its columns: a, b, c"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("t.csv", "", "expected rows, found none|expected a table"),
        ("t.csv", "label,pixel0,pixel1,pixel2,pixel3\n", "expected rows, found none"),
        (
            "t.csv",
            "label,pixel0,pixel1,pixel2,pixel3\n1,2,3,4,5\n1,2,3\n",
            "cannot be read as a table: .*Expected 5 columns, got 3",
        ),
        ("t.csv", "label,pixel0,pixel1,pixel2,pixel3\n1,2,3,four,5\n", "cannot be read as a table"),
        (
            "t.csv",
            "label,pixel0,pixel1,pixel2,pixel3,pixel4\n0,1,2,3,4,5\n1,1,2,3,4,6\n",
            "expected 5 numbers per image to be a square",
        ),
        ("t.csv", b"path,label\n\xff\xfe,1\n", "cannot be read as a table|images cannot be used"),
        ("t.csv", "path,label,split\na.png,1,maybe\n", "column 'split' says 'maybe', which is no split"),
        ("t.jsonl", '{"image": 1', "cannot be read as a table"),
        ("t.jsonl", "[1]\n", "expected an object with columns"),
        ("t.json", "[" * 100_000, "cannot be read as a table"),
        ("t.parquet", b"PAR1 no", "cannot be read as a table"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | str, problem: str) -> None:
    """Empty, ragged, of other types or cut short: named, with what was found."""
    write(tmp_path / "in", {name: content})
    with pytest.raises(BadInput, match=problem):
        read(tmp_path / "in" / name, tmp_path / "out")


def test_a_parquet_file_of_no_rows(tmp_path: Path) -> None:
    """Is refused."""
    schema = pa.schema([("image", pa.binary()), ("label", pa.int64())])
    pq.write_table(schema.empty_table(), tmp_path / "t.parquet")
    with pytest.raises(BadInput, match="holds no images"):
        read(tmp_path / "t.parquet", tmp_path / "out")


@pytest.mark.parametrize("name", ["train.csv.gz", "train.tsv.gz", "train.jsonl.gz"])
def test_a_table_that_is_one_line_without_end_is_refused(tmp_path: Path, name: str) -> None:
    """64 KiB that unpack to 64 MiB without a line end: no more of it is read than a row may have."""
    (tmp_path / name).write_bytes(gzip.compress(b"a" * (64 << 20)))
    with pytest.raises(BadFile, match="expected rows of at most 16 MiB, found a longer one"):
        read(tmp_path, tmp_path.parent / "scratch")
