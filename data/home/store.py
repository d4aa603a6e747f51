"""Publish, verify and lock the files under $NIGHTSHIFT_HOME; where each lies is in data/home/layout.py.

A produced folder is complete if and only if it has a manifest.json: it is written last, inside a temporary folder
that is fsynced and then renamed into place. Nothing here is ever modified, only replaced by a rename or appended to.
"""

import contextlib
import errno
import fcntl
import json
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import Corrupt, StorageFailed
from data.home import files, locks
from data.home.files import storage_errors
from data.home.layout import Layout
from data.home.plain_files import READABLE, read_errors, read_plain
from data.values import canonical_json

MANIFEST = "manifest.json"
SCHEMA = 1
DAY_S = 24 * 3600.0


@dataclass
class Draft:
    """A folder being written.

    Args:
        path: an existing temporary folder; put files under it.
        meta: JSON-able values for the manifest.
    """

    path: Path
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Store(Layout):
    """The produced files under one root.

    Args:
        root: $NIGHTSHIFT_HOME; created on first use.
        keys: the folder with the keys by which its registry is signed and checked; None for none.
    """

    keys: Path | None = None

    # -- writing ----------------------------------------------------------------------------------------------

    def preflight(self, need_bytes: int = 0) -> None:
        """Fail now, with a clear message, rather than after an hour of training.

        Raises:
            StorageFailed: the root cannot be created or written, or has less than `need_bytes` free.
        """
        with storage_errors(self.root):
            files.make_folder(self.root)
            self.write_bytes(self.root / ".writable", b"")
            free = shutil.disk_usage(self.root).free
        if free < need_bytes:
            raise StorageFailed(
                f"{self.root} has {free >> 20} MiB free, but this run needs about {need_bytes >> 20} MiB",
                "free some space, or point NIGHTSHIFT_HOME at a larger disk",
            )

    def scratch(self) -> Path:
        """Return a fresh temporary path on the same file system, so that a rename is atomic; its folder exists."""
        folder = self.tmp()
        with storage_errors(folder):
            files.make_folder(folder)
        return folder / uuid.uuid4().hex

    def checkpoint(self, digest: str) -> Path:
        """Return where the training with this digest keeps its state for resuming; swept after a day."""
        return self.scratch().with_name(f"{digest}.checkpoint")

    @contextlib.contextmanager
    def publish(self, target: Path) -> Iterator[Draft]:
        """Write a folder so that it is either complete or not there.

        If the target is complete already when the block ends, the draft is dropped: equal addresses mean equal content.
        A target without a manifest is debris and is replaced.

        Args:
            target: one of the folders of the layout.

        Yields:
            A draft whose `path` is an empty temporary folder.

        Raises:
            StorageFailed: the disk is full, read-only, or fails; the draft is removed.
        """
        draft = Draft(self.scratch())
        try:
            with storage_errors(target):
                draft.path.mkdir()
                yield draft
                listed = files.inventory(draft.path, leave_out=MANIFEST)
                manifest = {"schema": SCHEMA, "meta": draft.meta, "files": listed}
                (draft.path / MANIFEST).write_bytes(canonical_json(manifest))
                files.fsync_tree(draft.path)
                self.place(draft.path, target)
        finally:
            shutil.rmtree(draft.path, ignore_errors=True)

    def place(self, temporary: Path, target: Path) -> None:
        """Rename an fsynced file or folder into place and make the rename durable."""
        with storage_errors(target):
            files.make_folder(target.parent)
            if target.is_dir():
                if self.is_complete(target):
                    return
                target.rename(self.scratch())
            try:
                temporary.replace(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not self.is_complete(target):
                    raise
                # another process published the same address between the check and the rename: equal content
            files.confirm(target)

    def move(self, path: Path, target: Path) -> None:
        """Move a file or folder, whole or not, to a free place on the same file system."""
        with storage_errors(target):
            files.make_folder(target.parent)
            path.rename(target)
            files.confirm(target)

    def write_bytes(self, target: Path, content: bytes) -> None:
        """Replace a small file in one step."""
        temporary = self.scratch()
        with storage_errors(target):
            try:
                files.write_file(temporary, content)
                self.place(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def append_line(self, target: Path, line: bytes) -> None:
        """Add one line to a log and wait until it is on disk. Callers hold a lock.

        Raises:
            StorageFailed: the disk is full or fails; what was written of the line is taken back.
        """
        with storage_errors(target):
            files.make_folder(target.parent)
            files.append_line(target, line)

    def sweep(self, older_than_s: float = DAY_S) -> list[Path]:
        """Remove what crashed runs left under tmp/ and return it.

        Args:
            older_than_s: age in seconds below which something may still be in use.
        """
        swept = self.debris(older_than_s)
        for path in swept:
            with contextlib.suppress(FileNotFoundError):  # another run may be sweeping, too
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return swept

    def debris(self, older_than_s: float = DAY_S) -> list[Path]:
        """Return what crashed runs left under tmp/ and the next sweep would remove."""
        folder, found = self.tmp(), []
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
        """Return "bytes" and "sha256" of a published folder's files by name, as recorded; nothing is hashed."""
        recorded: dict[str, dict[str, Any]] = self._manifest(folder)["files"]
        return recorded

    def verify(self, folder: Path) -> dict[str, Any]:
        """Hash every file of a published folder and return the manifest's `meta`.

        Raises:
            Corrupt: the manifest is missing or unreadable, or a file is missing, extra, or different.
        """
        manifest = self._manifest(folder)
        try:
            expected, found = manifest["files"], files.inventory(folder, leave_out=MANIFEST)
        except OSError as error:
            raise Corrupt(f"{folder} cannot be read: {error}", READABLE) from error
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                state = "is missing" if name not in found else "was added" if name not in expected else "has changed"
                raise Corrupt(f"{folder / name} {state} since it was written", "run 'nightshift verify' to check all")
        meta: dict[str, Any] = manifest["meta"]
        return meta

    def verified(self, folder: Path, name: str) -> Path:
        """Hash one file of a published folder and return its path: enough for a reader of that file alone.

        Raises:
            Corrupt: the manifest is missing or unreadable, or the file is missing or different.
        """
        path, expected = folder / name, self._manifest(folder)["files"].get(name)
        with read_errors(path):
            found = path.is_file() and {"bytes": path.stat().st_size, "sha256": files.file_sha256(path)}
        if expected is None or found != expected:
            state = "has changed" if found else "is missing"
            raise Corrupt(f"{path} {state} since it was written", "run 'nightshift verify' to check all")
        return path

    def intact(self, folder: Path) -> dict[str, Any] | None:
        """Return the `meta` of a published folder that can be used again; None if there is no such folder.

        A damaged one is moved to tmp/, with a warning, so that the caller can produce it again.
        """
        if not self.is_complete(folder):
            return None
        try:
            return self.verify(folder)
        except Corrupt as error:
            logging.getLogger(__name__).warning("%s; it will be made anew", error.problem)
            with storage_errors(folder), contextlib.suppress(FileNotFoundError):  # another run may have moved it
                folder.rename(self.scratch())
            return None

    def _manifest(self, folder: Path) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = json.loads(read_plain(folder / MANIFEST))
            schema, _, _ = manifest["schema"], manifest["meta"].keys(), manifest["files"].keys()
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Corrupt(
                f"{folder} has no readable {MANIFEST} ({error})", "it was not completely written; run again"
            ) from error
        if schema != SCHEMA:
            raise Corrupt(
                f"{folder} has manifest schema {schema}, this code reads {SCHEMA}", "use the version that wrote it"
            )
        return manifest

    # -- locking ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(
        self, name: str, *, timeout_s: float | None = None, on_wait: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Hold an exclusive lock that the kernel releases when its holder dies.

        Args:
            name: of the lock.
            timeout_s: seconds to wait for it; 0 tries once, None waits for ever.
            on_wait: called once, before waiting; not at all if the lock is free.

        Raises:
            BlockingIOError: another process still holds it after `timeout_s`.
        """
        path = self.lock_file(name)
        with storage_errors(path):
            files.make_folder(path.parent)
            stream = path.open("ab")
        with stream:
            with storage_errors(path):
                if timeout_s is None and on_wait is None:
                    fcntl.flock(stream, fcntl.LOCK_EX)  # no polling: the next in line has it at once
                else:
                    locks.wait_for(lambda: locks.try_lock(stream.fileno()), on_wait, timeout_s=timeout_s)
            yield
