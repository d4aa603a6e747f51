"""Every reader of files from outside, with sound files to begin with.

A reader takes the bytes of a file and an empty folder, and returns, or raises a NightshiftError; everything else is a
failure. The same holds for what an archive or a description would do if it were trusted: see `CANARY`.
"""

import gzip
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from artifacts.models.archive import check_archive
from artifacts.prediction import image_files
from artifacts.prediction.inputs import File
from artifacts.registry import champions, keyring, ledger, pointer, traces, versions
from data.dataset import Geometry
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
from data.importing import quick
from data.importing.importer import read_source
from data.importing.options import ImportOptions
from data.shards import parquet_file
from data.sources import images
from data.sources.idx import read_idx, unpack, write_idx
from tests.artifacts.registry import nights

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 3
GEOMETRY = Geometry(8, 8)
CANARY = "pwned"  # a file of this name appears if something of a hostile file ran or was written where it should not


@dataclass(frozen=True)
class Reader:
    """A reader.

    Args:
        read: what reads the bytes.
        seeds: sound files by name, made when they are asked for.
        heavy: whether one file takes milliseconds rather than microseconds.
    """

    read: Callable[[bytes, Path], object]
    seeds: Callable[[], Mapping[str, bytes]]
    heavy: bool = False


def _picture(form: str, mode: str = "L", **how: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS[0]).convert(mode).save(stream, form, **how)
    return stream.getvalue()


def _pictures() -> dict[str, bytes]:
    return {
        **{
            f"{form} {mode}": _picture(form, mode) for form in ("PNG", "TIFF", "BMP") for mode in ("L", "RGB", "P", "1")
        },
        **{form: _picture(form) for form in ("JPEG", "GIF", "WEBP")},
        "PNG RGBA": _picture("PNG", "RGBA"),
        "TIFF deflate": _picture("TIFF", compression="tiff_deflate"),
        "JPEG progressive": _picture("JPEG", progressive=True),
    }


def _saved(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _arrays() -> dict[str, bytes]:
    return {
        "NPY": _saved(lambda stream: np.save(stream, PIXELS)),
        "NPY float": _saved(lambda stream: np.save(stream, PIXELS / np.float32(255))),
        "NPY of objects": _saved(lambda stream: np.save(stream, np.array([{}], object), allow_pickle=True)),
        "IDX": write_idx(PIXELS),
        "gzip": gzip.compress(write_idx(PIXELS), mtime=0),
    }


def _source(ending: str) -> Callable[[bytes, Path], object]:
    """Read a file as a source of images, as `nightshift datasets add` does."""

    def read(content: bytes, folder: Path) -> object:
        path = folder / f"source{ending}"
        path.write_bytes(content)
        (folder / "scratch").mkdir()
        return read_source(str(path), ImportOptions(), folder / "scratch", lambda *_: None, lambda _: None)

    return read


def _npz() -> dict[str, bytes]:
    return {
        "NPZ": _saved(lambda stream: np.savez(stream, x_train=PIXELS, y_train=LABELS, x_test=PIXELS, y_test=LABELS))
    }


def _csv() -> dict[str, bytes]:
    rows = [f"{label}," + ",".join(map(str, image.ravel())) for image, label in zip(PIXELS, LABELS, strict=True)]
    header = "label," + ",".join(f"pixel{i}" for i in range(64))
    return {"CSV": "\n".join([header, *rows]).encode(), "CSV without header": "\n".join(rows).encode()}


def _parquet() -> dict[str, bytes]:
    rows = [{"image": {"bytes": _picture("PNG"), "path": "a.png"}, "label": int(label)} for label in LABELS]
    return {"Parquet": _saved(lambda stream: pq.write_table(pa.Table.from_pylist(rows), stream))}


def _prepared() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.parquet"
        rows = np.arange(len(PIXELS))
        part = parquet_file.Part(PIXELS, LABELS.astype(np.int64), parquet_file.image_hashes(PIXELS), rows, rows)
        parquet_file.write(path, part, {})
        return {"Parquet of a split": path.read_bytes()}


def _members() -> dict[str, bytes]:
    return {f"{split}/{label}/{i}.png": _picture("PNG") for i, label in enumerate("ab") for split in ("train", "test")}


def _zip() -> dict[str, bytes]:
    def write(stream: io.BytesIO, more: Mapping[str, bytes]) -> None:
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in {**_members(), **more}.items():
                archive.writestr(name, content)

    evil = {f"../../{CANARY}": b"x", f"/{CANARY}.png": b"x", f"train/a/../../../{CANARY}.png": _picture("PNG")}
    return {"zip": _saved(lambda stream: write(stream, {})), "zip that leads out": _saved(lambda s: write(s, evil))}


def _tar() -> dict[str, bytes]:
    def write(stream: io.BytesIO, more: Mapping[str, bytes]) -> None:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, content in {**_members(), **more}.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            link = tarfile.TarInfo("train/a/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)

    return {"tar": _saved(lambda stream: write(stream, {f"../{CANARY}": b"x"}))}


# -- the home's own files, which somebody else may have written ----------------------------------------------------


@cache
def _home() -> Path:
    """A home with two promotions, one waiting and one run; kept until the process ends."""
    store = Store(Path(tempfile.mkdtemp(prefix="nightshift-fuzz-")) / "home")
    nights.night(store, "a")
    nights.night(store, "b")
    nights.waits(store, "c")
    about = {"kind": "retrain", "run": "a-run", "dataset": nights.DATASET, "began": journal.now(), "state": "finished"}
    journal.write(store, Record(id="fuzz", process=Process.current(), **about))  # type: ignore[arg-type]
    return store.root


def _in_home(name: str, ask: Callable[[Store], object]) -> Reader:
    def read(content: bytes, folder: Path) -> object:
        shutil.copytree(_home() / "models", folder / "models")
        shutil.copytree(_home() / "journal", folder / "journal")
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(content)
        return ask(Store(folder))

    return Reader(read, lambda: {name: (_home() / name).read_bytes()}, heavy=True)


def _version(store: Store) -> object:
    return versions.find(store, "mnist/2"), champions.champion(store, nights.DATASET)


def _ledger(store: Store) -> object:
    found = ledger.read(store, nights.DATASET), ledger.untidy(store, nights.DATASET)
    return found, traces.of_a_champion(store, nights.DATASET), champions.champion(store, nights.DATASET)


def _keys(content: bytes, folder: Path) -> object:
    (folder / keyring.TRUSTED).write_bytes(content)
    return [key.signed(b"x", "AAAA") for key in keyring.Keyring(folder).trusted().values()]


def _trusted() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        keyring.Keyring(Path(folder)).new("ada")
        return {"trusted keys": (Path(folder) / keyring.TRUSTED).read_bytes()}


def _model(content: bytes, folder: Path) -> object:
    (folder / "model.keras").write_bytes(content)
    return check_archive(folder / "model.keras")


def _models() -> dict[str, bytes]:
    from tests.artifacts.models.test_archive import archive

    with tempfile.TemporaryDirectory() as folder:
        described = json.dumps({"class_name": "Functional", "config": {"layers": [{"class_name": "Dense"}]}}).encode()
        return {"model.keras": archive(Path(folder) / "a.keras", config_json=described).read_bytes()}


def _read_parquet(content: bytes, folder: Path) -> object:
    path = folder / "test.parquet"
    path.write_bytes(content)
    with parquet_file.read_errors(path):
        found = pq.read_metadata(path)
        return [parquet_file.decode(one) for one in parquet_file.batches(path, found, [*range(found.num_row_groups)])]


READERS: dict[str, Reader] = {
    "idx": Reader(lambda content, _: read_idx(content, "it"), lambda: {"IDX": write_idx(PIXELS)}),
    "gzip": Reader(lambda content, _: unpack(content, 1 << 20, "it"), lambda: {"gzip": _arrays()["gzip"]}),
    "pictures": Reader(lambda content, _: images.decode(content, "it"), _pictures),
    "quick pictures": Reader(lambda content, _: quick.decoded(content, "it", 1, (0,)), _pictures),
    "predict": Reader(
        lambda content, _: image_files.read_file(File("it", content), GEOMETRY), lambda: _arrays() | _pictures()
    ),
    "npz": Reader(_source(".npz"), _npz, heavy=True),
    "csv": Reader(_source(".csv"), _csv, heavy=True),
    "parquet": Reader(_source(".parquet"), _parquet, heavy=True),
    "zip": Reader(_source(".zip"), _zip, heavy=True),
    "tar": Reader(_source(".tar"), _tar, heavy=True),
    "prepared parquet": Reader(_read_parquet, _prepared),
    "manifest": _in_home("models/mnist/versions/2/manifest.json", _version),
    "decision": _in_home("models/mnist/versions/2/decision.json", lambda s: champions.version_history(s, "mnist/2")),
    "ledger": _in_home("models/mnist/ledger.jsonl", _ledger),
    "pointer": _in_home("models/mnist/champion.json", lambda store: pointer.state(store, nights.DATASET)),
    "journal": _in_home("journal/fuzz.json", lambda store: (journal.read(store), journal.damaged(store))),
    "keys": Reader(_keys, _trusted),
    "model": Reader(_model, _models),
}
