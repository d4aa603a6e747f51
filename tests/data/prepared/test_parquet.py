"""Prepared data is exact, the same every time, readable by others, and never half written or silently damaged."""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artifacts.models.provenance import CHECKOUT
from data.builtin import DATASETS
from data.dataset import RawData, RawRef
from data.errors import BadFile, BadInput, Corrupt, DataRefused, UnknownName
from data.home.files import file_sha256
from data.home.store import MANIFEST, Store
from data.prepared.parquet import SPLITS, PreparedRef, chunks, describe, normalise, read_split, write_splits
from data.shards import parquet_file
from data.shards.parquet_file import Split
from data.sources.source import download, read_raw
from data.statistics.summary import image_hashes
from data.validation.results import ValidationRef

SAMPLE = DATASETS["mnist-sample"]


def allow(store: Store, raw: RawRef, success: bool = True) -> ValidationRef:
    """Publish a validation that let this data pass, or not."""
    ref = ValidationRef(raw.dataset, "e" * 64)
    with store.publish(store.validation(ref.digest)) as draft:
        (draft.path / "result.json").write_text("{}")
        (draft.path / "data-docs").mkdir()
        (draft.path / "data-docs" / "index.html").write_text("<p>fine</p>")
        draft.meta.update(success=success, raw=raw.digest)
    return ref


@pytest.fixture(scope="module")
def raw_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RawRef, ValidationRef]:
    """A home with the raw sample and its validation; nothing prepared. Not to be written to."""
    store = Store(tmp_path_factory.mktemp("raw") / "home")
    raw = download(store, SAMPLE)
    return store, raw, allow(store, raw)


@pytest.fixture
def home(raw_home: tuple[Store, RawRef, ValidationRef], tmp_path: Path) -> tuple[Store, RawRef, ValidationRef]:
    """The same, to be written to."""
    store, raw, validation = raw_home
    shutil.copytree(store.root, tmp_path / "home")
    return Store(tmp_path / "home"), raw, validation


@pytest.fixture(scope="module")
def prepared(
    raw_home: tuple[Store, RawRef, ValidationRef], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, PreparedRef]:
    """A home with the sample prepared. Not to be written to."""
    store, raw, validation = raw_home
    copy = Store(tmp_path_factory.mktemp("prepared") / "home")
    shutil.copytree(store.root, copy.root)
    return copy, normalise(copy, SAMPLE, raw, validation)


@pytest.fixture
def damaged(prepared: tuple[Store, PreparedRef], tmp_path: Path) -> tuple[Store, PreparedRef, Path]:
    """A prepared home and its train.parquet, to be damaged."""
    store, ref = prepared
    shutil.copytree(store.root, tmp_path / "home")
    copy = Store(tmp_path / "home")
    return copy, ref, copy.prepared(ref.digest) / "train.parquet"


def flip(path: Path, at: int) -> None:
    """Flip one bit of a file; a negative position counts from its end."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


# -- what is written -----------------------------------------------------------------------------------------------


def test_pixels_are_exactly_the_bytes_divided_by_255(prepared: tuple[Store, PreparedRef], raw_home: tuple) -> None:
    """Every float32 equals uint8 / float32(255), in the place that `row` names, under the right label."""
    store, ref = prepared
    raw = read_raw(store, SAMPLE, raw_home[1])
    for name in SPLITS:
        split = read_split(store, ref, name)
        images, labels = (raw.test_images, raw.test_labels) if name == "test" else (raw.train_images, raw.train_labels)
        assert split.images.dtype == np.float32
        assert (split.images == images[split.rows] / np.float32(255)).all()
        assert (split.labels == labels[split.rows]).all()
        assert [digest.tobytes().hex() for digest in split.hashes] == image_hashes(images[split.rows]).tolist()


def test_every_grey_value_survives_there_and_back() -> None:
    """The scaling loses nothing: rounding gives the byte back, for all 256."""
    grey = np.arange(256, dtype=np.uint8)
    assert (np.rint(grey / np.float32(255) * np.float32(255)).astype(np.uint8) == grey).all()


def test_train_and_validation_share_out_the_training_file(prepared: tuple[Store, PreparedRef]) -> None:
    """Each training row is in one of the two, none in both; the test split has every test row in order."""
    store, ref = prepared
    train, validation, test = (read_split(store, ref, name).rows for name in SPLITS)
    assert sorted([*train, *validation]) == list(range(SAMPLE.n_train))
    assert test.tolist() == list(range(SAMPLE.n_test))


def test_the_files_say_what_they_are(prepared: tuple[Store, PreparedRef]) -> None:
    """Types are canonical and non-null, pages are checksummed zstd, and the schema carries the provenance."""
    store, ref = prepared
    path = store.prepared(ref.digest) / "train.parquet"
    schema, meta = pq.read_schema(path), describe(store, ref)
    assert schema.field("image").type == pa.fixed_shape_tensor(pa.float32(), [28, 28])
    assert not any(schema.field(name).nullable for name in ("image", "label", "row", "sha256"))
    said = json.loads(schema.metadata[parquet_file.METADATA_KEY])
    assert said["digest"] == meta["splits"]["train"]["digest"]
    assert said["raw"] == meta["raw"]
    assert said["split"] == "train"
    assert pq.read_metadata(path).row_group(0).column(0).compression == "ZSTD"


def content_digest(split: Split) -> str:
    """Return the SHA-256 of a split's decoded values: shape, hashes of the uint8 pixels, labels, rows."""
    images = np.rint(split.images * 255).astype(np.uint8)
    digest = hashlib.sha256("x".join(map(str, images.shape[1:])).encode())
    for image in images:
        digest.update(hashlib.sha256(image.tobytes()).digest())
    digest.update(split.labels.astype("<i8").tobytes() + split.rows.astype("<i8").tobytes())
    return digest.hexdigest()


def test_the_content_digest_is_of_the_decoded_values(prepared: tuple[Store, PreparedRef]) -> None:
    """What was read hashes to what was recorded, and one swapped label changes it (F-36)."""
    store, ref = prepared
    for name in SPLITS:
        split = read_split(store, ref, name)
        assert content_digest(split) == describe(store, ref)["splits"][name]["digest"]
        split.labels[:2] = split.labels[1], split.labels[0] + 1
        assert content_digest(split) != describe(store, ref)["splits"][name]["digest"]


@pytest.mark.fault("F-45")
def test_the_same_input_gives_the_same_bytes(home: tuple, prepared: tuple[Store, PreparedRef]) -> None:
    """Two homes prepared apart hold equal files under an equal address."""
    store, raw, validation = home
    ref = normalise(store, SAMPLE, raw, validation)
    assert ref == prepared[1]
    for name in (*(f"{split}.parquet" for split in SPLITS), MANIFEST):
        assert file_sha256(store.prepared(ref.digest) / name) == file_sha256(
            prepared[0].prepared(prepared[1].digest) / name
        )


def test_the_validation_travels_with_the_data(prepared: tuple[Store, PreparedRef]) -> None:
    """The result and the Data Docs that let the data pass lie beside it."""
    folder = prepared[0].prepared(prepared[1].digest) / "validation"
    assert (folder / "result.json").is_file()
    assert (folder / "data-docs" / "index.html").read_text() == "<p>fine</p>"


def test_images_of_any_shape_and_number_of_row_groups(tmp_path: Path) -> None:
    """Oblong images over several row groups come back in order, whole or in pieces."""
    rng = np.random.default_rng(0)
    n = 2 * parquet_file.ROW_GROUP + 100
    raw = RawData(
        rng.integers(0, 256, (20, 3, 5), np.uint8),
        np.arange(20) % 2,
        rng.integers(0, 256, (n, 3, 5), np.uint8),
        np.arange(n) % 2,
    )
    store, ref = Store(tmp_path), PreparedRef("any", "a" * 64)
    with store.publish(store.prepared(ref.digest)) as draft:
        draft.meta.update(write_splits(draft.path, SAMPLE, raw, "b" * 64))
    whole = read_split(store, ref, "test")
    assert (whole.images == raw.test_images / np.float32(255)).all()
    pieces = list(chunks(store, ref, "test", 1000))
    assert max(len(piece.images) for piece in pieces) <= 1000
    for field in ("images", "labels", "rows", "hashes"):
        assert (np.concatenate([getattr(piece, field) for piece in pieces]) == getattr(whole, field)).all()


def test_training_images_that_come_class_by_class_are_written_mixed(tmp_path: Path) -> None:
    """What is trained chunk by chunk has all classes in each chunk; rows, labels and pixels still belong together."""
    images = np.random.default_rng(0).integers(0, 256, (600, 3, 5), np.uint8)
    labels = np.repeat(np.arange(3), 200)
    store, ref = Store(tmp_path), PreparedRef("any", "a" * 64)
    with store.publish(store.prepared(ref.digest)) as draft:
        draft.meta.update(write_splits(draft.path, SAMPLE, RawData(images, labels, images, labels), "b" * 64))
    for piece in chunks(store, ref, "train", 100):
        assert set(piece.labels) == {0, 1, 2}
        assert (piece.images == images[piece.rows] / np.float32(255)).all()
        assert (piece.labels == labels[piece.rows]).all()
    assert (read_split(store, ref, "test").rows == np.arange(600)).all()


def test_pixels_that_are_not_bytes_are_refused(tmp_path: Path) -> None:
    """Sixteen-bit images would be scaled wrongly, so they are not scaled at all."""
    images, labels = np.zeros((4, 2, 2), np.uint16), np.zeros(4, np.int64)
    with pytest.raises(BadFile, match="uint16"):
        write_splits(tmp_path, SAMPLE, RawData(images, labels, images, labels), "b" * 64)


# -- who can read it -----------------------------------------------------------------------------------------------


def test_duckdb_reads_the_files(prepared: tuple[Store, PreparedRef]) -> None:
    """SQL can count classes and see pixels, without Arrow's help."""
    store, ref = prepared
    split = read_split(store, ref, "train")
    path = store.prepared(ref.digest) / "train.parquet"
    counts = duckdb.sql(f"select label, count(*) from '{path}' group by label order by label").fetchall()
    assert [count for _, count in counts] == describe(store, ref)["splits"]["train"]["class_counts"]
    image, digest = duckdb.sql(f"select image, sha256 from '{path}' limit 1").fetchall()[0]
    assert np.array_equal(np.array(image, np.float32).reshape(28, 28), split.images[0])
    assert digest == split.hashes[0].tobytes()


def test_pandas_reads_the_files(prepared: tuple[Store, PreparedRef]) -> None:
    """A data frame has one row per image with its pixels in row-major order."""
    store, ref = prepared
    split = read_split(store, ref, "validation")
    frame = pd.read_parquet(store.prepared(ref.digest) / "validation.parquet")
    assert frame["label"].tolist() == split.labels.tolist()
    assert np.array_equal(np.stack(frame["image"].to_numpy()).reshape(-1, 28, 28), split.images)


def test_reading_does_not_load_pandas(prepared: tuple[Store, PreparedRef]) -> None:
    """Importing pandas would take longer than reading the whole split."""
    store, ref = prepared
    code = (
        "import sys; from pathlib import Path; from data.home.store import Store; from data.prepared import parquet\n"
        f"parquet.read_split(Store(Path({str(store.root)!r})), parquet.PreparedRef('x', {ref.digest!r}), 'test')\n"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, timeout=60, check=False).returncode == 0


def test_chunks_need_little_memory(prepared: tuple[Store, PreparedRef]) -> None:
    """Reading in pieces of 64 never allocates anything near the size of the split."""
    store, ref = prepared
    size = SAMPLE.n_train * 28 * 28 * 4
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    peak = 0
    for _ in chunks(store, ref, "train", 64):
        peak = max(peak, pa.total_allocated_bytes() - before)
    python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + python < size / 2


def test_an_unknown_split_or_chunk_size_is_refused(prepared: tuple[Store, PreparedRef]) -> None:
    """A misspelt split names the known ones."""
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        read_split(*prepared, "tran")
    with pytest.raises(BadInput, match="at least 1"):
        next(chunks(*prepared, "train", 0))


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F-10")
@pytest.mark.parametrize("at", [2_000, 100_000, -9, -200], ids=["dictionary", "page", "footer length", "footer"])
def test_a_flipped_bit_is_found_before_anything_is_parsed(
    damaged: tuple, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the bit is, the hash in the manifest says no, and pyarrow never sees the file (F-10)."""
    store, ref, path = damaged
    flip(path, at)
    monkeypatch.setattr(pq, "read_metadata", lambda *_: pytest.fail("parsed"))
    monkeypatch.setattr(pq, "ParquetFile", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(Corrupt, match=r"train\.parquet has changed"):
        read_split(store, ref, "train")
    with pytest.raises(Corrupt, match=r"train\.parquet has changed"):
        next(chunks(store, ref, "train", 10))


@pytest.mark.fault("F-10")
@pytest.mark.parametrize("keep", [0, 3, 5_000, -1], ids=["nothing", "magic", "some", "all but a byte"])
def test_a_truncated_file_is_found(damaged: tuple, keep: int) -> None:
    """A file that lost its end is refused, whether or not it is hashed first."""
    store, ref, path = damaged
    path.write_bytes(path.read_bytes()[:keep])
    for verify in (True, False):
        with pytest.raises(Corrupt):
            read_split(store, ref, "train", verify=verify)


@pytest.mark.fault("F-10")
def test_page_checksums_are_a_second_line(damaged: tuple) -> None:
    """Without hashing the file, flipped bits in the pages are still found by the pages' own checksums."""
    store, ref, path = damaged
    column = pq.read_metadata(path).row_group(0).column(0)
    first, size = column.dictionary_page_offset, column.total_compressed_size
    original = path.read_bytes()
    for at in np.linspace(first + 100, first + size - 10, 25).astype(int):
        path.write_bytes(original)
        flip(path, int(at))
        with pytest.raises(Corrupt, match="cannot be read"):
            read_split(store, ref, "train", verify=False)


def test_a_missing_folder_is_said_to_be_missing(store: Store) -> None:
    """A reference to nothing is not a crash."""
    with pytest.raises(Corrupt, match="manifest"):
        read_split(store, PreparedRef("mnist", "a" * 64), "train")


def test_a_good_folder_is_used_again(damaged: tuple, raw_home: tuple) -> None:
    """The second night writes nothing."""
    store, ref, path = damaged
    before = path.stat().st_mtime_ns
    assert normalise(store, SAMPLE, raw_home[1], raw_home[2]) == ref
    assert path.stat().st_mtime_ns == before


@pytest.mark.fault("F-10")
def test_a_damaged_folder_is_made_anew(damaged: tuple, raw_home: tuple, caplog: pytest.LogCaptureFixture) -> None:
    """The next night finds the damage, says so, and rebuilds the same bytes from the raw data."""
    store, ref, path = damaged
    before = file_sha256(path)
    flip(path, 100_000)
    with caplog.at_level(logging.WARNING):
        assert normalise(store, SAMPLE, raw_home[1], raw_home[2]) == ref
    assert "train.parquet has changed" in caplog.text
    assert file_sha256(path) == before
    store.verify(store.prepared(ref.digest))


# -- what is not written -------------------------------------------------------------------------------------------


@pytest.mark.fault("F-30")
def test_data_that_failed_its_validation_is_not_prepared(home: tuple) -> None:
    """Neither a failed validation nor one of other data opens the door."""
    store, raw, validation = home
    with pytest.raises(DataRefused, match="did not accept this data"):
        normalise(store, SAMPLE, RawRef(raw.dataset, "d" * 64), validation)
    shutil.rmtree(store.validation(validation.digest))
    with pytest.raises(DataRefused, match="did not accept this data"):
        normalise(store, SAMPLE, raw, allow(store, raw, success=False))
    assert not (store.root / "prepared").exists()


NORMALISE = """
import sys
from pathlib import Path
from data.builtin import DATASETS
from data.errors import StorageFailed
from data.prepared.parquet import normalise
from data.dataset import RawRef
from data.home.store import Store
from data.validation.results import ValidationRef
root, raw, validation = sys.argv[1:4]
try:
    refs = RawRef("mnist-sample", raw), ValidationRef("mnist-sample", validation)
    normalise(Store(Path(root)), DATASETS["mnist-sample"], *refs)
except StorageFailed as error:
    print(error)
    sys.exit(3)
"""


def normalise_under(inject: str, home: tuple) -> subprocess.CompletedProcess[str]:
    """Prepare in another process whose system calls fail as told."""
    store, raw, validation = home
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={inject}"]
    arguments = [sys.executable, "-c", NORMALISE, str(store.root), raw.digest, validation.digest]
    return subprocess.run(
        [*command, *arguments], cwd=CHECKOUT, timeout=120, check=False, capture_output=True, text=True
    )


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: it makes system calls fail"
)


def whole_or_absent(store: Store) -> bool:
    """Whether something is prepared; if so, check that it is complete and right."""
    folders = list((store.root / "prepared").glob("*")) if (store.root / "prepared").exists() else []
    for folder in folders:
        store.verify(folder)
    return bool(folders)


@pytest.mark.fault("F-11")
@needs_strace
@pytest.mark.parametrize(("call", "step"), [("fsync", 2), ("rename", 1), ("write", 4)])
def test_a_killed_process_leaves_all_or_nothing(home: tuple, call: str, step: int) -> None:
    """Killed at any of these system calls, there is no prepared folder or a whole one; the next run succeeds (F-11)."""
    store, raw, validation = home
    killed = 0
    for when in range(1, 60, step):
        done = normalise_under(f"{call}:signal=SIGKILL:when={when}", home)
        if done.returncode == 0:
            break
        assert done.returncode in (-9, 137), done.stderr
        killed += 1
        if whole_or_absent(store):
            shutil.rmtree(store.root / "prepared")
    assert done.returncode == 0, "the sweep did not reach the end"
    assert killed, f"{call} was never called"
    normalise(store, SAMPLE, raw, validation)
    assert whole_or_absent(store)


@pytest.mark.fault("F-12", "F-13")
@needs_strace
@pytest.mark.parametrize("fault", ["write:error=ENOSPC:when=4+", "fsync:error=EIO:when=1"])
def test_a_failing_disk_is_explained_and_leaves_nothing(home: tuple, fault: str) -> None:
    """A full or a failing disk gives one clear message and no prepared folder (F-12, F-13)."""
    store, raw, validation = home
    done = normalise_under(fault, home)
    assert done.returncode == 3, done.stderr
    assert "cannot write" in done.stdout
    assert not whole_or_absent(store)
    assert not list((store.root / "tmp").iterdir())
    normalise(store, SAMPLE, raw, validation)
