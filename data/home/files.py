"""Files and folders that survive a power cut: write, fsync, hash; and disk errors as messages that say what to do."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import Corrupt, StorageFailed

_FREE_SPACE = "free some space, or point NIGHTSHIFT_HOME at a larger disk"
_WRITABLE = "point NIGHTSHIFT_HOME at a folder that you may write, or fix its permissions"
_LOCKS = "point NIGHTSHIFT_HOME at a file system with locks, such as a local disk; NFS needs its lock service"
ADVICE = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "raise the file size limit (ulimit -f)",
    errno.EROFS: "point NIGHTSHIFT_HOME at a folder that can be written",
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.ENOTDIR: "point NIGHTSHIFT_HOME at a folder",
    errno.EEXIST: "point NIGHTSHIFT_HOME at a folder; a file or a dangling symlink is in its place",
    errno.ENOLCK: _LOCKS,
    errno.EOPNOTSUPP: _LOCKS,
    errno.ENOSYS: _LOCKS,
    errno.EIO: "the disk failed: check it before you run again",
}


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise the operating system's errors about writing `path` as StorageFailed; other errors pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno not in ADVICE:
            raise
        raise StorageFailed(f"cannot write {path}: {error.strerror}", ADVICE[error.errno]) from error


@contextlib.contextmanager
def disk_failures() -> Iterator[None]:
    """Raise what is left of the operating system's errors about a disk as StorageFailed: the last resort of a run.

    Most code knows more about what it was doing, and says so through `storage_errors`. A disk may fail at any call.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in ADVICE or error.filename is None:
            raise
        problem = f"cannot use {error.filename}: {error.strerror}"
        raise StorageFailed(problem, ADVICE[error.errno]) from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def inventory(folder: Path, leave_out: str) -> dict[str, dict[str, Any]]:
    """Return "bytes" and "sha256" of every file below a folder, by its path relative to the folder.

    Args:
        folder: where to look, at any depth.
        leave_out: name of one file directly in the folder that is not listed.

    Raises:
        Corrupt: the folder is or holds a symbolic link, which could lead to what others change.
    """
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            raise Corrupt(f"{path} is a symbolic link; expected files and folders only", "put the file itself there")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / leave_out)
    return {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in files
    }


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, and make each new name survive a power cut."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        fsync(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file and wait until its content is on disk; its name is durable once its folder is fsynced."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def append_line(path: Path, line: bytes) -> None:
    """Add one line to a file and wait until it is on disk; take back what was written of it if that fails."""
    # unbuffered: a buffer would write the rest of the line when the file is closed after a failure
    with path.open("ab", buffering=0) as stream:
        before, rest = stream.tell(), memoryview(line.rstrip(b"\n") + b"\n")
        try:
            while rest:
                rest = rest[stream.write(rest) :]
            os.fsync(stream.fileno())
        except OSError:
            os.ftruncate(stream.fileno(), before)
            raise
    fsync(path.parent)


def confirm(target: Path) -> None:
    """Wait until the rename that put `target` into place is on disk.

    Raises:
        StorageFailed: the disk failed; the message says that the file is in place all the same.
    """
    try:
        fsync(target.parent)
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, ADVICE[errno.EIO])
        problem = (
            f"cannot write {target} for certain: it is in place, but the disk did not confirm it: {error.strerror}"
        )
        raise StorageFailed(problem, f"a power cut may undo it; {advice}") from error


def fsync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Wait until everything below a folder, and the folder itself, is on disk."""
    for path in folder.rglob("*"):
        fsync(path)
    fsync(folder)
