"""A list of files and how to read them: what folders, archives and buckets have in common.

A file has a stamp that changes when its content does, so that what was read before is not read again.
Nothing is ever written under a name that comes from outside: what must be a local file is copied to a fresh name in a
temporary folder.
"""

import hashlib
import lzma
import re
import shutil
import struct
import tarfile
import uuid
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from data.errors import BadFile, NightshiftError
from data.home.files import storage_errors

MAX_IMAGE_BYTES = 256 << 20  # of one encoded image
HIDDEN = re.compile(r"^(\..*|__MACOSX|Thumbs\.db|desktop\.ini|\$RECYCLE\.BIN|lost\+found)$", re.IGNORECASE)
UNSETTLED = -1  # the stamp of a file that may have another content next time, although nothing shows it
# what reading a damaged file or archive raises
DAMAGED = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    RuntimeError,
    ValueError,
    ArithmeticError,
    LookupError,
)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a place.

    Args:
        name: its path inside the place, with slashes.
        size: in bytes.
        place: where it lies.
        key: what the place needs to find it.
        stamp: another number for another content, as far as its place can tell: the time of its last change in
            nanoseconds, or a part of a hash; `UNSETTLED` if it cannot.
    """

    name: str
    size: int
    place: "Place"
    key: Any = None
    stamp: int = UNSETTLED

    @property
    def suffix(self) -> str:
        """The end of the name from the last dot on, in lower case; also `.csv` of `x.csv.gz`, without the `.gz`."""
        last = self.name.lower().removesuffix(".gz").rpartition("/")[2]
        stem, dot, ending = last.rpartition(".")  # several times per image: a Path takes ten times as long
        return f"{dot}{ending}" if stem and ending else ""

    @property
    def where(self) -> str:
        """The file as a message names it."""
        return self.place.where(self.name)

    def read(self) -> bytes:
        """Return the content of an image file.

        Raises:
            BadFile: it cannot be read, or is larger than any image.
        """
        if self.size > MAX_IMAGE_BYTES:
            raise BadFile(
                f"{self.where}: expected an image of at most {MAX_IMAGE_BYTES >> 20} MiB, got more", "leave it out"
            )
        return self.place.read(self)

    def local(self) -> Path:
        """Return a local file with the same content: the file itself, or a copy that lives as long as the place.

        Raises:
            BadFile: it cannot be read.
            StorageFailed: the copy cannot be written.
        """
        return self.place.local(self)


@dataclass
class Place:
    """A list of files, and how to read them. Subclasses say where they are.

    Args:
        location: as the user named it, without secrets.
        scratch: a temporary folder for copies; removed by its owner.
        files: sorted by name.
        left_out: how many files were passed over because they are hidden or system files.
    """

    location: str
    scratch: Path
    files: list[File] = field(default_factory=list)
    left_out: int = 0

    def where(self, name: str) -> str:
        """Return a file of this place as a message names it."""
        start = self.location if self.location[-1:] != "/" else self.location.rstrip("/")
        return f"{start}/{name}"

    def stream(self, file: File) -> BinaryIO:
        """Open a file for reading from its beginning to its end."""
        raise NotImplementedError

    def read(self, file: File) -> bytes:
        """Return the content of a file."""
        try:
            with self.stream(file) as stream:
                content = stream.read(MAX_IMAGE_BYTES + 1)
        except NightshiftError:
            raise
        except DAMAGED as error:
            raise unreadable(file.where, error) from error
        if len(content) > MAX_IMAGE_BYTES:
            raise BadFile(
                f"{file.where}: expected an image of at most {MAX_IMAGE_BYTES >> 20} MiB, got more", "leave it out"
            )
        return content

    def local(self, file: File) -> Path:
        """Return a local copy of a file."""
        copy = self.scratch / uuid.uuid4().hex
        try:
            with self.stream(file) as stream, storage_errors(copy), copy.open("wb") as target:
                shutil.copyfileobj(stream, target, 1 << 20)
        except NightshiftError:
            raise
        except DAMAGED as error:
            raise unreadable(file.where, error) from error
        return copy

    def changed(self, file: File) -> bool:  # noqa: ARG002
        """Whether a file is another one than when it was listed, as far as that can be told now."""
        return False

    def add(self, name: str, size: int, key: Any = None, stamp: int = UNSETTLED) -> None:
        """List a file, unless it is hidden or a system file."""
        parts = [part for part in name.split("/") if part not in ("", ".", "..")]
        if not parts:
            return
        if any(HIDDEN.match(part) for part in parts):
            self.left_out += 1
        else:
            self.files.append(File("/".join(parts), size, self, key, stamp))

    def find(self, name: str) -> File | None:
        """Return the file with this path inside the place; None if there is none."""
        if not hasattr(self, "_index"):
            self._index = {file.name: file for file in self.files}
        return self._index.get("/".join(part for part in name.split("/") if part not in ("", ".")))


def stamp_of(text: str) -> int:
    """Return a stamp for what a place says about a file's content, such as its ETag."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1  # 63 bits: never UNSETTLED


def unreadable(where: str, error: Exception) -> BadFile:
    """Return the error for a file that the operating system or a library cannot read."""
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0].rstrip(":") or type(error).__name__
    return BadFile(f"{where} cannot be read: {reason}", "fix its permissions, or fetch or export it again")
