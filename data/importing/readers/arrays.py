"""NumPy's files: .npz with Keras's or MedMNIST's names, and pairs of .npy; mapped into memory, never loaded whole."""

import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data.errors import BadFile
from data.importing.batches import Batch, Label, Source, Split, split_of
from data.importing.options import ImportOptions
from data.importing.pixels import Numbers, batches_of, check_shapes, check_sizes, images_of, labels_of, sample_of
from data.importing.places.archives import archive
from data.importing.places.place import DAMAGED, File, Place

IMAGES = ("images", "imgs", "image", "img", "x", "data", "pixels", "features")  # the first that is there wins
LABELS = ("labels", "label", "targets", "target", "y", "classes")
NAMING = "call them x_train, y_train, x_test, y_test, or train_images, train_labels, test_images, test_labels"


@dataclass(frozen=True)
class _Pair:
    split: Split
    images: Numbers
    labels: list[Label]
    where: str


def open_arrays(place: Place, options: ImportOptions) -> Source:
    """Look through arrays: .npz files, and .npy files in pairs.

    Raises:
        BadFile: there is no pair of images and labels, several that could be meant, or one that does not fit.
    """
    notes: list[str] = []
    found: dict[tuple[Split, str], tuple[int, File]] = {}
    members = [member for file in place.files for member in _members(file)]
    for name, file in members:
        split, what, rank = _meaning(name)
        before = found.get((split, what))
        if not what or (before and before[0] < rank):
            continue
        if before and before[0] == rank:
            raise BadFile(
                f"{place.location}: both {before[1].name} and {file.name} could be the {split} {what}",
                f"leave only one of them there; {NAMING}",
            )
        found[(split, what)] = (rank, file)
    splits = sorted({split for split, _ in found}, reverse=True)
    pairs = [_pair(split, found, place, members, options, notes) for split in splits]
    if not pairs:
        raise _no_pair(place, members)
    check_shapes({pair.split: pair.images.shape for pair in pairs}, place.location, options)

    def batches() -> Iterator[Batch]:
        for pair in pairs:
            yield from batches_of(pair.images, pair.labels, pair.split, pair.where)

    def sample() -> Iterator[Batch]:
        for pair in pairs:
            yield from sample_of(pair.images, pair.labels, pair.split, pair.where)

    return Source("arrays", sum(len(pair.images) for pair in pairs), batches, sample, notes=notes)


def _members(file: File) -> list[tuple[str, File]]:
    """Return the arrays in a file with the names that tell their meaning."""
    stem = PurePosixPath(file.name).with_suffix("").as_posix()
    if file.suffix == ".npy":
        return [(stem, file)]
    if file.suffix != ".npz":
        return []
    inside = [one for one in archive(file).files if one.suffix == ".npy"]
    if [one.name for one in inside] == ["arr_0.npy"]:  # as numpy.savez calls what was given no name
        return [(stem, inside[0])]
    return [(f"{stem}/{PurePosixPath(one.name).stem}", one) for one in inside]


def _meaning(name: str) -> tuple[Split, str, int]:
    """Return split, "images" or "labels" ("" if neither), and the rank of the word that says so."""
    last = _words(name.rsplit("/", 1)[-1])
    words = last if any(word in (*IMAGES, *LABELS) for word in last) else _words(name)
    split = split_of(" ".join(last)) or split_of(" ".join(_words(name)))
    for what, known in (("images", IMAGES), ("labels", LABELS)):
        ranks = [known.index(word) for word in words if word in known]
        if ranks:
            return split, what, min(ranks)
    return split, "", 0


def _words(text: str) -> list[str]:
    """Return the words of a name in lower case; `xtrain` and `trainX` are two each."""
    words = []
    for word in re.findall(r"t10k|[a-z]+", text.lower()):
        parts = re.fullmatch(r"(x|y)(train|test|val)|(train|test|val)(x|y)", word)
        words += [part for part in parts.groups() if part] if parts else [word]
    return words


def _pair(
    split: Split,
    found: dict[tuple[Split, str], tuple[int, File]],
    place: Place,
    members: list[tuple[str, File]],
    options: ImportOptions,
    notes: list[str],
) -> _Pair:
    images, labels = found.get((split, "images")), found.get((split, "labels"))
    if images is None or labels is None:
        raise _no_pair(place, members)
    where = images[1].where
    numbers = images_of(_mapped(images[1]), where, options, notes)
    texts = labels_of(_mapped(labels[1]), labels[1].where, notes)
    check_sizes(numbers, texts, split, where)
    return _Pair(split, numbers, texts, where)


def _mapped(file: File) -> np.ndarray:
    try:
        path: Path = file.local()
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, so a false shape allocates nothing
    except (*DAMAGED, SyntaxError, TypeError, MemoryError, tokenize.TokenError) as error:
        raise BadFile(
            f"{file.where}: expected numbers, got an array that is damaged, cut short or of objects ({error})",
            "write it again with numpy.save or numpy.savez",
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise BadFile(f"{file.where}: expected an array of several images or labels, got one value", "save arrays")
    return array


def _no_pair(place: Place, members: list[tuple[str, File]]) -> BadFile:
    there = ", ".join(name.rsplit("/", 1)[-1] for name, _ in members[:12]) or "nothing"
    return BadFile(f"{place.location}: expected images with labels for training, found {there}", NAMING)
