"""From files of any kind to the images that a model takes, with what was done to them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from artifacts.prediction import inputs, photo
from artifacts.prediction.image_files import read_file
from data.dataset import Geometry
from data.errors import BadFile, BadInput
from data.sources.images import Pixels, fit

LISTED = 3  # unreadable files that are named


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images as a model takes them.

    Args:
        images: uint8 of shape (n, *geometry.shape), n at least 1.
        sources: where each comes from, for people: a file, or "image 0" if there is only one.
        notes: what was done, one sentence each.
        warnings: which files of a folder could not be read.
    """

    images: Pixels
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass
class _Log:
    """What is reported of the images together."""

    files: int = 0
    other_size: list[tuple[int, ...]] = field(default_factory=list)
    photos: list[str] = field(default_factory=list)
    unreadable: list[BadFile] = field(default_factory=list)


def prepare(sources: Sequence[str], geometry: Geometry, *, from_photo: bool = False, invert: bool = False) -> Prepared:
    """Read all files and bring their images to a geometry.

    Args:
        sources: see `artifacts.prediction.inputs.read`.
        geometry: of the model's images.
        from_photo: cut the ink out of each photograph; see `artifacts.prediction.photo`.
        invert: make light what is dark, before anything is added around it.

    Raises:
        BadFile: a file that was named, or every file of the folders, cannot be read.
        BadInput: there is no image; or `from_photo` and the model takes colour.
        SourceUnavailable: a URL did not serve a file.
    """
    if from_photo and geometry.channels != 1:
        raise BadInput(
            "expected a model of grey images for --from-photo, this one takes colour", "leave --from-photo out"
        )
    return prepare_files(inputs.read(sources), geometry, len(sources) == 1, from_photo=from_photo, invert=invert)


def prepare_files(
    files: Iterable[inputs.File], geometry: Geometry, one: bool, *, from_photo: bool = False, invert: bool = False
) -> Prepared:
    """Bring the images of files to a geometry.

    Args:
        files: with their content.
        geometry: of the model's images.
        one: whether a single source was named; the images of a single file are then called by their number.
        from_photo: see `prepare`.
        invert: see `prepare`.

    Raises:
        BadFile: a file that was named, or every file of the folders, cannot be read.
    """
    log, images, names = _Log(), [], []
    for name, pixels in _read(files, geometry, log):
        images.append(_brought(255 - pixels if invert else pixels, geometry, from_photo, log))
        names.append(name)
    if not images:
        raise log.unreadable[0]
    alone = one and log.files == 1
    called = tuple(f"image {index}" for index in range(len(names))) if alone else tuple(names)
    return Prepared(np.stack(images), called, tuple(_notes(log, geometry, len(images))), tuple(_skipped(log)))


def _read(files: Iterable[inputs.File], geometry: Geometry, log: _Log) -> Iterator[tuple[str, Pixels]]:
    for file in files:
        log.files += 1
        try:
            found = read_file(file, geometry)
        except BadFile as error:
            if not file.found:
                raise
            log.unreadable.append(error)
            continue
        for index, pixels in enumerate(found):
            yield (file.name if len(found) == 1 else f"{file.name}[{index}]"), pixels


def _brought(pixels: Pixels, geometry: Geometry, from_photo: bool, log: _Log) -> Pixels:
    if from_photo:
        extracted = photo.extract(pixels, geometry)
        log.photos.append(extracted.note)
        return extracted.image
    if pixels.shape != geometry.shape:
        log.other_size.append(pixels.shape[:2])
    return fit(pixels, geometry)


def _notes(log: _Log, geometry: Geometry, n: int) -> Iterator[str]:
    if log.other_size:
        sizes = {f"{height}×{width}" for height, width in log.other_size}
        size = f"{sizes.pop()} pixels" if len(sizes) == 1 else "other sizes"
        who = "The image was" if n == 1 else f"{len(log.other_size):,} of {n:,} images were"
        yield f"{who} fitted from {size} into {geometry.height}×{geometry.width} ({_how(geometry)})."
    if n == 1:
        yield from (f"--from-photo: {note}." for note in log.photos)
    elif log.photos:
        empty = sum(note.startswith("no ink") for note in log.photos)
        yield f"--from-photo: the ink of {n - empty:,} of {n:,} photographs was cut out, fitted and centred."


def _how(geometry: Geometry) -> str:
    how = {"pad": "all of it, on the ground colour", "crop": "its middle", "stretch": "all of it, stretched"}
    return f"{geometry.fit}: {how[geometry.fit]}"


def _skipped(log: _Log) -> Iterator[str]:
    if log.unreadable:
        listed = "; ".join(error.problem for error in log.unreadable[:LISTED])
        more = len(log.unreadable) - LISTED
        who = "One file was" if len(log.unreadable) == 1 else f"{len(log.unreadable):,} files were"
        yield f"{who} left out: {listed}{f'; and {more:,} more' if more > 0 else ''}."
