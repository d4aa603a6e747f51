"""Folders and files on this machine."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from data.importing.places.place import File, Place, unreadable


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
            folders.sort()
            relative = Path(top).relative_to(folder).as_posix()
            for name in names:
                self._list(f"{relative}/{name}" if relative != "." else name)
        self.files.sort(key=lambda file: file.name)
        return self

    def _list(self, name: str) -> None:
        try:
            status = (self._root / name).stat()
        except OSError:  # a dangling link
            self.left_out += 1
            return
        if stat.S_ISREG(status.st_mode):  # reading a device or a pipe might never end
            self.add(name, status.st_size)

    def stream(self, file: File) -> BinaryIO:
        """Open the file itself."""
        return (self._root / file.name).open("rb")

    def read(self, file: File) -> bytes:
        """Return the content of a file: without Python's layers of streams, which cost more than a small image."""
        try:
            descriptor = os.open(f"{self.top}/{file.name}", os.O_RDONLY)
            try:
                content = os.read(descriptor, file.size + 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(file.where, error) from error
        return content if len(content) == file.size else super().read(file)  # it changed, or comes in pieces

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
