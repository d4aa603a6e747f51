"""Zip and tar archives, read in place."""

import gzip
import shutil
import tarfile
import threading
import uuid
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

from data.errors import NightshiftError
from data.home.files import storage_errors
from data.importing.places.place import DAMAGED, UNSETTLED, File, Place, unreadable

MAX_HEADER = 1 << 20  # bytes of a tar header
ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz")


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive that can be looked into."""
    return name.lower().endswith(ENDINGS)


def archive(file: File) -> Place:
    """Return the members of an archive that lies in a place."""
    path = file.local()
    kind = Zip if file.name.lower().endswith((".zip", ".npz")) else Tar
    return kind(file.where, file.place.scratch).fill(path, file.stamp)


class Zip(Place):
    """The members of a zip archive, read in place."""

    def fill(self, path: Path, stamp: int = UNSETTLED) -> "Zip":
        """List the members, which all have the stamp of the archive."""
        try:
            self._zip = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise unreadable(self.location, error) from error
        for member in self._zip.infolist():
            if not member.is_dir():
                self.add(member.filename, member.file_size, member, stamp)
        self.files.sort(key=lambda file: file.name)
        return self

    def stream(self, file: File) -> BinaryIO:
        """Open a member; more than it announces is never read."""
        return cast("BinaryIO", self._zip.open(file.key))


class Tar(Place):
    """The members of a tar archive, read in place; a compressed one is unpacked into one temporary file first."""

    def fill(self, path: Path, stamp: int = UNSETTLED) -> "Tar":
        """List the members: regular files only, whatever links or devices the archive holds."""
        self._path, self._lock = path, threading.Lock()
        try:
            with tarfile.open(path, "r:*", tarinfo=_Member) as archive:
                for member in archive:
                    if member.isreg():
                        self.add(member.name, member.size, member.offset_data, stamp)
                packed = archive.fileobj is not None and not _is_plain_tar(path)
        except DAMAGED as error:
            raise unreadable(self.location, error) from error
        if packed:
            self._path = self._unpacked(path)
        self.files.sort(key=lambda file: file.name)
        return self

    def _unpacked(self, path: Path) -> Path:
        plain = self.scratch / uuid.uuid4().hex
        try:
            with storage_errors(plain), gzip.open(path) as stream, plain.open("wb") as target:
                shutil.copyfileobj(stream, target, 1 << 20)
        except NightshiftError:
            raise
        except DAMAGED as error:
            raise unreadable(self.location, error) from error
        return plain

    def stream(self, file: File) -> BinaryIO:
        """Open a member."""
        stream = self._path.open("rb")
        stream.seek(file.key)
        return cast("BinaryIO", _Part(stream, file.size))


class _Member(tarfile.TarInfo):
    """A header whose extension, which is read into memory, has a size that names and dates can have."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        extension = self.type not in (*tarfile.REGULAR_TYPES, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE)
        if extension and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


def _is_plain_tar(path: Path) -> bool:
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.TarError:
        return False


class _Part:
    """The next bytes of a stream as a stream of their own."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        content = self._stream.read(wanted)
        self._left -= len(content)
        return content

    def __enter__(self) -> "_Part":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
