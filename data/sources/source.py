"""Fetch a dataset's four files and read them: decide, download to a temporary file, hash, move.

A file's identity is the SHA-256 of its raw content, so it does not matter who serves it, or how it is compressed;
that is also why plain http is good enough where a mirror has nothing better. What is already on disk is hashed again
each time and used without a network. `download_action` decides, `stream_download` (data/sources/transfer.py) acts, and
`identify` checks the bytes. No file is held in memory: it is hashed in pieces, and its images are mapped from the disk.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.builtin import DATASETS
from data.dataset import ROLES, Dataset, RawData, RawRef, SourceFile
from data.errors import BadFile, BadInput, Corrupt, SourceUnavailable
from data.home import files
from data.home.store import Store
from data.sources.idx import AGAIN, GZIP_MAGIC, gunzip_chunks, looks_like, map_idx, read_idx
from data.sources.transfer import MirrorError, is_url, scrubbed, stream_download
from data.values import digest_of

HERE = Path(__file__).parents[1]  # the package `data`: built-in samples lie there
DEADLINE_S = 900.0  # for all four files together; 35 MB at 40 kB/s
SLACK = 1 << 16  # bytes that a mirror may add to the raw size by compressing badly
PIECE = 1 << 20  # bytes read at a time
IN_MEMORY = 256 << 20  # bytes; what is larger than this when it is unpacked goes into a file, which is mapped
KEPT_IN_QUARANTINE = 3  # bad copies per file; a broken mirror must not fill the disk night after night

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Action:
    """What to do about one file.

    Args:
        fetch: whether it must be downloaded.
        why: "missing", "verified", or what is wrong with the copy on disk.
        raw_sha256: identity of the verified copy; empty if there is none.
    """

    fetch: bool
    why: str
    raw_sha256: str = ""


def download(
    store: Store,
    dataset: Dataset,
    mirrors: tuple[str, ...] = (),
    progress: Progress | None = None,
    deadline_s: float = DEADLINE_S,
) -> RawRef:
    """Make sure that the dataset's four files are on disk and have the expected content.

    Args:
        store: where they belong.
        dataset: the row with the expected hashes.
        mirrors: directories or http(s) URLs to try before the row's own, as `<mirror>/<dataset>/<file>`.
        progress: called with a file's name, the bytes received so far and their expected number (0 if unknown).
        deadline_s: seconds after which to give up the whole download.

    Raises:
        BadInput: a mirror is neither a directory nor an http(s) URL.
        SourceUnavailable: for one file no mirror served the expected bytes in time; the message has each one's reason.
        StorageFailed: the home cannot be written.
    """
    locations = {role: _locations(dataset, dataset.files[role], mirrors) for role in ROLES}
    give_up_at = time.monotonic() + deadline_s
    hashes = {role: _FileDownload(store, dataset, role, locations[role], progress, give_up_at).run() for role in ROLES}
    return RawRef(dataset.name, digest_of(hashes))


def download_action(store: Store, dataset: Dataset, role: str) -> Action:
    """Decide what to do about one file, by hashing what is on disk."""
    file = dataset.files[role]
    path = store.raw(dataset.name, file.name)
    if not path.exists():
        return Action(fetch=True, why="missing")
    try:
        raw_sha256 = identify(path, file, str(path))
    except BadFile as error:
        return Action(fetch=True, why=error.problem)
    except OSError as error:
        return Action(fetch=True, why=f"{path} cannot be read: {error.strerror}")
    return Action(fetch=False, why="verified", raw_sha256=raw_sha256)


def identify(path: Path, file: SourceFile, where: str) -> str:
    """Check that a file on disk is the dataset's, reading it in pieces.

    Args:
        path: the file as served, compressed or not.
        file: what it should be.
        where: name of the file in an error message.

    Returns:
        SHA-256 of the raw content.

    Raises:
        BadFile: it is not; the message says what it is instead, if that is known.
        OSError: it cannot be read.
    """
    served = files.file_sha256(path)
    if file.raw_sha256 and served == file.served_sha256:
        return file.raw_sha256
    digest, size = hashlib.sha256(), 0
    for piece in _raw_pieces(path, file.raw_bytes, where):
        digest.update(piece)
        size += len(piece)
    found = digest.hexdigest()
    right = found == file.raw_sha256 if file.raw_sha256 else served == file.served_sha256
    if right:
        return found
    expected = file.raw_sha256 or file.served_sha256 or "?"
    got = found if file.raw_sha256 else served
    raise BadFile(
        f"{where}: expected {file.raw_bytes} bytes with SHA-256 {expected[:12]}…, "
        f"got {size} bytes with {got[:12]}…{_known_as(found)}",
        "use another mirror",
    )


def _raw_pieces(path: Path, cap: int, where: str) -> Iterator[bytes]:
    """Yield the raw IDX bytes of a file that may be compressed, at most 1 MiB at a time; content decides, not the name.

    Raises:
        BadFile: it is neither gzip nor IDX, is damaged, or holds more than `cap` bytes.
    """
    with path.open("rb") as stream:
        head, size = stream.read(64), path.stat().st_size
        stream.seek(0)
        if head.startswith(GZIP_MAGIC):
            yield from gunzip_chunks(stream, cap, where)
            return
        if len(head) >= 2 and not head.startswith(b"\0\0"):
            raise BadFile(f"{where}: byte 0: expected gzip (1f 8b) or IDX (00 00), found {looks_like(head)}", AGAIN)
        if size > cap:
            raise BadFile(f"{where}: expected at most {cap} bytes, got {size}", AGAIN)
        while piece := stream.read(PIECE):
            yield piece


def read_raw(store: Store, dataset: Dataset, ref: RawRef) -> RawData:
    """Hash the four files and return what they hold.

    Images that lie uncompressed on disk are mapped, so that they take no memory until they are used; so are those
    that need more than 256 MiB when they are unpacked, from a temporary file that vanishes with the array.

    Args:
        store: where they are.
        dataset: their row.
        ref: what `download` returned.

    Returns:
        Images as read-only uint8 of shape (n, height, width) or (n, height, width, 3), labels as int64 of shape (n,).

    Raises:
        Corrupt: a file is missing, or is no longer what it was when it was downloaded.
        BadFile: a file whose content is not pinned has the wrong shape.
        StorageFailed: a large compressed file cannot be unpacked in the home.
    """
    paths = {role: store.raw(dataset.name, dataset.files[role].name) for role in ROLES}
    hashes = {role: _identified(paths[role], dataset.files[role]) for role in ROLES}
    if digest_of(hashes) != ref.digest:
        raise Corrupt(
            f"the raw files of {dataset.name} are not the ones that this run downloaded", "run again from the beginning"
        )
    return RawData(**{role: _checked(dataset, role, _read(store, dataset, role), str(paths[role])) for role in ROLES})


def _identified(path: Path, file: SourceFile) -> str:
    try:
        return identify(path, file, str(path))
    except (OSError, BadFile) as error:
        problem = error.problem if isinstance(error, BadFile) else f"{path} cannot be read: {error.strerror}"
        raise Corrupt(problem, "run again: it will be fetched again") from error


def _read(store: Store, dataset: Dataset, role: str) -> np.ndarray:
    file = dataset.files[role]
    path = store.raw(dataset.name, file.name)
    with path.open("rb") as stream:
        packed = stream.read(2) == GZIP_MAGIC
    if not packed:
        return map_idx(path)
    pieces = _raw_pieces(path, file.raw_bytes, str(path))
    if file.raw_bytes <= IN_MEMORY:
        return read_idx(b"".join(pieces), str(path))
    return _unpacked(store, pieces)


def _unpacked(store: Store, pieces: Iterator[bytes]) -> np.ndarray:
    """Return the array of an IDX file, mapped from a file without a name: the disk space is free when it is dropped."""
    temporary = store.scratch()
    try:
        with files.storage_errors(temporary), temporary.open("wb") as stream:
            for piece in pieces:
                stream.write(piece)
        return map_idx(temporary)
    finally:
        temporary.unlink(missing_ok=True)


def _checked(dataset: Dataset, role: str, array: np.ndarray, where: str) -> np.ndarray:
    expected = dataset.shape(role)
    if array.shape != expected or array.dtype.kind not in "iu":
        raise BadFile(
            f"{where}: expected integers of shape {expected}, got {array.dtype} of shape {array.shape}",
            "are the image and label files swapped?",
        )
    return array if role.endswith("images") else array.astype(np.int64)


def _known_as(raw_sha256: str) -> str:
    names = [
        f"{dataset.title}'s {role.replace('_', ' ')}"
        for dataset in DATASETS.values()
        for role, file in dataset.files.items()
        if file.raw_sha256 == raw_sha256
    ]
    return f": these are {names[0]}" if names else ""


def _locations(dataset: Dataset, file: SourceFile, mirrors: tuple[str, ...]) -> tuple[str, ...]:
    for mirror in mirrors:
        if not mirror or ("://" in mirror and (not is_url(mirror) or scrubbed(mirror) != mirror)):
            raise BadInput(
                f"expected a mirror to be a directory or a plain http(s) URL, got {scrubbed(mirror)!r}",
                "correct NIGHTSHIFT_MIRRORS; a user name, password or query in the URL is not supported",
            )
    given = [f"{mirror.rstrip('/')}/{dataset.name}/{file.name}" for mirror in mirrors]
    bundled = [str(HERE / base / file.name) for base in dataset.mirrors if not is_url(base)]
    public = [f"{base.rstrip('/')}/{file.name}" for base in dataset.mirrors if is_url(base)]
    return tuple(bundled + given + public)  # what ships with the package needs no mirror, whatever is configured


@dataclass(frozen=True)
class _FileDownload:
    """One file of a dataset, and where to get it.

    Args:
        store: where it belongs.
        dataset: its row.
        role: one of `data.dataset.ROLES`.
        locations: URLs and paths, in the order in which they are tried.
        progress: see `download`.
        give_up_at: by `time.monotonic()`, in seconds.
    """

    store: Store
    dataset: Dataset
    role: str
    locations: tuple[str, ...]
    progress: Progress | None
    give_up_at: float

    @property
    def file(self) -> SourceFile:
        return self.dataset.files[self.role]

    @property
    def target(self) -> Path:
        return self.store.raw(self.dataset.name, self.file.name)

    @property
    def seconds_left(self) -> float:
        return self.give_up_at - time.monotonic()

    def run(self) -> str:
        """Fetch the file unless it is here, in one process at a time; return its raw SHA-256."""
        action = download_action(self.store, self.dataset, self.role)
        if not action.fetch:
            return action.raw_sha256
        with self.locked():
            action = download_action(self.store, self.dataset, self.role)  # another process may have fetched it
            if not action.fetch:
                return action.raw_sha256
            self.to_quarantine(self.target)
            return self.fetch()

    def fetch(self) -> str:
        reasons = []
        for tried, location in enumerate(self.locations):
            share = self.seconds_left / (len(self.locations) - tried)  # a mirror that stalls leaves time for the next
            temporary = self.store.scratch()
            try:
                raw_sha256 = self.fetch_from(location, temporary, share)
                self.store.place(temporary, self.target)
                return raw_sha256
            except (MirrorError, BadFile) as error:
                reason = error.problem if isinstance(error, BadFile) else f"{scrubbed(location)}: {error}"
                kept = self.to_quarantine(temporary)
                reasons.append(f"{reason}{f' (kept as {kept})' if kept else ''}")
            finally:
                temporary.unlink(missing_ok=True)
        raise self.unavailable(reasons)

    def fetch_from(self, location: str, temporary: Path, seconds: float) -> str:
        if seconds <= 0:
            raise MirrorError("no time was left for it")
        cap = max(self.file.raw_bytes, self.file.served_bytes or 0) + SLACK
        stream_download(location, temporary, cap, seconds, self.report)
        return identify(temporary, self.file, scrubbed(location))

    def report(self, done: int, total: int) -> None:
        if self.progress:
            self.progress(self.file.name, done, total or self.file.served_bytes or 0)

    def unavailable(self, reasons: list[str]) -> SourceUnavailable:
        listed = "".join(f"\n    {reason}" for reason in reasons)
        name = f"{self.dataset.name}/{self.file.name}"
        return SourceUnavailable(
            f"no mirror served {name}:{listed}" if reasons else f"{name} is missing or damaged, and it has no mirror",
            f"check the network, or put the files into FOLDER/{self.dataset.name} and set NIGHTSHIFT_MIRRORS=FOLDER"
            if self.dataset.mirrors
            else "add the same files again with 'nightshift datasets add'",
        )

    def to_quarantine(self, path: Path) -> Path | None:
        """Move a file with wrong content aside, and return where it is kept; None if there is nothing to keep."""
        if not path.exists() or path.stat().st_size == 0:
            return None
        kept = self.store.quarantine(self.dataset.name, self.file.name)
        older = sorted(kept.parent.glob(f"{self.file.name}.*"), key=lambda old: old.stat().st_mtime)
        for old in older[: max(len(older) + 1 - KEPT_IN_QUARANTINE, 0)]:
            old.unlink(missing_ok=True)
        self.store.place(path, kept)
        return kept

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        name = f"raw.{self.dataset.name}.{self.file.name}"
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.store.lock(name, timeout_s=self.seconds_left))
            except BlockingIOError:
                raise SourceUnavailable(
                    f"another process was still downloading {self.dataset.name}/{self.file.name} when the time was up",
                    "wait for it, or end it, and run again",
                ) from None
            yield
