"""Folders of images: a folder per class, below a folder per split or not; also inside archives and buckets."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from data.errors import BadFile
from data.importing.batches import BATCH, SAMPLE, Batch, Source, Split, split_of, spread
from data.importing.options import ImportOptions
from data.importing.places.place import File, Place
from data.sources.images import ENDINGS

METADATA = "or list them in a metadata.csv beside them, with the columns file_name and label"


@dataclass(frozen=True, slots=True)
class _Image:
    file: File
    label: str
    split: Split


def is_image(file: File) -> bool:
    """Whether a file's name is that of an image."""
    return f".{file.name.rpartition('.')[2].lower()}" in ENDINGS


def open_folder(place: Place, options: ImportOptions) -> Source:  # noqa: ARG001
    """Look through a folder of images.

    Raises:
        BadFile: it holds no images in class folders, or splits and classes cannot be told apart.
    """
    pictures = [file for file in place.files if is_image(file)]
    if not pictures:
        there = ", ".join(PurePosixPath(file.name).name for file in place.files[:8]) or "nothing"
        raise BadFile(
            f"{place.location} holds no images; it holds {there}", f"images end in {', '.join(sorted(ENDINGS))}"
        )
    depth = _wrapper(pictures)
    splits_first = _splits_first([_parts(file, depth) for file in pictures], place)
    found = [_placed(file, _parts(file, depth), splits_first) for file in pictures]
    images = [image for image in found if image is not None]
    if not images:
        raise BadFile(
            f"{place.location}: expected a folder per class, found {len(pictures):,} images beside each other, "
            f"such as {pictures[0].name}",
            f"sort them into folders named like their classes, {METADATA}",
        )
    notes = _left_out(place, pictures, found)

    def batches(some: Sequence[_Image] = images) -> Iterator[Batch]:
        for at in range(0, len(some), BATCH):
            yield _batch(some[at : at + BATCH])

    return Source(
        "folder",
        len(images),
        batches,
        lambda: batches([images[i] for i in spread(len(images), SAMPLE)]),
        notes=notes,
    )


def _batch(images: Sequence[_Image]) -> Batch:
    return Batch(
        [image.file for image in images],
        [image.label for image in images],
        [image.split for image in images],
        lambda i: images[i].file.where,
    )


def _parts(file: File, depth: int) -> tuple[str, ...]:
    """Return the folders above a file, without those that all images share."""
    return tuple(file.name.split("/")[depth:-1])


def _wrapper(pictures: list[File]) -> int:
    """Return how many folders all images share before the first that is a split or a class."""
    depth = 0
    while True:
        names = {tuple(file.name.split("/")[depth : depth + 2]) for file in pictures}
        first = {name[0] for name in names}
        if len(first) > 1 or split_of(next(iter(first))):
            return depth
        below = {file.name.split("/")[depth + 1] for file in pictures if file.name.count("/") > depth + 1}
        if not below:  # the shared folder holds the images themselves
            return depth
        depth += 1


def _splits_first(paths: list[tuple[str, ...]], place: Place) -> bool:
    """Whether the first folders are splits; classes may be called `train`, too, beside others that are no splits."""
    first = {path[0] for path in paths if path}
    splits = {name for name in first if _is_split(name)}
    if splits and splits != first and len({split_of(name) for name in splits}) > 1:
        others = ", ".join(sorted(first - splits)[:5])
        raise BadFile(
            f"{place.location} has the folders {', '.join(sorted(splits))}, and beside them {others}: split or class?",
            "move what is neither training nor test images away, or sort all images below train and test",
        )
    return bool(splits) and splits == first


@cache
def _is_split(name: str) -> bool:
    """Whether a folder is a split: `train`, `test_set`, `Training`; not `train-station`, which splits do not have."""
    words = [word for word in name.lower().replace("-", "_").replace(" ", "_").split("_") if word]
    rest = [
        word
        for word in words
        if not split_of(word) and word not in ("set", "images", "data", "img", "imgs", "dataset", "split")
    ]
    return bool(split_of(name)) and not rest


def _placed(file: File, path: tuple[str, ...], splits_first: bool) -> _Image | None:
    split: Split = ""
    if splits_first and path:
        split, path = split_of(path[0]), path[1:]
    elif len(path) > 1 and _is_split(path[1]):  # <class>/train/...
        split, path = split_of(path[1]), path[:1]
    return _Image(file, path[0], split) if path else None


def _left_out(place: Place, pictures: list[File], found: list[_Image | None]) -> list[str]:
    notes = []
    loose = [file.name for file, image in zip(pictures, found, strict=True) if image is None]
    if loose:
        notes.append(f"{len(loose):,} images in no class folder are left out, such as {loose[0]}")
    rest = [file for file in place.files if not is_image(file)] if len(pictures) < len(place.files) else []
    others = Counter(PurePosixPath(file.name.lower()).suffix or PurePosixPath(file.name).name for file in rest)
    if others:
        listed = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(4))
        notes.append(f"files that are no images are left out: {listed}")
    return notes
