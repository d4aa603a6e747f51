"""Folders and files on this machine."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from data.importing.places.place import HIDDEN, MAX_IMAGE_BYTES, File, Place, unreadable

PIECE = 1 << 16  # bytes


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


class Folder(Place):
    """A folder on this machine, at any depth; links are followed, each folder once."""

    def fill(self, folder: Path) -> "Folder":
        """List the files below a folder."""
        self._root, self.top = folder, str(folder)
        seen: set[tuple[int, int]] = set()
        for top, folders, names in os.walk(folder, followlinks=True):
            status = Path(top).stat()
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
        except OSError:  # a dangling link
            self.left_out += 1
            return
        if HIDDEN.match(name):
            self.left_out += 1
        elif stat.S_ISREG(status.st_mode):  # reading a device or a pipe might never end
            self.files.append(File(relative, status.st_size, self))

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

    def fill(self, path: Path, name: str) -> "OneFile":
        """List it."""
        self._path = path
        self.files = [File(name, path.stat().st_size, self)]
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
