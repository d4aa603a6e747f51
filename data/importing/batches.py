"""What every reader gives: batches of images with labels and splits, in the order of the source, as often as asked."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, Protocol

import numpy as np

from data.errors import BadFile
from data.importing.options import Kind
from data.importing.places.place import File

Label = int | str | None  # None: the source gives none, which counts as damaged
Split = Literal["train", "val", "test", ""]  # "": the source does not say

BATCH = 256  # images
SAMPLE = 400  # images that are looked at before all are read

SPLIT_WORDS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "t10k", "publictest", "privatetest"), "test"),
}


class Encoded(Protocol):
    """An image file whose content is read where it is decoded: in a thread."""

    def read(self) -> bytes:
        """Return the content, or raise BadFile."""
        ...


@dataclass(frozen=True)
class Missing:
    """An image that a source names, but that is not there.

    Args:
        problem: what is wrong, for a message.
    """

    problem: str

    def read(self) -> bytes:
        """Raise BadFile."""
        raise BadFile(self.problem)


@dataclass(frozen=True)
class Batch:
    """Some images of a source.

    Args:
        images: image files, or pixels as uint8 of shape (n, h, w) or (n, h, w, 3).
        labels: one per image: whole numbers, or names.
        splits: one per image.
        where: names the image with this index in a message.
        container: the one file in which all of them lie encoded, with labels and splits; None if they are files of
            their own, or numbers that mean something only together with others.
    """

    images: "Sequence[Encoded | bytes] | np.ndarray"
    labels: Sequence[Label]
    splits: Sequence[Split]
    where: Callable[[int], str]
    container: File | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Source:
    """A source that was recognised and looked through.

    Args:
        kind: which reader it has.
        total: number of images, as far as it is known before reading; else 0.
        batches: reads all images, in the order of the source; may be called several times.
        sample: reads some images from all over the source; those at its beginning, if not given.
        class_names: what the labels 0, 1, 2... mean, if the source says so.
        notes: what was found by looking, one sentence each.
    """

    kind: Kind
    total: int
    batches: Callable[[], Iterator[Batch]]
    sample: Callable[[], Iterator[Batch]] | None = None
    class_names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def sampled(self, batches: int = 2) -> Iterator[Batch]:
        """Yield some images from all over the source."""
        yield from self.sample() if self.sample else islice(self.batches(), batches)


def split_of(text: str) -> Split:
    """Return the split that a name tells: of a folder, a file or an array, such as `train-00000-of-00002`.

    The last word that is one decides; "" if there is none.
    """
    words = [
        SPLIT_WORDS[word] for word in re.split(r"[^a-z0-9]+|(?<=[a-su-z])(?=\d)", text.lower()) if word in SPLIT_WORDS
    ]
    return words[-1] if words else ""


def counted(what: str, start: int) -> Callable[[int], str]:
    """Return what names the items of a batch in messages: "x.csv, row 7"."""
    return lambda i: f"{what} {start + i}"


def spread(n: int, wanted: int) -> list[int]:
    """Return at most `wanted` indices below n, evenly spread, in ascending order."""
    if n <= wanted:
        return list(range(n))
    return [index * n // wanted for index in range(wanted)]
