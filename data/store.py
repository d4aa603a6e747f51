"""The map of $NIGHTSHIFT_HOME: the only module that knows where produced files lie, and how they are written.

    datasets/<name>.json                 a dataset a user brought, as a catalogue row
    raw/<dataset>/<file>                 downloaded, hash-checked source files
    quarantine/<dataset>/<file>...       what a mirror served instead
    validations/<digest>/                the expectations' result and the Data Docs
    prepared/<digest>/                   train, validation and test Parquet, and the validation that let them pass
    trained/<digest>/                    one trained candidate: model, history, metrics, predictions
    runs/<run>/                          what the night had to say: report, pictures, decision
    journal/<flow run>.json              who ran when, in which process, and how it ended
    models/<dataset>/versions/<n>/       registered models, immutable
    models/<dataset>/champion.json       the pointer
    models/<dataset>/ledger.jsonl        every decision, append-only
    tmp/                                 what is being written; debris after a crash, swept at the start of a run
    locks/                               files to flock; their content means nothing

A produced folder is complete if and only if it has a manifest.json: it is written last, inside a temporary folder
that is fsynced and then renamed into place. Nothing here is ever modified, only replaced by a rename or appended to.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import BadInput, Corrupt, StorageFailed

MANIFEST = "manifest.json"
SCHEMA = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return JSON bytes that are equal for equal values: sorted keys, no NaN, UTF-8, newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON-able value: the content address of whatever follows from it."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


@dataclass
class Draft:
    """A folder being written. Put files under `path`; what goes into `meta` ends up in the manifest."""

    path: Path
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Store:
    """The produced files under one root.

    Args:
        root: $NIGHTSHIFT_HOME; created on first use.
    """

    root: Path

    # -- the map ----------------------------------------------------------------------------------------------

    def dataset_rows(self) -> Path:
        """The folder of the datasets users brought, one JSON file each."""
        return self._at("datasets")

    def raw(self, dataset: str, file: str) -> Path:
        """A downloaded source file."""
        return self._at("raw", dataset, file)

    def quarantine(self, dataset: str, file: str) -> Path:
        """A fresh name for a file that was not what it should be."""
        return self._at("quarantine", dataset, f"{file}.{uuid.uuid4().hex[:8]}")

    def validation(self, digest: str) -> Path:
        """The result of validating the raw data with this digest."""
        return self._at("validations", digest)

    def prepared(self, digest: str) -> Path:
        """The Parquet files with this digest."""
        return self._at("prepared", digest)

    def trained(self, digest: str) -> Path:
        """One trained and evaluated candidate."""
        return self._at("trained", digest)

    def checkpoint(self, digest: str) -> Path:
        """Where a training that will have this digest keeps what it needs to go on after a kill; swept after a day."""
        return self.scratch().with_name(f"{digest}.checkpoint")

    def run(self, run: str) -> Path:
        """What one night had to say."""
        return self._at("runs", run)

    def runs(self) -> Path:
        """The folder of all runs."""
        return self._at("runs")

    def journal(self, id: str) -> Path:
        """What is known about one flow run."""
        return self._at("journal", f"{id}.json")

    def journals(self) -> Path:
        """The folder of what is known about all flow runs."""
        return self._at("journal")

    def models(self) -> Path:
        """The folder of all datasets that have registered models."""
        return self._at("models")

    def versions(self, dataset: str) -> Path:
        """The folder of a dataset's registered versions."""
        return self._at("models", dataset, "versions")

    def champion(self, dataset: str) -> Path:
        """The pointer to a dataset's champion."""
        return self._at("models", dataset, "champion.json")

    def ledger(self, dataset: str) -> Path:
        """Every decision ever taken about a dataset's champion."""
        return self._at("models", dataset, "ledger.jsonl")

    def scratch(self) -> Path:
        """A fresh temporary path on the same file system, so that a rename is atomic."""
        path = self._at("tmp", uuid.uuid4().hex)
        with explained(path.parent):
            _make_durable(path.parent)
        return path

    def _at(self, *parts: str) -> Path:
        for part in parts:
            if not NAME.fullmatch(part):
                raise BadInput(
                    f"{part!r} cannot be a name here",
                    "use lower-case letters, digits, dots, dashes and underscores, and start with a letter or a digit",
                )
        return self.root.joinpath(*parts)

    # -- writing ----------------------------------------------------------------------------------------------

    def preflight(self, need_bytes: int = 0) -> None:
        """Fail now, with a clear message, rather than after an hour of training.

        Raises:
            StorageFailed: the root cannot be created or written, or has less than `need_bytes` free.
        """
        with explained(self.root):
            _make_durable(self.root)
            self.write_bytes(self.root / ".writable", b"")
            free = shutil.disk_usage(self.root).free
        if free < need_bytes:
            raise StorageFailed(
                f"{self.root} has {free >> 20} MiB free, but this run needs about {need_bytes >> 20} MiB",
                "free some space, or point NIGHTSHIFT_HOME at a larger disk",
            )

    @contextlib.contextmanager
    def publish(self, target: Path) -> Iterator[Draft]:
        """Write a folder so that it is either complete or not there.

        If the target is complete already when the block ends, the draft is dropped: equal addresses mean equal content.
        A target without a manifest is debris and is replaced.

        Args:
            target: one of the folders of the map.

        Yields:
            A draft whose `path` is an empty temporary folder.

        Raises:
            StorageFailed: the disk is full, read-only, or fails; the draft is removed.
        """
        draft = Draft(self.scratch())
        try:
            with explained(target):
                draft.path.mkdir()
                yield draft
                manifest = {"schema": SCHEMA, "meta": draft.meta, "files": _inventory(draft.path)}
                (draft.path / MANIFEST).write_bytes(canonical_json(manifest))
                _fsync_tree(draft.path)
                self.place(draft.path, target)
        finally:
            shutil.rmtree(draft.path, ignore_errors=True)

    def place(self, temporary: Path, target: Path) -> None:
        """Rename an fsynced file or folder into place and make the rename durable."""
        with explained(target):
            _make_durable(target.parent)
            if target.is_dir():
                if self.is_complete(target):
                    return
                target.rename(self.scratch())
            try:
                temporary.replace(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not self.is_complete(target):
                    raise
                # somebody else published the same address between the look and the rename: equal content
            _fsync(target.parent)

    def write_bytes(self, target: Path, content: bytes) -> None:
        """Replace a small file in one step."""
        temporary = self.scratch()
        with explained(target):
            try:
                with temporary.open("wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                self.place(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def append_line(self, target: Path, line: bytes) -> None:
        """Add one line to a log and wait until it is on disk. Callers hold a lock.

        Raises:
            StorageFailed: the disk is full or fails; what was written of the line is taken back.
        """
        with explained(target):
            _make_durable(target.parent)
            # unbuffered: a buffer would write the rest of the line when the file is closed after a failure
            with target.open("ab", buffering=0) as stream:
                before, rest = stream.tell(), memoryview(line.rstrip(b"\n") + b"\n")
                try:
                    while rest:
                        rest = rest[stream.write(rest) :]
                    os.fsync(stream.fileno())
                except OSError:
                    os.ftruncate(stream.fileno(), before)
                    raise
            _fsync(target.parent)

    def sweep(self, older_than_s: float = 24 * 3600) -> list[Path]:
        """Remove what crashed runs left under tmp/ and return it.

        Args:
            older_than_s: age in seconds below which something may still be in use.
        """
        swept = self.debris(older_than_s)
        for path in swept:
            with contextlib.suppress(FileNotFoundError):  # another night may be sweeping, too
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return swept

    def debris(self, older_than_s: float = 24 * 3600) -> list[Path]:
        """Return what crashed runs left under tmp/ and the next sweep would remove."""
        folder, found = self.root / "tmp", []
        horizon = time.time() - older_than_s
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # its owner has just renamed it into place
                if path.lstat().st_mtime < horizon:
                    found.append(path)
        return found

    # -- reading ----------------------------------------------------------------------------------------------

    def is_complete(self, folder: Path) -> bool:
        """Whether a produced folder has been published."""
        return (folder / MANIFEST).is_file()

    def meta(self, folder: Path) -> dict[str, Any]:
        """Return the `meta` of a published folder's manifest, without hashing its files."""
        meta: dict[str, Any] = self._manifest(folder)["meta"]
        return meta

    def files(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Return "bytes" and "sha256" of a published folder's files by name, as they were written; not hashed again."""
        files: dict[str, dict[str, Any]] = self._manifest(folder)["files"]
        return files

    def verify(self, folder: Path) -> dict[str, Any]:
        """Hash every file of a published folder and return the manifest's `meta`.

        Raises:
            Corrupt: the manifest is missing or unreadable, or a file is missing, extra, or different.
        """
        manifest = self._manifest(folder)
        try:
            expected, found = manifest["files"], _inventory(folder)
        except OSError as error:
            raise Corrupt(f"{folder} cannot be read: {error}", "check the disk and the permissions") from error
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                state = "is missing" if name not in found else "was added" if name not in expected else "has changed"
                raise Corrupt(
                    f"{folder / name} {state} since it was written", "run 'nightshift verify' for the whole picture"
                )
        meta: dict[str, Any] = manifest["meta"]
        return meta

    def verified(self, folder: Path, name: str) -> Path:
        """Hash one file of a published folder and return its path: enough for who reads only that one.

        Raises:
            Corrupt: the manifest is missing or unreadable, or the file is missing or different.
        """
        path, expected = folder / name, self._manifest(folder)["files"].get(name)
        found = path.is_file() and {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        if expected is None or found != expected:
            state = "has changed" if found else "is missing"
            raise Corrupt(f"{path} {state} since it was written", "run 'nightshift verify' for the whole picture")
        return path

    def intact(self, folder: Path) -> dict[str, Any] | None:
        """Return the `meta` of a published folder that can be used again; None if there is no such folder.

        A damaged one is set aside under tmp/, with a warning, so that it can be made anew from what it came from.
        """
        if not self.is_complete(folder):
            return None
        try:
            return self.verify(folder)
        except Corrupt as error:
            logging.getLogger(__name__).warning("%s; it will be made anew", error.problem)
            with explained(folder), contextlib.suppress(FileNotFoundError):  # another night may have been faster
                folder.rename(self.scratch())
            return None

    def _manifest(self, folder: Path) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
            schema, _, _ = manifest["schema"], manifest["meta"], manifest["files"].keys()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Corrupt(
                f"{folder} has no readable {MANIFEST} ({error})", "it was not completely written; run again"
            ) from error
        if schema != SCHEMA:
            raise Corrupt(
                f"{folder} has manifest schema {schema}, this code reads {SCHEMA}", "use the version that wrote it"
            )
        return manifest

    # -- excluding --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Hold an exclusive lock that the kernel releases when its holder dies.

        Raises:
            BlockingIOError: somebody else holds it and `wait` is false.
        """
        path = self._at("locks", name)
        with explained(path):
            _make_durable(path.parent)
            stream = path.open("ab")
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's "no" into a message that says what to do."""
    advice = {
        errno.ENOSPC: "free some space, or point NIGHTSHIFT_HOME at a larger disk",
        errno.EDQUOT: "free some space, or point NIGHTSHIFT_HOME at a larger disk",
        errno.EFBIG: "raise the file size limit (ulimit -f)",
        errno.EROFS: "point NIGHTSHIFT_HOME at a folder that can be written",
        errno.EACCES: "point NIGHTSHIFT_HOME at a folder that you may write, or mend its permissions",
        errno.EPERM: "point NIGHTSHIFT_HOME at a folder that you may write, or mend its permissions",
        errno.ENOTDIR: "point NIGHTSHIFT_HOME at a folder",
        errno.EEXIST: "point NIGHTSHIFT_HOME at a folder; a link that leads nowhere is none",
        errno.EIO: "the disk failed; nothing was published; check it before you run again",
    }
    try:
        yield
    except OSError as error:
        if error.errno not in advice:
            raise
        raise StorageFailed(f"cannot write {path}: {error.strerror}", advice[error.errno]) from error


def _inventory(folder: Path) -> dict[str, dict[str, Any]]:
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            raise Corrupt(f"{path} is a symbolic link; a produced folder has only files", "put the file itself there")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST)
    return {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in files
    }


def _make_durable(folder: Path) -> None:
    """Create a folder and its parents, and make each new name survive a power cut."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _fsync(path.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _fsync(path)
    _fsync(folder)
