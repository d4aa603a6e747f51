"""Reading files that may be anything: kind and size first, then the content; every error names the file."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from data.errors import Corrupt

LIMIT = 256 << 20  # bytes; far above any document of a home, far below what a machine has
READABLE = "check the disk and the permissions"


@contextlib.contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Raise the operating system's errors about reading `path` as Corrupt; a missing file's pass unchanged."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Corrupt(f"{path} cannot be read: {error.strerror or error}", READABLE) from error


def kind_of(mode: int) -> str:
    """Return what a file's mode says it is, for a message: "a folder", "a pipe"."""
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFLNK: "a symbolic link",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def read_plain(path: Path, limit: int = LIMIT) -> bytes:
    """Return the content of a file, if it is one and is not too large.

    Opening a pipe would wait for ever, a device may have no end, and a sparse file fills the memory: so the kind and
    the size are looked at before anything is read.

    Args:
        path: a file; links are followed.
        limit: bytes that it may have.

    Raises:
        FileNotFoundError: there is none.
        Corrupt: it is a folder, a pipe or a device, is larger, or cannot be read.
    """
    with read_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise Corrupt(f"{path} is {kind_of(found.st_mode)}; expected a file", "move it away")
            if found.st_size > limit:
                raise Corrupt(f"{path} has {found.st_size:,} bytes; at most {limit:,} are expected", "move it away")
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                # not `read(limit)`, which would reserve as many bytes
                return stream.read(min(found.st_size + 1, limit))
        finally:
            os.close(descriptor)
