"""Sources other than folders of images: files that hold many are read again only if they have changed."""

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data.dataset import Origin
from data.errors import BadFile, SourceUnavailable
from tests.data.importing.buckets import bucket, credentials
from tests.data.importing.made import images, png, tar
from tests.data.importing.test_tables import parquet
from tests.data.servers import Server, answer
from tests.data.snapshots.sources import SHAPE, Source

PIXELS = images(80, shape=SHAPE)
FILES = [png(image) for image in PIXELS]
CLASSES = {"image": {"_type": "Image"}, "label": {"names": ["ant", "bee"], "_type": "ClassLabel"}}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A folder without files yet."""
    made = Source(tmp_path)
    made.folder.mkdir()
    return made


def table(source: Source, name: str, rows: range, names: list[str] | None = None) -> Path:
    """Write a Parquet file with some of the images, as Hugging Face's datasets have them."""
    about = {**CLASSES, "label": {**CLASSES["label"], "names": names or CLASSES["label"]["names"]}}
    cells = [{"image": {"bytes": FILES[i], "path": None}, "label": i % len(names or "ab")} for i in rows]
    path = parquet(source.folder / name, cells, about)
    source.settle(path)
    return path


def test_tables_that_have_not_changed_are_not_read(source: Source) -> None:
    """A new one is read alone; class names come from the tables, also when none of them is read."""
    table(source, "a.parquet", range(40))
    first = source.take()
    assert (first.decoded, first.class_names) == (40, ("ant", "bee"))
    table(source, "b.parquet", range(40, 60))
    second = source.take()
    assert (second.decoded, second.night.n_added, second.night.added[0]) == (20, 20, "b.parquet, row 1")
    source.settle(source.folder / "b.parquet")
    assert (source.take().decoded, source.row.snapshot) == (20, second.ref.digest)
    source.put("notes.txt", b"something else changed")
    assert (source.take().decoded, source.row.snapshot) == (0, second.ref.digest)
    source.forget()
    assert (source.take().decoded, source.row.snapshot) == (60, second.ref.digest)
    (source.folder / "b.parquet").unlink()
    third = source.take()
    assert (third.night.n_removed, source.take().decoded) == (20, 0)
    assert source.content(third) == source.content(first)


def test_a_table_with_a_new_class(source: Source) -> None:
    """Its name is that of the table's metadata; a number beyond is no class."""
    table(source, "a.parquet", range(40))
    first = source.take()
    table(source, "b.parquet", range(40, 52), ["ant", "bee", "cat"])
    second = source.take()
    assert second.class_names == ("ant", "bee", "cat")
    assert source.content(first).items() <= source.content(second).items()


def test_a_table_that_cannot_be_read_ends_the_night(source: Source) -> None:
    """All its images would count as removed."""
    path = table(source, "a.parquet", range(40))
    table(source, "b.parquet", range(40, 60))
    source.take()
    path.write_bytes(path.read_bytes()[:-100])
    source.settle(path)
    with pytest.raises(BadFile, match=r"a\.parquet cannot be read"):
        source.take()


def test_a_label_in_a_table_is_corrected(source: Source) -> None:
    """The table has changed and is read; what it holds otherwise stays as it was."""
    table(source, "a.parquet", range(40))
    source.take()
    cells = [{"image": {"bytes": FILES[i], "path": None}, "label": 1 if i == 4 else i % 2} for i in range(40)]
    source.settle(parquet(source.folder / "a.parquet", cells, CLASSES))
    night = source.take().night
    assert (night.relabelled, night.n_added) == ((("a.parquet, row 5", "ant", "bee"),), 0)


def test_a_table_beside_the_images(source: Source) -> None:
    """The table is read every night, an image only if it is new; a label that is filled in brings its image."""
    for i in range(40):
        source.put(f"pictures/{i}.png", FILES[i])
    lines = [f"pictures/{i}.png,{'ab'[i % 2]}" for i in range(39)]
    source.put("metadata.csv", "\n".join(["file_name,label", *lines, "pictures/39.png,"]).encode())
    first = source.take()
    assert first.night.quarantined == (("pictures/39.png", "it has no label"),)
    source.put("metadata.csv", "\n".join(["file_name,label", *lines, "pictures/39.png,b", "x.png,a"]).encode())
    second = source.take()
    assert (second.night.added, second.night.n_quarantined) == (("pictures/39.png",), 1)
    assert second.night.quarantined == (("metadata.csv, row 42", "there is no file x.png"),)
    assert second.decoded == 2  # the image that was not stored, and the one that is not there
    source.put("pictures/40.png", FILES[40])
    source.put(
        "metadata.csv", "\n".join(["file_name,label", *lines, "pictures/39.png,a", "pictures/40.png,a"]).encode()
    )
    third = source.take()
    assert (third.decoded, third.night.n_added, third.night.n_relabelled) == (1, 1, 1)


def test_a_table_that_names_images_elsewhere(source: Source) -> None:
    """One file is the source, so that the list of files says nothing about the images."""
    source.row = dataclasses.replace(source.row, origin=Origin(str(source.folder / "all.csv")))
    for i in range(40):
        source.put(f"pictures/{i}.png", FILES[i])
    lines = [f"pictures/{i}.png,{'ab'[i % 2]}" for i in range(40)]
    source.put("all.csv", "\n".join(["file_name,label", *lines]).encode())
    source.take()
    source.put("pictures/0.png", FILES[60])
    assert (source.take().decoded, source.take().decoded) == (1, 0)


def test_shards_that_have_not_changed_are_not_read(source: Source) -> None:
    """As tables; images and labels lie in pairs there."""

    def shard(name: str, rows: range) -> None:
        pairs = [((f"{i}.png", FILES[i]), (f"{i}.cls", str(i % 2).encode())) for i in rows]
        source.settle(tar(source.folder / name, [member for pair in pairs for member in pair]))

    shard("train-0.tar", range(40))
    assert (source.take().decoded, source.take().decoded) == (40, 0)
    shard("train-1.tar", range(40, 60))
    shard("test-0.tar", range(60, 80))
    night = source.take()
    assert (night.decoded, night.night.n_added, night.class_names) == (40, 40, ("0", "1"))
    assert night.night.added[0] == "test-0.tar/60.png"


def test_a_zip_of_images(source: Source) -> None:
    """It is read again when it has changed, whatever lies in it; images are named as in a folder."""
    path = source.folder / "all.zip"
    source.row = dataclasses.replace(source.row, origin=Origin(str(path)))
    for n, decoded in ((40, 40), (60, 60)):
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(n):
                archive.writestr(f"{'ab'[i % 2]}/{i}.png", FILES[i])
        source.settle(path)
        taken = source.take()
        assert (taken.decoded, taken.night.images, source.take().decoded) == (decoded, n, 0)
    assert taken.night.added[0] == "a/40.png"


def arrays(n: int) -> bytes:
    """An .npz of n images as bytes."""
    stream = io.BytesIO()
    np.savez(stream, x=PIXELS[:n], y=np.arange(n) % 2)
    return stream.getvalue()


def test_arrays_are_read_when_they_have_changed(source: Source) -> None:
    """What their numbers mean follows from all of them; an unchanged file is not opened."""
    source.put("all.npz", arrays(40))
    first = source.take()
    assert (first.decoded, source.take().decoded) == (40, 0)
    source.put("all.npz", arrays(60))
    second = source.take()
    assert (second.decoded, second.night.n_added) == (60, 20)
    assert source.content(first).items() <= source.content(second).items()


def test_a_number_that_is_no_class(source: Source) -> None:
    """255 is rarely the class after 9, so it is left out and named; the next number is a new class."""
    source.put("a.npz", arrays(40))
    source.take()
    stream = io.BytesIO()
    np.savez(stream, x=PIXELS[:42], y=[*(np.arange(40) % 2), 2, 255])
    source.put("a.npz", stream.getvalue())
    taken = source.take()
    assert taken.class_names == ("0", "1", "2")
    assert taken.night.quarantined == (
        ("a.npz/x.npy, image 41", "label 255 is none of the 3 classes, and not the next one"),
    )


def test_a_file_on_the_web(source: Source, server: Server) -> None:
    """Fetched every night, read only if its content is another one."""
    source.row = dataclasses.replace(source.row, origin=Origin(f"{server.url}/all.npz"))
    server.routes["/all.npz"] = answer(arrays(40))
    assert (source.take().decoded, source.take().decoded) == (40, 0)
    server.routes["/all.npz"] = answer(arrays(50))
    assert (source.take().decoded, source.take().decoded) == (50, 0)


def test_a_bucket(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing says which objects are new; an empty prefix is refused."""
    pytest.importorskip("obstore")
    source.row = dataclasses.replace(source.row, origin=Origin("s3://pictures/pets"))
    source.folder = tmp_path / "bucket" / "pets"
    source.fill(40)
    with bucket(tmp_path / "bucket") as endpoint:
        for name, value in credentials(endpoint).items():
            monkeypatch.setenv(name, value)
        first = source.take()
        assert (first.decoded, first.night.added[0], source.take().decoded) == (40, "a/0000.png", 0)
        source.fill(5, seed=4, start=100)
        assert (source.take().decoded, source.take().decoded) == (5, 0)
        for path in source.folder.rglob("*.png"):
            path.unlink()
        with pytest.raises(SourceUnavailable, match="s3://pictures/pets cannot be read"):
            source.take()
