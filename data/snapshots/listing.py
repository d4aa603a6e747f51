"""What a source holds tonight, one entry per image, as columns: a million entries are arrays, not objects.

An entry is an image at one place of the source. An image that lies at two places has two entries, and is one item.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pyarrow as pa

from data.importing.batches import Batch, Encoded, Label, Missing, Split
from data.importing.places.local import OneFile
from data.importing.places.place import UNSETTLED, File

SPLITS: tuple[Split, ...] = ("", "train", "val", "test")
TEST = SPLITS.index("test")
ALONE = -1  # the container of an image that is a file of its own


@dataclass(frozen=True)
class Container:
    """A file that holds several images: a table, a shard.

    Args:
        where: its path or URL.
        size: in bytes.
        stamp: see `data.importing.places.place.File`.
    """

    where: str
    size: int
    stamp: int


@dataclass
class Listing:
    """Entries, in the order of the source. What is looked up by number below is looked up by the number of an entry.

    Args:
        labels: the different labels; entries have numbers of these.
        containers: the files that hold several images; entries have numbers of these, or `ALONE`.
        damaged: why the image of an entry cannot be read, by number.
        files: the image file of each entry, where there is one that can be read later; else None.
        elsewhere: whether an entry's file is in no listing, but was found because a table names it.
    """

    labels: list[Label] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    damaged: dict[int, str] = field(default_factory=dict)
    files: list[Encoded | None] = field(default_factory=list)
    elsewhere: bool = False
    _columns: list[tuple[pa.Array, np.ndarray]] = field(default_factory=list)
    _numbers: dict[Label, int] = field(default_factory=dict)
    _found: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _unsettled: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.files)

    def add_files(self, batch: Batch) -> None:
        """Add images that are files of their own."""
        n, images = len(batch), [image if type(image) is File else None for image in batch.images]
        where = [image.where if image else batch.where(i) for i, image in enumerate(images)]
        self.elsewhere |= any(type(image.place) is OneFile for image in images if image)
        sizes = np.fromiter((image.size if image else 0 for image in images), np.int64, n)
        stamps = np.fromiter((image.stamp if image else UNSETTLED for image in images), np.int64, n)
        self._add(batch, where, sizes, stamps, ALONE)
        self.files += cast("Sequence[File | Missing]", batch.images)

    def add_inside(self, batch: Batch) -> np.ndarray:
        """Add images that lie in a container, or that are nothing but numbers; return their numbers."""
        start, n, container = len(self), len(batch), Container("", 0, UNSETTLED)
        if batch.container is not None:
            container = container_of(batch.container)
        number = self.container(container) if batch.container is not None else ALONE
        self._add(batch, [batch.where(i) for i in range(n)], container.size, container.stamp, number)
        self.files += [None] * n
        return np.arange(start, start + n)

    def add_known(self, where: pa.Array, columns: np.ndarray, hashes: np.ndarray, damaged: dict[int, str]) -> None:
        """Add entries that are known from an earlier night.

        Args:
            where: large_binary.
            columns: as `columns` returns them.
            hashes: uint8, of shape (n, 32).
            damaged: by position in these.
        """
        start = len(self)
        self._columns.append((where, columns))
        self.files += [None] * len(where)
        self._found.append((np.arange(start, len(self)), hashes))
        self.damaged |= {start + position: problem for position, problem in damaged.items()}

    def container(self, container: Container) -> int:
        """Return the number of a container, which is the last one or a new one."""
        if not self.containers or self.containers[-1] != container:
            self.containers.append(container)
        return len(self.containers) - 1

    def label(self, label: Label) -> int:
        """Return the number of a label; macOS spells é with two characters, which is the same label."""
        number = self._numbers.get(label)
        if number is None:
            known = unicodedata.normalize("NFC", _text(label)) if isinstance(label, str) else label
            number = self._numbers.setdefault(known, len(self.labels))
            self._numbers[label] = number
            self.labels += [known] if number == len(self.labels) else []
        return number

    def found(self, numbers: np.ndarray, hashes: np.ndarray) -> None:
        """Note the hashes of some entries, uint8 of shape (n, 32)."""
        self._found.append((numbers, hashes))

    def unsettle(self, number: int) -> None:
        """Note that an entry must be read again next time, whatever its file looks like then."""
        self._unsettled.append(number)

    def where(self) -> pa.Array:
        """Return where each entry lies, large_binary: a path or URL, in bytes because a name need not be text."""
        return pa.chunked_array([where for where, _ in self._columns], pa.large_binary()).combine_chunks()

    def columns(self) -> np.ndarray:
        """Return size, stamp, container, label and split of each entry, int64 of shape (n, 5)."""
        columns = np.concatenate([np.zeros((0, 5), np.int64), *(columns for _, columns in self._columns)])
        columns[self._unsettled, 1] = UNSETTLED
        return columns

    def hashes(self) -> np.ndarray:
        """Return the hash of each entry, uint8 of shape (n, 32); zeros where it is damaged."""
        hashes = np.zeros((len(self), 32), np.uint8)
        for numbers, found in self._found:
            hashes[numbers] = found
        return hashes

    def _add(
        self, batch: Batch, where: list[str], sizes: np.ndarray | int, stamps: np.ndarray | int, container: int
    ) -> None:
        columns = np.empty((len(batch), 5), np.int64)
        columns[:, 0], columns[:, 1], columns[:, 2] = sizes, stamps, container
        columns[:, 3] = list(map(self.label, batch.labels))
        columns[:, 4] = list(map(SPLITS.index, batch.splits))
        self._columns.append((encoded(where), columns))


def container_of(file: File) -> Container:
    """Return a file of a place as a container."""
    return Container(_text(file.where), file.size, file.stamp)


def are_files(batch: Batch) -> bool:
    """Whether the images of a batch are files of their own, which need not be read to know which they are."""
    if batch.container is not None or isinstance(batch.images, np.ndarray):
        return False
    return all(type(image) in (File, Missing) for image in batch.images)  # isinstance takes twice as long


def encoded(where: Sequence[str]) -> pa.Array:
    """Return paths in bytes, as the file system has them: names need not be valid UTF-8; large_binary."""
    try:
        return pa.array(where, pa.large_string()).cast(pa.large_binary())
    except UnicodeEncodeError:
        return pa.array([text.encode(errors="surrogateescape") for text in where], pa.large_binary())


def shown(where: bytes, location: str) -> str:
    """Return a path for people: within the source, and without what is no text or moves the cursor.

    Args:
        where: the path or URL of an image, or of the file in which it lies, and which one it is there.
        location: of the source.
    """
    text, start = where.decode(errors="backslashreplace"), location.rstrip("/")
    if text.startswith(start):
        text = text[len(start) + 1 :] if text[len(start) :].startswith("/") else text[start.rfind("/") + 1 :]
    return text if text.isprintable() else "".join(map(_printable, text))


def _text(name: str) -> str:
    """Return a name as valid text, whatever bytes the file system has."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
