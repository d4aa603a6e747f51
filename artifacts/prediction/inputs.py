"""Which files `nightshift predict` is asked about: files, folders, http(s) URLs, and standard input."""

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from data.errors import BadFile, BadInput, SourceUnavailable
from data.sources.images import ENDINGS
from data.sources.transfer import MirrorError, is_url, scrubbed, stream_download

MAX_BYTES = 256 << 20  # of a file, packed and unpacked; what is asked about at a time is in memory
DOWNLOAD_S = 120.0  # for one URL, connecting included
STANDARD_INPUT = "-"
NAME_IT = "name a PNG, JPEG, GIF, WebP, BMP, TIFF, NPY or IDX file, a folder, a URL, or - for standard input"


@dataclass(frozen=True)
class File:
    """One file.

    Args:
        name: what messages call it: a path, a URL without what may be secret in it, or "standard input".
        content: all of it.
        found: whether it was found in a folder, rather than named.
    """

    name: str
    content: bytes
    found: bool = False


def read(sources: Sequence[str]) -> Iterator[File]:
    """Yield every file, one at a time, as it is needed.

    A folder stands for the image files in it and in its folders, by the endings of their names, in the order of their
    paths; names that begin with a dot are skipped.

    Raises:
        BadInput: nothing was named, a folder has no images, or standard input is a terminal.
        BadFile: a file is missing, too large, or a device.
        SourceUnavailable: a URL did not serve the file.
    """
    if not sources:
        raise BadInput("expected at least one image, got none", NAME_IT)
    if list(sources).count(STANDARD_INPUT) > 1:
        raise BadInput("standard input can be read only once", "give - once")
    for source in sources:
        yield from _read_one(source)


def _read_one(source: str) -> Iterator[File]:
    if source == STANDARD_INPUT:
        yield _standard_input()
    elif is_url(source):
        yield _downloaded(source)
    elif source.startswith("-") and not _holds(Path(source), Path.exists):
        raise BadInput(f"there is no option {source}", "see: nightshift predict --help")
    elif "://" in source:
        raise BadInput(f"expected an http or https URL, got {scrubbed(source)}", "copy the file here first")
    elif _holds(Path(source), Path.is_dir):
        for path in in_folder(Path(source)):
            yield File(str(path), _content(path), found=True)
    else:
        yield File(source, _content(Path(source)))


def _holds(path: Path, question: Callable[[Path], bool]) -> bool:
    """Ask something about a path; of one that the system refuses, such as too long a name, nothing holds."""
    try:
        return question(path)
    except (OSError, ValueError):
        return False


def in_folder(folder: Path) -> list[Path]:
    """Return the image files of a folder and of the folders in it, sorted.

    Raises:
        BadInput: there is none.
    """
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [Path(parent, name) for name in names if _is_image(name)]
    if not paths:
        raise BadInput(f"{folder} has no image file", f"images end with {', '.join(sorted(ENDINGS))}")
    return sorted(paths)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in ENDINGS


def _content(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadFile(f"{path}: expected a file, got a pipe or a device", NAME_IT)
        if status.st_size > MAX_BYTES:
            raise _too_large(str(path))
        with path.open("rb") as stream:  # it may grow meanwhile
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _too_large(str(path))
        return content
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise BadFile(f"{path}: cannot be read: {getattr(error, 'strerror', '') or error}", NAME_IT) from error


def _too_large(name: str) -> BadFile:
    return BadFile(f"{name}: expected at most {MAX_BYTES >> 20} MiB, got more", "split the file")


def _standard_input() -> File:
    if sys.stdin.isatty():
        raise BadInput("expected a file on standard input, got a terminal", "write: nightshift predict - < digit.png")
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _too_large("standard input")
    return File("standard input", content)


def _downloaded(url: str) -> File:
    with TemporaryDirectory(prefix="nightshift-predict-") as folder:
        target = Path(folder) / "image"
        try:
            stream_download(url, target, MAX_BYTES, DOWNLOAD_S, lambda *_: None)
        except MirrorError as error:
            raise SourceUnavailable(
                f"{scrubbed(url)}: expected an image, got none: {error}", "open the address in a browser"
            ) from error
        return File(scrubbed(url), target.read_bytes())


def ending(name: str) -> str:
    """Return how a file's name ends, such as ".png", for a path or a URL."""
    return Path(unquote(urlsplit(name).path) if is_url(name) else name).suffix.lower()
