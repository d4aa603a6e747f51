"""From a path or URL to the files that lie there."""

import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from data.errors import BadFile, BadInput, SourceUnavailable
from data.home.files import file_sha256
from data.importing.places.archives import archive, is_archive
from data.importing.places.buckets import SCHEMES, Bucket
from data.importing.places.local import Folder, OneFile
from data.importing.places.place import Place, stamp_of
from data.sources.transfer import MirrorError, is_url, scrubbed, stream_download

MAX_DOWNLOAD = 64 << 30  # bytes of one file from the web
DOWNLOAD_S = 4 * 3600.0
Report = Callable[[str, int, int], None]


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
        return _from_bucket(location, scratch) if location.startswith(SCHEMES) else _from_web(location, scratch, report)
    path = Path(location).expanduser()
    missing: list[str] = []
    while not path.exists() and path != path.parent:
        missing.insert(0, path.name)
        path = path.parent
    if len(missing) > (1 if path.is_dir() else 2):
        raise _nothing(location)
    place = _on_disk(path, location if not missing else str(path), path.name, scratch)
    return _beginning(place, "/".join(missing), location) if missing else place


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
    if not location.startswith((*SCHEMES, "http://", "https://")):
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
    return OneFile(url, scratch).fill(copy, name, stamp_of(file_sha256(copy)))
