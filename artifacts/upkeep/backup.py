"""A home in one tar file, and back: what changes is copied first, so that all it names is in the file too.

Pointer and ledger of a dataset are read under the registry's lock, rows and raw files under that of the datasets.
Everything else never changes once it is published. A server's files are left out: its password does not belong in a
backup, and its database only lists past runs. Why: docs/decisions/0027-backup.md.
"""

import io
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

from artifacts.registry import pointer, versions
from artifacts.registry.card import CARD
from artifacts.upkeep.registries import names
from data.errors import BadFile, BadInput, Broken
from data.home import files, schema
from data.home.files import storage_errors
from data.home.store import Store
from data.values import canonical_json

LEFT_OUT = {"tmp", "locks", "server", "prefect", "native.log", ".writable", "home.json"}
WITH_ROWS = ("datasets", "about", "schedules", "growing", "raw")
LAST = "backup.json"  # the number of files: a file that was cut short has no such end
EMPTY = {"tmp", "locks", ".writable", "lost+found"}  # what a home may have and still be one to restore into


def backup(store: Store, target: Path) -> int:
    """Write the home into a tar file, which only its owner can read; nights may run meanwhile.

    Args:
        store: the home.
        target: a new file outside the home; compressed if its name ends in .gz or .tgz.

    Returns:
        Bytes of the file.

    Raises:
        BadInput: there is no home, or the file exists or lies in the home.
        Broken: something was removed while it was copied; or newer code has written here.
        StorageFailed: the file cannot be written; nothing is left of it.
    """
    target = target.expanduser().absolute()
    if not store.root.is_dir():
        raise BadInput(f"there is no home at {store.root}", "set NIGHTSHIFT_HOME")
    if target.exists() or target.resolve().is_relative_to(store.root.resolve()):
        raise BadInput(f"expected a new file outside of {store.root}, got {target}", "give another name")
    schema.require_known(store)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with storage_errors(target), os.fdopen(_private(partial), "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz" if target.suffix in (".gz", ".tgz") else "w") as tar:
                tar.dereference = True
                _fill(tar, store)
            stream.flush()
            os.fsync(stream.fileno())
            partial.replace(target)
            files.fsync(target.parent)
    except FileNotFoundError as error:
        raise Broken(
            f"{error.filename} was removed while it was copied", "is gc running? back up again when it has ended"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)


def _fill(tar: tarfile.TarFile, store: Store) -> None:
    _add_bytes(tar, "home.json", canonical_json(schema.document(metadata.version("nightshift"))))
    with store.lock("datasets"):
        for name in WITH_ROWS:
            _add(tar, store, store.root / name)
    for dataset in versions.datasets(store):
        with pointer.locked(store, dataset):
            documents = (store.champion(dataset), store.ledger(dataset), store.pins(dataset), _readme(store, dataset))
            found = {path: path.read_bytes() for path in documents if path.is_file()}
        for path, content in found.items():
            _add_bytes(tar, path.relative_to(store.root).as_posix(), content)
        _add(tar, store, store.versions(dataset))
    for name in names(store):
        if name not in {*LEFT_OUT, *WITH_ROWS, "models", LAST}:
            _add(tar, store, store.root / name)
    _add_bytes(tar, LAST, canonical_json({"files": len(tar.getmembers())}))


def _readme(store: Store, dataset: str) -> Path:
    return store.versions(dataset).with_name(CARD)


def _add(tar: tarfile.TarFile, store: Store, path: Path) -> None:
    """Add a file, or all files of a folder; whatever is neither is left out."""
    found = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    for one in found:
        if one.is_file():
            tar.add(one, one.relative_to(store.root).as_posix(), recursive=False)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def restore(store: Store, source: Path) -> int:
    """Put a backup into an empty home; an interrupted restore can be given again.

    Args:
        store: the home; its folder is empty, or not there.
        source: what `backup` has written.

    Returns:
        Number of files.

    Raises:
        BadInput: the home is not empty.
        BadFile: the file is no backup of a home, or is damaged; nothing was changed.
        Broken: newer code has written it.
        StorageFailed: the home cannot be written, or has too little room.
    """
    unfinished = schema.is_restoring(store)
    there = set(names(store)) - EMPTY
    if there and not unfinished:
        raise BadInput(
            f"{store.root} is not empty: it has {', '.join(sorted(there)[:3])}", "set NIGHTSHIFT_HOME to a new folder"
        )
    folder = store.scratch()
    try:
        with _opened(source) as tar:
            members = list(_members(tar, source))
            store.preflight(sum(member.size for member in members))
            with storage_errors(folder):
                folder.mkdir()
                for member in members:
                    _extract(tar, member, folder)
                files.fsync_tree(folder)
        _place(store, folder)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _no_backup(source, str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return len(members)


def _opened(source: Path) -> tarfile.TarFile:
    if not source.is_file():
        raise _no_backup(source, "it is not a file" if source.exists() else "it is not there")
    return tarfile.open(source)


def _members(tar: tarfile.TarFile, source: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the files of a backup, if it is one that this code can read."""
    first = tar.next()
    stream = tar.extractfile(first) if first is not None and first.name == "home.json" and first.isfile() else None
    if stream is None or first is None:
        raise _no_backup(source, "it does not begin with home.json")
    try:
        schema.require(json.loads(stream.read(schema.LIMIT)), source)
    except (ValueError, KeyError, TypeError) as error:
        raise _no_backup(source, str(error)) from error
    members = tar.getmembers()
    if members[-1].name != LAST or _number_in(tar, members[-1]) != len(members) - 1:
        raise _no_backup(source, "its end is missing")
    for member in members[1:-1]:
        parts = PurePosixPath(member.name).parts
        if not member.isfile() or not parts or parts[0] in ("/", *LEFT_OUT) or ".." in parts:
            raise _no_backup(source, f"it holds {member.name!r}")
        yield member


def _number_in(tar: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    stream = tar.extractfile(member)
    try:
        return int(json.loads(stream.read(schema.LIMIT))["files"]) if stream else -1
    except (ValueError, KeyError, TypeError):
        return -1


def _no_backup(source: Path, why: str) -> BadFile:
    return BadFile(f"{source} is not a backup of a home ({why})", "give a file that 'nightshift home backup' wrote")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target, stream = folder / member.name, tar.extractfile(member)
    assert stream is not None, "a regular file"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
    target.chmod(member.mode & 0o755 | 0o400)
    os.utime(target, (member.mtime, member.mtime))  # ages decide what gc keeps


def _place(store: Store, folder: Path) -> None:
    """Move what was extracted into place; until the last move, home.json says that the restore is under way."""
    store.write_bytes(store.home_document(), canonical_json({**_document(), schema.RESTORING: True}))
    for path in sorted(folder.iterdir()):
        target = store.root / path.name
        if target.exists():  # of an interrupted restore
            store.move(target, store.scratch())
        store.move(path, target)
    store.write_bytes(store.home_document(), canonical_json(_document()))


def _document() -> dict[str, object]:
    return schema.document(metadata.version("nightshift"))
