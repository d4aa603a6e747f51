"""Where sources lie: a folder, a file, an archive, a bucket, or a web address, all as a list of files to read.

Nothing is ever written under a name that comes from outside: what must be a local file is copied to a fresh name in a
temporary folder.
"""

import os
import re
import shutil
import stat
import tarfile
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from data.errors import BadFile, BadInput, NightshiftError, SourceUnavailable
from data.files import storage_errors
from data.transfer import MirrorError, is_url, scrubbed, stream_download

BUCKETS = ("s3://", "gs://", "az://")
MAX_IMAGE_BYTES = 256 << 20  # of one encoded image
MAX_DOWNLOAD = 64 << 30  # bytes of one file from the web
DOWNLOAD_S = 4 * 3600.0
HIDDEN = re.compile(r"^(\..*|__MACOSX|Thumbs\.db|desktop\.ini|\$RECYCLE\.BIN|lost\+found)$", re.IGNORECASE)
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class File:
    """One file of a place.

    Args:
        name: its path inside the place, with slashes.
        size: in bytes.
        place: where it lies.
        key: what the place needs to find it.
    """

    name: str
    size: int
    place: "Place"
    key: Any = None

    @property
    def suffix(self) -> str:
        """The end of the name from the last dot on, in lower case; also `.csv` of `x.csv.gz`, without the `.gz`."""
        return PurePosixPath(self.name.lower().removesuffix(".gz")).suffix

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
        return f"{self.location.rstrip('/')}/{name}"

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
        except (
            OSError,
            EOFError,
            zipfile.BadZipFile,
            tarfile.TarError,
            RuntimeError,
            ValueError,
            NotImplementedError,
        ) as error:
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
        except (
            OSError,
            EOFError,
            zipfile.BadZipFile,
            tarfile.TarError,
            RuntimeError,
            ValueError,
            NotImplementedError,
        ) as error:
            raise unreadable(file.where, error) from error
        return copy

    def add(self, name: str, size: int, key: Any = None) -> None:
        """List a file, unless it is hidden or a system file."""
        parts = [part for part in name.split("/") if part not in ("", ".", "..")]
        if not parts:
            return
        if any(HIDDEN.match(part) for part in parts):
            self.left_out += 1
        else:
            self.files.append(File("/".join(parts), size, self, key))

    def find(self, name: str) -> File | None:
        """Return the file with this path inside the place; None if there is none."""
        if not hasattr(self, "_index"):
            self._index = {file.name: file for file in self.files}
        return self._index.get("/".join(part for part in name.split("/") if part not in ("", ".")))


class Folder(Place):
    """A folder on this machine, at any depth; links are followed, each folder once."""

    def fill(self, folder: Path) -> "Folder":
        """List the files below a folder."""
        self._root, self._top = folder, str(folder)
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
            descriptor = os.open(f"{self._top}/{file.name}", os.O_RDONLY)
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


class Zip(Place):
    """The members of a zip archive, read in place."""

    def fill(self, path: Path) -> "Zip":
        """List the members."""
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise unreadable(self.location, error) from error
        for member in self._zip.infolist():
            if not member.is_dir():
                self.add(member.filename, member.file_size, member)
        self.files.sort(key=lambda file: file.name)
        return self

    def stream(self, file: File) -> BinaryIO:
        """Open a member; more than it announces is never read."""
        return cast("BinaryIO", self._zip.open(file.key))


class Tar(Place):
    """The members of a tar archive, read in place; a compressed one is unpacked into one temporary file first."""

    def fill(self, path: Path) -> "Tar":
        """List the members: regular files only, whatever links or devices the archive holds."""
        self._path, self._lock = path, threading.Lock()
        try:
            with tarfile.open(path, "r:*") as archive:
                for member in archive:
                    if member.isreg():
                        self.add(member.name, member.size, member.offset_data)
                packed = archive.fileobj is not None and not _is_plain_tar(path)
        except (OSError, EOFError, tarfile.TarError, ValueError, zipfile.BadZipFile) as error:
            raise unreadable(self.location, error) from error
        if packed:
            self._path = self._unpacked(path)
        self.files.sort(key=lambda file: file.name)
        return self

    def _unpacked(self, path: Path) -> Path:
        import gzip

        plain = self.scratch / uuid.uuid4().hex
        with storage_errors(plain), gzip.open(path) as stream, plain.open("wb") as target:
            shutil.copyfileobj(stream, target, 1 << 20)
        return plain

    def stream(self, file: File) -> BinaryIO:
        """Open a member."""
        stream = self._path.open("rb")
        stream.seek(file.key)
        return cast("BinaryIO", _Part(stream, file.size))


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


class Bucket(Place):
    """The objects below a prefix of a bucket, through obstore, with the credentials of the environment."""

    def fill(self, url: str) -> "Bucket":
        """List the objects.

        Raises:
            BadInput: obstore is not installed.
            SourceUnavailable: the bucket cannot be listed.
        """
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            raise BadInput(f"{url}: reading buckets needs obstore", "pip install 'nightshift[cloud]'") from error
        parts = urlsplit(url)
        prefix = parts.path.strip("/")
        try:
            self._store = from_url(f"{parts.scheme}://{parts.netloc}")
            listed = [found for page in obstore.list(self._store, prefix or None) for found in page]
            if not listed and prefix:  # a prefix ends at a slash: this may be an object itself
                listed = [obstore.head(self._store, prefix)]
        except Exception as error:
            raise _unavailable(url, error) from error
        for found in listed:
            key = str(found["path"])
            name = key.removeprefix(prefix).strip("/") or PurePosixPath(key).name
            if not key.endswith("/") and found["size"]:
                self.add(name, int(found["size"]), key)
        self.files.sort(key=lambda file: file.name)
        return self

    def stream(self, file: File) -> BinaryIO:
        """Open an object."""
        import obstore

        try:
            return cast("BinaryIO", _Chunks(iter(obstore.get(self._store, file.key).stream(min_chunk_size=1 << 20))))
        except Exception as error:
            raise _unavailable(file.where, error) from error

    def read(self, file: File) -> bytes:
        """Return an object."""
        import obstore

        try:
            return bytes(obstore.get(self._store, file.key).bytes())
        except Exception as error:
            raise _unavailable(file.where, error) from error


class _Chunks:
    """Chunks of bytes as a stream."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._rest += bytes(chunk)
        cut = len(self._rest) if size < 0 else size
        content, self._rest = self._rest[:cut], self._rest[cut:]
        return content

    def __enter__(self) -> "_Chunks":
        return self

    def __exit__(self, *_: object) -> None:
        self._rest = b""


def open_place(location: str, scratch: Path, report: Report) -> Place:
    """Return the files at a path or URL.

    Args:
        location: a folder, a file, an archive; s3://, gs://, az:// with a prefix; or an http(s) URL of one file. A path
            whose last part is not there names the files of its folder or archive that begin so.
        scratch: an existing temporary folder for copies.
        report: called while something is fetched, with its name, the bytes so far and their number (0 if unknown).

    Raises:
        BadInput: the URL holds a password or a query, or is of a kind that cannot be read.
        BadFile: there is nothing.
        SourceUnavailable: a URL cannot be read.
    """
    if "://" in location:
        _check_url(location)
        return _from_bucket(location, scratch) if location.startswith(BUCKETS) else _from_web(location, scratch, report)
    path = Path(location).expanduser()
    missing: list[str] = []
    while not path.exists() and path != path.parent:
        missing.insert(0, path.name)
        path = path.parent
    if len(missing) > (1 if path.is_dir() else 2):
        raise _nothing(location)
    place = _on_disk(path, location if not missing else str(path), path.name, scratch)
    return _beginning(place, "/".join(missing), location) if missing else place


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive that can be looked into."""
    return name.lower().endswith(ARCHIVES)


def archive(file: File) -> Place:
    """Return the members of an archive that lies in a place."""
    path = file.local()
    kind = Zip if file.name.lower().endswith((".zip", ".npz")) else Tar
    return kind(file.where, file.place.scratch).fill(path)


def _on_disk(path: Path, location: str, name: str, scratch: Path) -> Place:
    if path.is_dir():
        return Folder(location, scratch).fill(path)
    if not path.is_file():
        raise BadFile(f"{location}: expected a file or a folder, got a device or a pipe", "name a file or a folder")
    return OneFile(location, scratch).fill(path, name)


def _beginning(place: Place, start: str, location: str) -> Place:
    if isinstance(place, OneFile) and is_archive(place.files[0].name):
        place = archive(place.files[0])
    place.files = [file for file in place.files if file.name.lower().startswith(start.lower())]
    if not place.files or isinstance(place, OneFile):
        raise _nothing(location)
    return place


def _nothing(location: str) -> BadFile:
    return BadFile(
        f"{location} is not there: no folder, no file",
        "check the path; a URL begins with s3://, gs://, az:// or https://",
    )


def _check_url(location: str) -> None:
    if not location.startswith((*BUCKETS, "http://", "https://")):
        raise BadInput(
            f"expected a path or a URL that begins with s3://, gs://, az:// or https://, got {scrubbed(location)}",
            "copy the data to one of these",
        )
    if scrubbed(location) != location:
        raise BadInput(
            f"expected a URL without a password, a query or a fragment, got {scrubbed(location)} with one",
            "it is kept for updates, so it must hold no secret: download the file, or use a bucket and its credentials",
        )


def _from_bucket(url: str, scratch: Path) -> Place:
    place = Bucket(url, scratch).fill(url)
    if not place.files:
        raise SourceUnavailable(f"{url} holds no files", "check the bucket and the prefix")
    return place


def _from_web(url: str, scratch: Path, report: Report) -> Place:
    assert is_url(url)
    name = PurePosixPath(urlsplit(url).path).name or "download"
    copy = scratch / uuid.uuid4().hex
    try:
        stream_download(url, copy, MAX_DOWNLOAD, DOWNLOAD_S, lambda done, total: report(name, done, total))
    except MirrorError as error:
        raise SourceUnavailable(
            f"{url}: {error}", "check the address; a folder can be read from a bucket, not from the web"
        ) from error
    return OneFile(url, scratch).fill(copy, name)


def unreadable(where: str, error: Exception) -> BadFile:
    """Return the error for a file that the operating system or a library cannot read."""
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0].rstrip(":") or type(error).__name__
    return BadFile(f"{where} cannot be read: {reason}", "fix its permissions, or fetch or export it again")


def _unavailable(url: str, error: Exception) -> SourceUnavailable:
    reason = " ".join(str(error).split())[:300]
    return SourceUnavailable(
        f"{url} cannot be read: {reason}",
        "check the address and the credentials (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, "
        "AWS_ENDPOINT_URL; AWS_SKIP_SIGNATURE=true for public buckets)",
    )
