"""Imports a source once: every image is decoded to one geometry, and written into the four IDX files of a night."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.dataset import ROLES, Geometry, SourceFile
from data.errors import BadInput
from data.home.files import file_sha256, storage_errors, write_file
from data.importing import classes, survey
from data.importing.batches import Batch, Label, Source, Split
from data.importing.options import ImportOptions
from data.importing.places.locations import open_place
from data.importing.recognise import recognised
from data.importing.writing import Part, join, write_parts
from data.sources.idx import write_idx

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Imported:
    """What was read, in four files of a temporary folder.

    Args:
        paths: the files, by role.
        files: what a row says about them, by role.
        geometry: of all images.
        class_names: by label.
        n_train: number of training images.
        n_test: number of test images.
        notes: what was found and decided by looking, one sentence each.
    """

    paths: dict[str, Path]
    files: dict[str, SourceFile]
    geometry: Geometry
    class_names: tuple[str, ...]
    n_train: int
    n_test: int
    notes: tuple[str, ...]


def read_source(
    location: str, options: ImportOptions, folder: Path, report: Report, room: Callable[[int], None]
) -> Imported:
    """Read a source into four IDX files.

    Args:
        location: a path or URL: see `data.importing.places.locations.open_place`.
        options: how it is read.
        folder: an existing temporary folder; the caller removes it.
        report: called with what is being done, the number done, and the number expected (0 if unknown).
        room: called with the bytes that will be written, before they are; raises if the disk has no room for them.

    Raises:
        BadFile: the source, or a file of it, is not what it should be.
        BadInput: labels, classes and options do not fit each other; there are no training or no test images.
        SourceUnavailable: a URL cannot be read.
        StorageFailed: the folder cannot be written.
    """
    source = _opened(location, options, folder, report)
    notes = list(source.notes)
    geometry = survey.geometry_of(source, options, notes)
    notes.append(survey.described(geometry))
    room(2 * source.total * int(np.prod(geometry.shape)))
    parts = write_parts(source.batches(), geometry, options, folder, lambda done: report("images", done, source.total))
    labels = {label for part in parts.values() for label in part.labels}
    if not labels:
        raise BadInput(f"{location} holds no images with labels", "check the source, and --ignore-labels")
    names, numbers = classes.numbered(list(labels), source.class_names, options)
    train, test = _divided(parts, options, notes)
    paths = {
        **_written("train", train, geometry, numbers, len(names), folder),
        **_written("test", test, geometry, numbers, len(names), folder),
    }
    files = {role: _source_file(role, paths[role]) for role in ROLES}
    if files["train_images"].raw_sha256 == files["test_images"].raw_sha256:
        raise BadInput(
            f"{location}: the training images and the test images are the same",
            "a test on training images shows nothing: give other test images, or none, and a share is set apart",
        )
    counts = [sum(len(rows) for _, rows in chosen) for chosen in (train, test)]
    return Imported(paths, files, geometry, names, counts[0], counts[1], tuple(notes))


def surveyed(folder: Path, location: str, options: ImportOptions, report: Report) -> tuple[Geometry, tuple[str, ...]]:
    """Look at a source, and return the geometry that its images get, with what was found, one sentence each.

    Args:
        folder: a temporary folder that does not exist; it is removed.
        location: as in `read_source`, like the others.
        options: how it is read.
        report: called with what is being done.

    Raises:
        BadFile, BadInput, SourceUnavailable: as `read_source`.
    """
    with storage_errors(folder):
        folder.mkdir()
    try:
        source = _opened(location, options, folder, report)
        notes = list(source.notes)
        geometry = survey.geometry_of(source, options, notes)
        return geometry, (*notes, survey.described(geometry))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _opened(location: str, options: ImportOptions, folder: Path, report: Report) -> Source:
    source = recognised(open_place(location, folder, report), options)
    if not options.test:
        return source
    test = recognised(open_place(options.test, folder, report), options)

    def batches() -> Iterator[Batch]:
        yield from source.batches()
        for batch in test.batches():
            yield dataclasses.replace(batch, splits=["test"] * len(batch))

    total = source.total + test.total if source.total and test.total else 0
    notes = [*source.notes, f"test images from {options.test}", *test.notes[1:]]
    return dataclasses.replace(source, total=total, batches=batches, sample=source.sampled, notes=notes)


Chosen = list[tuple[Part, np.ndarray]]  # rows of parts, in order


def _divided(parts: dict[Split, Part], options: ImportOptions, notes: list[str]) -> tuple[Chosen, Chosen]:
    """Choose the training and the test images.

    Validation images are for training where there are test images, and are the test images where there are none; the
    validation images of a night are chosen from the training images by their content.
    """
    whole: dict[Split, tuple[Part, np.ndarray]] = {
        split: (part, np.arange(len(part.labels))) for split, part in parts.items()
    }
    training: list[Split] = [split for split in ("train", "") if split in whole]
    if "test" in whole:
        if "val" in whole:
            notes.append(f"the {len(whole['val'][1]):,} validation images join the training images")
        train = [whole[split] for split in (*training, "val") if split in whole]
        test = [whole["test"]]
    elif "val" in whole and training:
        notes.append(f"there are no test images: the {len(whole['val'][1]):,} validation images are the test images")
        train, test = [whole[split] for split in training], [whole["val"]]
    else:
        return _set_apart([part for part, _ in whole.values()], options, notes)
    if not train:
        raise BadInput("there are test images, but no training images", "name the folder that holds both")
    return train, test


def _set_apart(parts: list[Part], options: ImportOptions, notes: list[str]) -> tuple[Chosen, Chosen]:
    chosen = [test_mask(part.labels, part.content, options.test_share) for part in parts]
    n_test, n = sum(int(mask.sum()) for mask in chosen), sum(len(mask) for mask in chosen)
    if n and not 0 < n_test < n:
        raise BadInput(
            f"{n:,} images are too few to set test images apart",
            "give test images of their own with --test, or more images",
        )
    notes.append(
        f"no test images are given: {n_test:,} of {n:,}, about {100 * options.test_share:g} % of each class, are set "
        "apart by their content (--test-share), the same ones whenever the source is read"
    )
    train = [(part, np.flatnonzero(~mask)) for part, mask in zip(parts, chosen, strict=True)]
    return train, [(part, np.flatnonzero(mask)) for part, mask in zip(parts, chosen, strict=True)]


def test_mask(labels: list[Label], hashes: np.ndarray, share: float) -> np.ndarray:
    """Choose test images by their content alone, so that an image stays where it is however many others come.

    Args:
        labels: of each image.
        hashes: of each image's pixels, uint64 of shape (n,), evenly spread.
        share: of the images, in (0, 1).

    Returns:
        Boolean of shape (n,): true where the hash, as a fraction of its range, is below the share. A class of which
        this would leave one side empty gives it the image with the smallest or the largest hash, and its equals.
    """
    mask = hashes < np.uint64(int(share * 2**64))
    numbers: dict[Label, int] = {}
    codes = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)
    for code in range(len(numbers)):
        rows = np.flatnonzero(codes == code)
        some = hashes[rows]
        if len(np.unique(some)) < 2:
            mask[rows] = False
        elif not mask[rows].any():
            mask[rows[some == some.min()]] = True
        elif mask[rows].all():
            mask[rows[some == some.max()]] = False
    return mask


def _written(
    split: str, chosen: Chosen, geometry: Geometry, numbers: dict[Label, int], n_classes: int, folder: Path
) -> dict[str, Path]:
    """Write images and labels of one side; a part that is taken whole becomes the file itself."""
    images, labels = folder / f"{split}-images", folder / f"{split}-labels"
    parts = [(part, rows) for part, rows in chosen if len(rows)]
    if len(parts) == 1 and len(parts[0][1]) == len(parts[0][0].labels):
        parts[0][0].path.rename(images)
    else:
        join([(part.images, rows) for part, rows in parts], images, geometry.shape)
    values = np.concatenate([np.array([numbers[part.labels[row]] for row in rows], np.int64) for part, rows in chosen])
    with storage_errors(labels):
        write_file(labels, write_idx(values.astype(np.uint8 if n_classes <= 256 else np.int16)))
    return {f"{split}_images": images, f"{split}_labels": labels}


def _source_file(role: str, path: Path) -> SourceFile:
    """Return what a row says about a file; its name holds its hash, so that another content never takes its place."""
    sha256, size = file_sha256(path), path.stat().st_size
    return SourceFile(f"{role.replace('_', '-')}-{sha256[:12]}.idx", sha256, size, sha256, size)
