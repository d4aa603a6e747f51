"""Whatever mirrors, networks, disks and other processes do: the right bytes, or a clear error and nothing else."""

import errno
import gzip
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from artifacts.models.provenance import CHECKOUT
from data.builtin import DATASETS
from data.dataset import ROLES, RawRef
from data.errors import BadFile, BadInput, Corrupt, SourceUnavailable, StorageFailed
from data.home.store import Store
from data.sources.source import KEPT_IN_QUARANTINE, download, read_raw
from tests.data.servers import (
    FILES,
    IMAGE_FILE,
    IMAGES,
    ROW,
    Behaviour,
    Server,
    answer,
    check_failing_mirror,
    produced,
    serve_all,
    serving,
    sha256,
    stall,
    tiny,
    tiny_dataset,
)

OTHER_FILES = tiny_dataset(seed=1)[1]
BOMB = gzip.compress(bytes(100 << 20), compresslevel=1)  # a thousand times its size

CHILD = """
import resource, sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from data.errors import NightshiftError
from data.sources.source import download
from data.home.store import Store
from tests.data.servers import tiny_dataset

home, url, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
row = tiny_dataset((url,))[0]
print("begun", flush=True)
try:
    print(download(Store(Path(home)), row, deadline_s=60).digest)
except NightshiftError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
"""


def _child(home: Path, url: str, limit: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, str(home), url, str(limit)]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


# -- what should work ------------------------------------------------------------------------------------------------


def test_downloads_once_and_reads_what_was_served(store: Store, server: Server) -> None:
    """The second night asks no server, and the arrays are those that the files hold."""
    serve_all(server, FILES)
    ref = download(store, tiny(server.url))
    again = download(store, tiny(server.url))
    raw = read_raw(store, ROW, ref)

    assert ref == again == RawRef("tiny", ref.digest)
    assert sorted(server.asked) == sorted(f"/{name}" for name in FILES)
    assert raw.train_images.shape == (300, 20, 16)
    assert raw.train_images.dtype == np.uint8
    assert raw.test_labels.shape == (60,)
    assert raw.test_labels.dtype == np.int64
    assert sha256(raw.train_images.tobytes()) == sha256(gzip.decompress(FILES[IMAGES])[16:])


@pytest.mark.fault("F-04")
def test_a_night_without_a_network_passes(store: Store) -> None:
    """Verified copies on disk are enough when every mirror is gone."""
    with serving() as server:
        serve_all(server, FILES)
        ref = download(store, tiny(server.url))
    assert download(store, tiny(server.url)) == ref


def test_configured_mirrors_come_first_and_may_be_folders(store: Store, server: Server, tmp_path: Path) -> None:
    """NIGHTSHIFT_MIRRORS is `<mirror>/<dataset>/<file>`, a folder or a URL, before the row's own mirrors."""
    (tmp_path / "share" / "tiny").mkdir(parents=True)
    (tmp_path / "share" / "tiny" / IMAGES).write_bytes(FILES[IMAGES])
    serve_all(server, FILES, "/mine/tiny")
    serve_all(server, FILES, "/public")
    download(store, tiny(f"{server.url}/public"), (str(tmp_path / "share"), f"{server.url}/mine/"))
    assert f"/mine/tiny/{IMAGES}" not in server.asked
    assert len(server.asked) == 3
    assert all(path.startswith("/mine/tiny/") for path in server.asked)


def test_a_home_can_be_the_mirror_of_another(store: Store, tmp_path: Path) -> None:
    """raw/ is laid out like a mirror, so one download serves many machines."""
    sample = DATASETS["mnist-sample"]
    ref = download(store, sample)
    other = Store(tmp_path / "other")
    assert download(other, replace(sample, mirrors=()), (str(store.root / "raw"),)) == ref


def test_the_bundled_sample_asks_nobody(store: Store, server: Server) -> None:
    """The sample comes from the package even where mirrors are configured."""
    ref = download(store, DATASETS["mnist-sample"], (server.url,))
    assert server.asked == []
    assert read_raw(store, DATASETS["mnist-sample"], ref).train_images.shape == (2000, 28, 28)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_official_files_are_what_the_catalogue_says(store: Store, mirror: Path, name: str) -> None:
    """Every pinned hash and size of the catalogue is that of the genuine file."""
    row = DATASETS[name]
    ref = download(store, row, (str(mirror),))
    raw = read_raw(store, row, ref)
    for role in ROLES:
        served = (mirror / name / row.files[role].name).read_bytes()
        unpacked = gzip.decompress(served)
        assert (sha256(served), len(served)) == (row.files[role].served_sha256, row.files[role].served_bytes)
        assert (sha256(unpacked), len(unpacked)) == (row.files[role].raw_sha256, row.files[role].raw_bytes)
        assert getattr(raw, role).shape == row.shape(role)


@pytest.mark.parametrize("pack", [lambda raw: gzip.compress(raw, 1), lambda raw: raw], ids=["compressed anew", "raw"])
def test_compression_is_not_identity(store: Store, server: Server, pack: Callable[[bytes], bytes]) -> None:
    """A mirror may compress anew, or not at all: the raw content decides, and so does the digest."""
    serve_all(server, FILES, "/official")
    serve_all(server, {name: pack(gzip.decompress(content)) for name, content in FILES.items()}, "/debian")
    ref = download(store, tiny(f"{server.url}/debian"))
    assert download(Store(store.root / "other"), tiny(f"{server.url}/official")) == ref
    assert read_raw(store, ROW, ref).test_images.shape == (60, 20, 16)


def test_where_only_the_compressed_hash_is_known_it_decides(store: Store, server: Server) -> None:
    """A KMNIST-like row takes the published bytes, gives them a digest, and refuses others."""
    files = {role: replace(file, raw_sha256=None) for role, file in ROW.files.items()}
    serve_all(server, FILES, "/genuine")
    serve_all(server, {name: gzip.compress(gzip.decompress(content), 1) for name, content in FILES.items()}, "/anew")
    with pytest.raises(SourceUnavailable, match="SHA-256"):
        download(store, replace(ROW, files=files, mirrors=(f"{server.url}/anew",)))
    unpinned = download(store, replace(ROW, files=files, mirrors=(f"{server.url}/genuine",)))
    assert unpinned == download(Store(store.root / "other"), tiny(f"{server.url}/genuine"))


def test_progress_is_reported(store: Store, server: Server) -> None:
    """Whoever watches hears each file's name and its bytes, up to the whole."""
    serve_all(server, FILES)
    heard: list[tuple[str, int, int]] = []
    download(store, tiny(server.url), progress=lambda *news: heard.append(news))
    assert {name for name, _, _ in heard} == set(FILES)
    for name, content in FILES.items():
        assert max(done for told, done, _ in heard if told == name) == len(content)
        assert {total for told, _, total in heard if told == name} == {len(content)}


# -- mirrors that fail -----------------------------------------------------------------------------------------------

WRONG_CONTENT: dict[str, tuple[Callable[[Server], Behaviour], str]] = {
    "cut, lying length": (lambda _: answer(IMAGE_FILE[:50_000]), "byte 50000: the file ends inside its gzip stream"),
    "nothing": (lambda _: answer(b""), "got 0 bytes"),
    "web page": (lambda _: answer(b"<!DOCTYPE html>Hello"), "a web page"),
    "other dataset": (lambda _: answer(OTHER_FILES[IMAGES]), "expected 96016 bytes with SHA-256"),
    "other file": (lambda _: answer(FILES["t10k-labels-idx1-ubyte.gz"]), "got 68 bytes"),
    "one bit": (lambda _: answer(IMAGE_FILE[:500] + bytes([IMAGE_FILE[500] ^ 1]) + IMAGE_FILE[501:]), "byte|gzip|SHA"),
    "tail": (lambda _: answer(IMAGE_FILE + b"more"), "4 more bytes follow"),
    "bomb": (lambda _: answer(BOMB[:150_000], length=150_000), "expected at most 96016 bytes when unpacked"),
}


@pytest.mark.fault("F-02", "F-03")
@pytest.mark.parametrize("failure", WRONG_CONTENT)
def test_wrong_content_is_named_and_the_next_mirror_used(store: Store, server: Server, failure: str) -> None:
    """Every way to serve other bytes has its reason in the error, leaves no file, and does not stop the next mirror."""
    behaviour, reason = WRONG_CONTENT[failure]
    check_failing_mirror(store, server, behaviour(server), reason)


@pytest.mark.fault("F-03", "F-04")
def test_all_mirrors_are_listed_with_their_reasons(store: Store, server: Server, tmp_path: Path) -> None:
    """The error has one line for each mirror that was tried, and says what was kept."""
    server.routes[f"/page/{IMAGES}"] = answer(b"<html>")
    row = tiny(f"{server.url}/page", "http://127.0.0.1:1", "http://mirror.invalid")
    with pytest.raises(SourceUnavailable) as error:
        download(store, row, (str(tmp_path / "nothing"),), deadline_s=20)
    lines = error.value.problem.splitlines()
    assert "tiny/train-images-idx3-ubyte.gz" in lines[0]
    assert "No such file" in lines[1]
    assert "web page" in lines[2]
    assert "kept as" in lines[2]
    assert "Connection refused" in lines[3]
    assert "mirror.invalid" in lines[4]
    kept = Path(lines[2].rpartition("kept as ")[2].rstrip(")"))
    assert kept.read_bytes() == b"<html>"


@pytest.mark.fault("F-03")
def test_a_known_dataset_under_the_wrong_name_is_recognised(store: Store, mirror: Path, tmp_path: Path) -> None:
    """Fashion-MNIST served as MNIST is called by its name."""
    (tmp_path / "mnist").symlink_to((mirror / "fashion-mnist").resolve())
    with pytest.raises(SourceUnavailable, match="these are Fashion-MNIST's train images"):
        download(store, replace(DATASETS["mnist"], mirrors=()), (str(tmp_path),))


@pytest.mark.fault("F-05")
def test_a_bomb_does_not_take_the_memory(store: Store, tmp_path: Path) -> None:
    """400 MiB in a small file are refused after as many bytes as the row allows."""
    small = {**FILES, IMAGES: BOMB}
    (tmp_path / "share" / "tiny").mkdir(parents=True)
    for name, content in small.items():
        (tmp_path / "share" / "tiny" / name).write_bytes(content)
    row = replace(ROW, files={**ROW.files, "train_images": replace(ROW.files["train_images"], served_bytes=len(BOMB))})
    tracemalloc.start()
    try:
        with pytest.raises(SourceUnavailable, match="expected at most 96016 bytes when unpacked"):
            download(store, row, (str(tmp_path / "share"),))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20


def test_quarantine_does_not_grow_for_ever(store: Store, server: Server) -> None:
    """A mirror that is broken for weeks leaves a few bad copies, not one per night."""
    server.routes[f"/{IMAGES}"] = answer(b"<html>")
    for _ in range(KEPT_IN_QUARANTINE + 3):
        with pytest.raises(SourceUnavailable):
            download(store, tiny(server.url))
    assert len([path for path in produced(store) if path.startswith("quarantine/")]) == KEPT_IN_QUARANTINE


# -- disks, crashes, other processes ---------------------------------------------------------------------------------


@pytest.mark.fault("F-09")
def test_a_flipped_bit_on_disk_is_noticed_and_mended(store: Store, server: Server) -> None:
    """The copy on disk is hashed at every use: reading refuses it, the next download replaces it."""
    serve_all(server, FILES)
    ref = download(store, tiny(server.url))
    path = store.raw("tiny", IMAGES)
    damaged = bytearray(path.read_bytes())
    damaged[5000] ^= 4
    path.write_bytes(damaged)

    with pytest.raises(Corrupt, match=IMAGES):
        read_raw(store, ROW, ref)
    assert download(store, tiny(server.url)) == ref
    assert path.read_bytes() == FILES[IMAGES]
    assert server.asked.count(f"/{IMAGES}") == 2
    assert [kept.read_bytes() for kept in (store.root / "quarantine" / "tiny").iterdir()] == [bytes(damaged)]


@pytest.mark.fault("F-09")
def test_a_damaged_copy_and_no_network_is_an_error(store: Store) -> None:
    """Bytes that are not the right ones are never used, not even when there is nothing else."""
    with serving() as server:
        serve_all(server, FILES)
        download(store, tiny(server.url))
    store.raw("tiny", IMAGES).write_bytes(OTHER_FILES[IMAGES])
    with pytest.raises(SourceUnavailable, match="Connection refused"):
        download(store, tiny(server.url))


def test_reading_refuses_files_of_another_download(store: Store, server: Server) -> None:
    """A reference names the content: other content under the same names is not read."""
    serve_all(server, FILES)
    ref = download(store, tiny(server.url))
    with pytest.raises(Corrupt, match="not the ones"):
        read_raw(store, ROW, RawRef("tiny", "0" * 64))
    store.raw("tiny", IMAGES).unlink()
    with pytest.raises(Corrupt, match="cannot be read"):
        read_raw(store, ROW, ref)


def test_reading_checks_the_shape_where_the_content_is_not_pinned(store: Store, server: Server) -> None:
    """Right hash, but not the images that the row promises."""
    serve_all(server, FILES)
    row = replace(tiny(server.url), height=16, width=20)
    ref = download(store, row)
    with pytest.raises(BadFile, match=r"\(300, 16, 20\).*\(300, 20, 16\)"):
        read_raw(store, row, ref)


@pytest.mark.fault("F-01")
def test_kill_9_in_mid_download_leaves_nothing_that_counts(store: Store, server: Server) -> None:
    """After a crash there is no final file, and the next run gets all of them."""
    server.routes[f"/{IMAGES}"] = stall(server, IMAGE_FILE, 40_000)
    child = _child(store.root, server.url)
    try:
        assert server.sent_some.wait(60)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    assert not (store.root / "raw").exists()

    serve_all(server, FILES)
    download(store, tiny(server.url))
    assert [path.name for path in store.sweep(older_than_s=-1)] != []
    assert not any(path.startswith("tmp/") for path in produced(store))


@pytest.mark.fault("F-08")
def test_two_processes_download_once(store: Store, server: Server) -> None:
    """One downloads, the other waits, both end with the same digest."""
    serve_all(server, FILES)
    server.routes[f"/{IMAGES}"] = stall(server, IMAGE_FILE, 40_000)
    first = _child(store.root, server.url)
    assert server.sent_some.wait(60)
    second = _child(store.root, server.url)
    for child in (first, second):
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
    server.released.set()
    children = (first, second)
    outputs = [child.communicate(timeout=60)[0].strip() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert outputs[0] == outputs[1]
    assert sorted(server.asked) == sorted(f"/{name}" for name in FILES)


def test_waiting_for_another_download_ends_too(store: Store, server: Server) -> None:
    """A process that never finishes does not hold up the others for ever."""
    with (
        store.lock(f"raw.tiny.{IMAGES}"),
        pytest.raises(SourceUnavailable, match="another process"),
    ):
        download(store, tiny(server.url), deadline_s=0.1)


def test_who_has_waited_looks_again(store: Store, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process fetched meanwhile is used, not fetched again."""
    serve_all(server, FILES)
    with ExitStack() as other:
        other.enter_context(store.lock(f"raw.tiny.{IMAGES}"))

        def meanwhile(_: float) -> None:
            store.write_bytes(store.raw("tiny", IMAGES), IMAGE_FILE)
            other.close()

        monkeypatch.setattr("data.home.locks.time.sleep", meanwhile)
        download(store, tiny(server.url))
    assert f"/{IMAGES}" not in server.asked
    assert len(server.asked) == 3


def test_the_bytes_are_on_disk_before_the_name_is(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Per file: fsync of the content, rename, fsync of the folder; the order that survives a power cut."""
    serve_all(server, FILES)
    log: list[tuple[str, int]] = []
    fsync, replace_ = os.fsync, Path.replace

    def logged_fsync(descriptor: int) -> None:
        log.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def logged_replace(path: Path, target: Path) -> Path:
        log.append(("rename", path.stat().st_ino))
        return replace_(path, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(Path, "replace", logged_replace)
    download(store, tiny(server.url))
    folder = store.raw("tiny", IMAGES).parent
    for name in FILES:
        content = (folder / name).stat().st_ino
        renamed = log.index(("rename", content))
        assert ("fsync", content) in log[:renamed]
        assert log[renamed + 1] == ("fsync", folder.stat().st_ino)


@pytest.mark.fault("F-12")
def test_a_full_disk_is_said_and_leaves_nothing(store: Store, server: Server) -> None:
    """Where a file cannot grow any more, the run fails clearly, and succeeds once there is space."""
    serve_all(server, FILES)
    child = _child(store.root, server.url, limit=30_000)
    output = child.communicate(timeout=60)[0]
    assert child.returncode == 1
    assert "StorageFailed" in output
    assert "Traceback" not in output
    assert not any(path.startswith(("raw/", "tmp/")) for path in produced(store))
    download(store, tiny(server.url))


@pytest.mark.fault("F-12", "F-13")
@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_whichever_step_fails_nothing_wrong_is_left(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The first, second, third... such call fails: what has a final name is right, and tmp/ is empty."""
    serve_all(server, FILES)
    for nth in range(1, 100):
        home = Store(store.root / str(nth))
        with monkeypatch.context() as patch:
            _fail(patch, call, nth)
            problem = _problem_with(home, server)
        for path in (home.root / "raw").rglob("*.gz"):
            assert path.read_bytes() == FILES[path.name]
        assert list((home.root / "tmp").rglob("*")) == []
        if not problem:
            break
        assert "No space left" in problem
        assert _problem_with(home, server) == ""
    assert nth > len(FILES)


def _problem_with(home: Store, server: Server) -> str:
    try:
        download(home, tiny(server.url))
    except StorageFailed as error:
        return error.problem
    return ""


def _fail(patch: pytest.MonkeyPatch, call: str, nth: int) -> None:
    owner: object = os if call == "fsync" else Path
    real, calls = getattr(owner, call), count(1)

    def broken(*args: Any, **kwargs: Any) -> Any:
        writes = call != "open" or "w" in str(args[1:])
        if writes and next(calls) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    patch.setattr(owner, call, broken)


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # modes do not stop root
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.fault("F-43")
def test_a_read_only_home_is_said(server: Server) -> None:
    """A home that cannot be written is an error with advice, and stays as it was."""
    serve_all(server, FILES)
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with (
            _read_only(home),
            pytest.raises(StorageFailed, match=r"cannot write .*Permission denied") as error,
        ):
            download(Store(home), tiny(server.url))
        assert "NIGHTSHIFT_HOME" in error.value.hint
        assert list(home.iterdir()) == []


def test_a_read_only_home_with_verified_copies_is_enough(server: Server) -> None:
    """Nothing is written, not even a lock, where nothing needs to be fetched."""
    serve_all(server, FILES)
    with TemporaryDirectory() as folder:
        home = Path(folder)
        ref = download(Store(home), tiny(server.url))
        before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
        with _read_only(home):
            assert download(Store(home), tiny(server.url)) == ref
        assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


@pytest.mark.fault("F-07")
@pytest.mark.parametrize("name", ["../outside", "/etc/x", "a/b", "..", ""])
def test_names_cannot_lead_out_of_the_home(store: Store, server: Server, name: str) -> None:
    """A row with a hostile name writes nothing anywhere."""
    hostile = {role: replace(file, name=name) for role, file in ROW.files.items()}
    for row in (replace(ROW, name=name), replace(ROW, files=hostile)):
        with pytest.raises(BadInput):
            download(store, replace(row, mirrors=(server.url,)))
    assert not store.root.exists() or produced(store) == []
    assert server.asked == []
