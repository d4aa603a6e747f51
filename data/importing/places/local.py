"""Folders and files on this machine."""

import os
import stat
import time
from pathlib import Path
from typing import BinaryIO

from data.importing.places.place import HIDDEN, MAX_IMAGE_BYTES, UNSETTLED, File, Place, unreadable

PIECE = 1 << 16  # bytes
SETTLED_NS = 2_000_000_000  # FAT counts the time of changes in steps of 2 s; others in smaller ones


def read_file(path: str) -> bytes:
    """Return the content of an image file, at most one byte more than the largest may have.

    Python's streams and paths take as long as decoding a small image.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = os.read(descriptor, PIECE)
        while len(content) <= MAX_IMAGE_BYTES and (piece := os.read(descriptor, max(PIECE, len(content)))):
            content += piece
        return content
    finally:
        os.close(descriptor)


def stamp(status: os.stat_result, now_ns: int) -> int:
    """Return the stamp of a local file: when it was changed, or UNSETTLED if that was just now.

    A file that is written twice within one step of the clock has the same time both times.
    """
    return status.st_mtime_ns if abs(now_ns - status.st_mtime_ns) > SETTLED_NS else UNSETTLED


def _raise(error: OSError) -> None:
    """Refuse a folder that cannot be listed: without its files, the rest would look complete."""
    raise unreadable(str(error.filename), error) from error


class Folder(Place):
    """A folder on this machine, at any depth; links are followed, each folder once."""

    def fill(self, folder: Path) -> "Folder":
        """List the files below a folder.

        Raises:
            BadFile: a folder or a file in it cannot be looked at.
        """
        self._root, self.top, self._now = folder, str(folder), time.time_ns()
        seen: set[tuple[int, int]] = set()
        for top, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
            try:
                status = Path(top).stat()
            except OSError as error:
                raise unreadable(top, error) from error
            if (status.st_dev, status.st_ino) in seen:  # a link leads back
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            self.left_out += sum(bool(HIDDEN.match(name)) for name in folders)
            folders[:] = sorted(name for name in folders if not HIDDEN.match(name))
            relative = Path(top).relative_to(folder).as_posix()
            for name in names:
                self._list(f"{top}/{name}", f"{relative}/{name}" if relative != "." else name, name)
        self.files.sort(key=lambda file: file.name)
        return self

    def _list(self, path: str, relative: str, name: str) -> None:
        try:
            status = os.stat(path)  # noqa: PTH116  once per image: a Path takes longer than the call
        except (FileNotFoundError, NotADirectoryError):  # a dangling link
            self.left_out += 1
            return
        except OSError as error:
            raise unreadable(path, error) from error
        if HIDDEN.match(name):
            self.left_out += 1
        elif stat.S_ISREG(status.st_mode):  # reading a device or a pipe might never end
            self.files.append(File(relative, status.st_size, self, None, stamp(status, self._now)))

    def changed(self, file: File) -> bool:
        """Whether the file has another size or time by now, or is gone."""
        try:
            status = os.stat(f"{self.top}/{file.name}")  # noqa: PTH116  see _list
        except OSError:
            return True
        return status.st_size != file.size or file.stamp not in (UNSETTLED, status.st_mtime_ns)

    def stream(self, file: File) -> BinaryIO:
        """Open the file itself."""
        return (self._root / file.name).open("rb")

    def read(self, file: File) -> bytes:
        """Return the content of a file: without Python's layers of streams, which cost more than a small image."""
        try:
            content = read_file(f"{self.top}/{file.name}")
        except OSError as error:
            raise unreadable(file.where, error) from error
        return content

    def local(self, file: File) -> Path:
        """Return the file itself."""
        return self._root / file.name


class OneFile(Place):
    """A single file on this machine; messages name it as the user did."""

    def fill(self, path: Path, name: str, known: int | None = None) -> "OneFile":
        """List it.

        Args:
            path: the file.
            name: what messages call it.
            known: its stamp, if its time says nothing.
        """
        self._path, status = path, path.stat()
        found = stamp(status, time.time_ns()) if known is None else known
        self.files = [File(name, status.st_size, self, None, found)]
        return self

    def where(self, name: str) -> str:  # noqa: ARG002
        """Return the location: there is no other file."""
        return self.location

    def stream(self, file: File) -> BinaryIO:  # noqa: ARG002
        """Open it."""
        return self._path.open("rb")

    def local(self, file: File) -> Path:  # noqa: ARG002
        """Return its path."""
        return self._path
