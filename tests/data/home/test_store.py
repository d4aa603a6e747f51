import errno
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from data.errors import BadInput, Corrupt, StorageFailed
from data.home.files import file_sha256, storage_errors
from data.home.store import MANIFEST, Store


def publish(store: Store, name: str = "0", **files: bytes) -> Path:
    """Publish a folder with these files, and return it."""
    folder = store.prepared(name)
    with store.publish(folder) as draft:
        for file, content in (files or {"a": b"hello"}).items():
            (draft.path / file).write_bytes(content)
        draft.meta["name"] = name
    return folder


def leftovers(store: Store) -> list[Path]:
    """What lies under tmp/."""
    return list((store.root / "tmp").iterdir())


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F-28")
@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "A", "ä", "a\n", "a\0b", "-a", "a" * 101, "a b"])
def test_what_could_leave_the_home_is_no_name(store: Store, name: str) -> None:
    """Every folder of the map refuses it, before anything is made."""
    for path in (store.raw, store.quarantine):
        with pytest.raises(BadInput, match="cannot be a name here"):
            path(name, "file")
        with pytest.raises(BadInput):
            path("mnist", name)
    for one in (store.prepared, store.validation, store.trained, store.run, store.champion, store.ledger):
        with pytest.raises(BadInput):
            one(name)
    with pytest.raises(BadInput), store.lock(name):
        pass
    assert not store.root.exists()


def test_the_map_lies_below_the_root(store: Store) -> None:
    """Each kind of thing has its own place, and nothing is made by asking for it."""
    paths = {
        store.dataset_rows(),
        store.raw("mnist", "t10k"),
        store.quarantine("mnist", "t10k"),
        store.validation("0"),
        store.prepared("0"),
        store.trained("0"),
        store.run("0"),
        store.champion("mnist"),
        store.ledger("mnist"),
        store.versions("mnist"),
    }
    assert len(paths) == 10
    assert all(store.root in path.parents for path in paths)
    assert store.quarantine("mnist", "t10k") != store.quarantine("mnist", "t10k")
    assert not store.root.exists()


# -- publishing -----------------------------------------------------------------------------------------------------


def test_a_published_folder_is_complete_and_verifies(store: Store) -> None:
    """Its manifest lists every file, and holds what was said about it."""
    with store.publish(store.prepared("0")) as draft:
        (draft.path / "a").write_bytes(b"hello")
        (draft.path / "deep").mkdir()
        (draft.path / "deep" / "b").write_bytes(b"world")
        draft.meta["n"] = 2
        assert not store.prepared("0").exists()
    folder = store.prepared("0")
    assert store.is_complete(folder)
    assert store.verify(folder) == store.meta(folder) == {"n": 2}
    assert store.files(folder) == {
        "a": {"bytes": 5, "sha256": file_sha256(folder / "a")},
        "deep/b": {"bytes": 5, "sha256": file_sha256(folder / "deep" / "b")},
    }
    assert leftovers(store) == []


def test_a_block_that_fails_publishes_nothing(store: Store) -> None:
    """The draft is removed, and the error passes unchanged."""

    def failing() -> None:
        with store.publish(store.prepared("0")) as draft:
            (draft.path / "a").write_bytes(b"hello")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert not store.prepared("0").exists()
    assert leftovers(store) == []


def test_a_complete_folder_is_never_replaced(store: Store) -> None:
    """Equal addresses mean equal content: the second is dropped."""
    publish(store, a=b"first")
    assert (publish(store, a=b"second") / "a").read_bytes() == b"first"
    assert leftovers(store) == []


@pytest.mark.fault("F-24")
def test_a_folder_without_a_manifest_is_debris_and_is_replaced(store: Store) -> None:
    """What an earlier version of the world left there goes to tmp/, from where it is swept."""
    debris = store.prepared("0")
    debris.mkdir(parents=True)
    (debris / "half").write_bytes(b"half a fi")
    assert not store.is_complete(debris)
    publish(store)
    assert sorted(path.name for path in debris.iterdir()) == ["a", MANIFEST]
    assert [(path / "half").read_bytes() for path in leftovers(store)] == [b"half a fi"]
    assert len(store.sweep(older_than_s=-1)) == 1
    assert leftovers(store) == []


def test_many_at_once_publish_one(store: Store) -> None:
    """Whoever is slower finds the address taken, and that is no error, at whatever moment it happens."""
    barrier, failures = threading.Barrier(6), []

    def work(content: bytes) -> None:
        try:
            for turn in range(20):
                with store.publish(store.prepared(str(turn))) as draft:
                    (draft.path / "a").write_bytes(content)
                    barrier.wait(10)
        except Exception as error:  # noqa: BLE001  (whatever it is, the test shows it)
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(bytes([n]),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    for turn in range(20):
        store.verify(store.prepared(str(turn)))
    assert leftovers(store) == []


def test_whoever_publishes_between_the_look_and_the_rename_wins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rename finds a complete folder in its way: the draft is dropped."""
    replace = os.replace

    def faster(source: Path, target: Path) -> None:
        monkeypatch.undo()
        publish(store, a=b"first")
        replace(source, target)

    monkeypatch.setattr(os, "replace", faster)
    assert (publish(store, a=b"second") / "a").read_bytes() == b"first"
    store.verify(store.prepared("0"))
    assert leftovers(store) == []


@pytest.mark.fault("F-28")
@pytest.mark.parametrize("kind", ["file", "folder", "nowhere"])
def test_a_symbolic_link_is_neither_published_nor_verified(store: Store, tmp_path: Path, kind: str) -> None:
    """It could lead to what others change."""
    target = {"file": tmp_path / "file", "folder": tmp_path, "nowhere": tmp_path / "nothing"}[kind]
    (tmp_path / "file").write_bytes(b"hello")
    with pytest.raises(Corrupt, match="symbolic link"), store.publish(store.prepared("0")) as draft:
        (draft.path / "link").symlink_to(target)
    assert not store.prepared("0").exists()
    folder = publish(store)
    (folder / "a").unlink()
    (folder / "a").symlink_to(target)
    with pytest.raises(Corrupt, match="symbolic link"):
        store.verify(folder)


# -- verifying ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F-24")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "a").write_bytes(b"hellO"), "a has changed"),
        (lambda folder: (folder / "a").write_bytes(b""), "a has changed"),
        (lambda folder: (folder / "a").unlink(), "a is missing"),
        (lambda folder: (folder / "b").write_bytes(b""), "b was added"),
        (lambda folder: (folder / MANIFEST).unlink(), "no readable manifest"),
        (lambda folder: (folder / MANIFEST).write_bytes(b""), "no readable manifest"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"{}"), "no readable manifest"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"[]"), "no readable manifest"),
        (lambda folder: (folder / MANIFEST).write_bytes(b'{"schema":1,"meta":{}}'), "no readable manifest"),
        (lambda folder: (folder / MANIFEST).write_bytes(b'{"schema":1,"meta":{},"files":[]}'), "no readable manifest"),
        (lambda folder: (folder / MANIFEST).write_bytes(b'{"schema":1,"meta":{},"files":{}}'), "a was added"),
        (lambda folder: (folder / MANIFEST).write_bytes(b'{"schema":9,"meta":{},"files":{}}'), "schema 9"),
        (shutil.rmtree, "no readable manifest"),
    ],
)
def test_any_damage_is_found(store: Store, damage: Callable[[Path], object], message: str) -> None:
    """Changed, missing and added files, and every way in which a manifest can be none."""
    folder = publish(store)
    damage(folder)
    with pytest.raises(Corrupt, match=message):
        store.verify(folder)


def test_what_is_damaged_is_set_aside_to_be_made_anew(store: Store) -> None:
    """Complete and whole is used again; damaged is moved out of the way; nothing is nothing."""
    assert store.intact(store.prepared("0")) is None
    folder = publish(store)
    assert store.intact(folder) == {"name": "0"}
    (folder / "a").write_bytes(b"rotten")
    assert store.intact(folder) is None
    assert not folder.exists()
    assert [(path / "a").read_bytes() for path in leftovers(store)] == [b"rotten"]
    assert (publish(store) / "a").read_bytes() == b"hello"


# -- small files and logs -------------------------------------------------------------------------------------------


def test_a_small_file_is_replaced_in_one_step(store: Store) -> None:
    """A reader that opened the old one keeps it whole."""
    path = store.champion("mnist")
    store.write_bytes(path, b"old")
    with path.open("rb") as reader:
        store.write_bytes(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert leftovers(store) == []


def test_lines_are_appended_whole(store: Store) -> None:
    """With exactly one end of line each."""
    for line in (b"one", b"two\n", b"x" * 100_000):
        store.append_line(store.ledger("mnist"), line)
    assert store.ledger("mnist").read_bytes().split(b"\n") == [b"one", b"two", b"x" * 100_000, b""]


def test_a_line_that_does_not_fit_is_taken_back(store: Store) -> None:
    """With a file size limit in the middle of the line, the log stays as it was and the next line fits."""
    path = store.ledger("mnist")
    store.append_line(path, b"one")
    with file_size_limit(10), pytest.raises(StorageFailed, match="File too large"):
        store.append_line(path, b"a line that is too long")
    assert path.read_bytes() == b"one\n"
    store.append_line(path, b"two")
    assert path.read_bytes() == b"one\ntwo\n"


@contextmanager
def file_size_limit(n_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- a home that cannot be written ----------------------------------------------------------------------------------


def test_a_file_that_does_not_fit_leaves_nothing_behind(store: Store) -> None:
    """Neither a folder nor a small file nor a draft, and a message that says what to do."""
    store.preflight()
    with file_size_limit(10):
        with pytest.raises(StorageFailed, match="ulimit -f"):
            publish(store, a=b"more than ten bytes")
        with pytest.raises(StorageFailed, match="ulimit -f"):
            store.write_bytes(store.champion("mnist"), b"more than ten bytes")
    assert not store.prepared("0").exists()
    assert not store.champion("mnist").exists()
    assert leftovers(store) == []


@pytest.mark.fault("F-12", "F-43")
def test_a_full_or_read_only_disk_is_explained_and_leaves_nothing(tmp_path: Path) -> None:
    """A real one of one megabyte: too much fails and leaves nothing, with more room it fits; then it is read-only."""
    script = """
import subprocess, sys
from pathlib import Path
from data.errors import StorageFailed
from data.home.store import Store
disk = Path(sys.argv[1])
store = Store(disk / "home")
def expect(message, work):
    try:
        work()
    except StorageFailed as error:
        assert message in str(error), error
        return
    raise AssertionError(f"no {message}")
def publish(size):
    with store.publish(store.prepared("0")) as draft:
        (draft.path / "a").write_bytes(bytes(size))
store.preflight()
expect("this run needs about 100 MiB", lambda: store.preflight(100 << 20))
ballast = disk / "ballast"
ballast.write_bytes(bytes(600_000))
expect("No space left on device\\n  -> free some space", lambda: publish(500_000))
assert not store.prepared("0").exists() and not list((store.root / "tmp").iterdir())
ballast.unlink()
publish(500_000)
store.verify(store.prepared("0"))
subprocess.run(["mount", "-o", "remount,ro", "tmpfs", str(disk)], check=True)
store.verify(store.prepared("0"))
expect("Read-only file system\\n  -> point NIGHTSHIFT_HOME at a folder that can be written", store.preflight)
print("done")
"""
    mount = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-Urm", "sh", "-c", mount, "sh", str(tmp_path), sys.executable, script]
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:
        pytest.skip("unshare may not make a private disk here")
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.fault("F-43")
@pytest.mark.parametrize("kind", ["a file", "below a file", "a link to nowhere"])
def test_a_home_that_is_no_folder_is_explained(tmp_path: Path, kind: str) -> None:
    """With advice about NIGHTSHIFT_HOME, not with a traceback."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "unmounted")
    root = {"a file": "file", "below a file": "file/home", "a link to nowhere": "link"}[kind]
    with pytest.raises(StorageFailed, match="point NIGHTSHIFT_HOME at a folder"):
        Store(tmp_path / root).preflight()


def test_errors_that_are_not_about_the_disk_pass_unchanged(tmp_path: Path) -> None:
    """A missing input is not a broken home."""
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "no such file")


@pytest.mark.fault("F-13")
def test_everything_new_is_durable_before_it_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new folder's name in its parent, the files, their folder, the rename, and the folder that it happened in."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def named(path: Path) -> str:
        relative = path.relative_to(store.root.parent)
        return "/".join(part if len(part) < 32 else "draft" for part in relative.parts)

    def recording_fsync(descriptor: int) -> None:
        events.append("fsync " + named(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def recording_replace(source: Path, target: Path) -> None:
        events.append("rename " + named(target))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(os, "replace", recording_replace)
    publish(store)
    assert events[:2] == ["fsync ", "fsync home"]  # home/ and home/tmp/ are new
    assert sorted(events[2:4]) == ["fsync home/tmp/draft/a", "fsync home/tmp/draft/manifest.json"]
    assert events[4:] == ["fsync home/tmp/draft", "fsync home", "rename home/prepared/0", "fsync home/prepared"]
    events.clear()
    store.append_line(store.ledger("mnist"), b"line")
    assert events == [
        "fsync home",
        "fsync home/models",
        "fsync home/models/mnist/ledger.jsonl",
        "fsync home/models/mnist",
    ]
    events.clear()
    store.write_bytes(store.champion("mnist"), b"{}")
    assert events == ["fsync home/tmp/draft", "rename home/models/mnist/champion.json", "fsync home/models/mnist"]


# -- sweeping and locking -------------------------------------------------------------------------------------------


@pytest.mark.fault("F-24")
def test_only_old_debris_is_swept(store: Store) -> None:
    """What is younger may still be in use; links are removed, not followed."""
    old, new, link = store.scratch(), store.scratch(), store.scratch()
    for folder in (old, new):
        (folder / "deep").mkdir(parents=True)
    kept = store.root / "kept"
    kept.mkdir()
    link.symlink_to(kept)
    for path in (old, link):
        os.utime(path, (0, 0), follow_symlinks=False)
    assert sorted(store.sweep()) == sorted([old, link])
    assert leftovers(store) == [new]
    assert kept.is_dir()
    assert Store(store.root / "nowhere").sweep() == []


def test_a_lock_keeps_others_out_until_it_is_released(store: Store) -> None:
    """Whether its block ends or fails; other names are other locks."""

    def failing() -> None:
        with store.lock("one"):
            with store.lock("two", timeout_s=0):
                pass
            with pytest.raises(BlockingIOError), store.lock("one", timeout_s=0):
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with store.lock("one", timeout_s=0):
        pass


@pytest.mark.fault("F-23")
def test_a_lock_dies_with_its_process(store: Store) -> None:
    """A process that is killed while it holds one blocks nobody."""
    script = f"""
import pathlib, sys
from data.home.store import Store
with Store(pathlib.Path({str(store.root)!r})).lock("one"):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError), store.lock("one", timeout_s=0):
            pass
        holder.kill()
        holder.wait(10)
        with store.lock("one", timeout_s=0):
            pass
