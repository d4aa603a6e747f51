"""IDX files: the four of MNIST, under any of the names and in any of the folders in which people have them."""

import math
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from data.dataset import ROLES
from data.errors import BadFile
from data.home.files import file_sha256, storage_errors
from data.importing.batches import Batch, Source, Split
from data.importing.options import ImportOptions
from data.importing.pixels import batches_of, check_shapes, check_sizes, images_of, labels_of, sample_of
from data.importing.places.place import File, Place
from data.sources.idx import GZIP_MAGIC, gunzip_chunks, looks_like, map_idx, read_header

MAX_BYTES = 16 << 30  # of one file when unpacked; a header may claim any size
NAME = re.compile(
    r"(?P<prefix>.*?)(?P<split>train|t10k|test)[-_. ]?(?P<what>images|labels)([-_. ]?idx\d?)?([-_. ]?(ubyte|byte|int))?"
    r"(\.idx\d?)?(\.gz)?",
    re.IGNORECASE,
)
USUAL = dict(
    zip(
        ROLES,
        (f"{split}-{what}" for split in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")),
        strict=True,
    )
)


def role_of(name: str) -> tuple[str, str]:
    """Return what tells sets in one place apart, and the role, of an IDX file's path; ("", "") if it has no usual name.

    Kaggle's copy of MNIST has each file in a folder named like the file.
    """
    match = NAME.fullmatch(name.rpartition("/")[2])
    if not match:
        return "", ""
    path = PurePosixPath(name)
    folder = path.parent
    if NAME.fullmatch(folder.name):
        folder = folder.parent
    split = "train" if match["split"].lower() == "train" else "test"
    return f"{folder.as_posix()}/{match['prefix'].lower()}", f"{split}_{match['what'].lower()}"


def sets_of(place: Place) -> dict[str, dict[str, list[File]]]:
    """Return the files of each set of IDX files in a place, by role."""
    sets: dict[str, dict[str, list[File]]] = defaultdict(lambda: defaultdict(list))
    for file in place.files:
        group, role = role_of(file.name)
        if role:
            sets[group][role].append(file)
    return sets


def open_idx(place: Place, options: ImportOptions) -> Source:
    """Look through four IDX files, compressed or not.

    Raises:
        BadFile: a file is missing, damaged, swapped, or does not fit the others; or there are several sets.
    """
    files = _one_set(place)
    notes: list[str] = []
    arrays = {role: _array(_one(role, files[role])) for role in ROLES}
    splits: tuple[Split, ...] = ("train", "test")
    parts = []
    for split in splits:
        image_file, label_file = files[f"{split}_images"][0], files[f"{split}_labels"][0]
        if arrays[f"{split}_images"].ndim == 1:
            raise BadFile(
                f"{image_file.where}: expected 3 dimensions, found 1: these are labels",
                "are the image and label files swapped?",
            )
        images = images_of(arrays[f"{split}_images"], image_file.where, options, notes)
        labels = labels_of(arrays[f"{split}_labels"], label_file.where, notes)
        check_sizes(images, labels, split, place.location)
        parts.append((images, labels, split, image_file.where))
    check_shapes({part[2]: part[0].shape for part in parts}, place.location, options)
    if "emnist" in files["train_images"][0].where.lower() and not options.transpose:
        notes.append(
            "EMNIST's files hold images with rows and columns swapped: add --transpose if the contact sheet shows that"
        )

    def batches() -> Iterator[Batch]:
        for part in parts:
            yield from batches_of(*part)

    def sample() -> Iterator[Batch]:
        for part in parts:
            yield from sample_of(*part)

    return Source("idx", sum(len(part[0]) for part in parts), batches, sample, notes=notes)


def _one_set(place: Place) -> dict[str, list[File]]:
    sets = sets_of(place)
    complete = [group for group, files in sets.items() if set(files) == set(ROLES)]
    if len(complete) == 1:
        return sets[complete[0]]
    if len(complete) > 1:
        names = ", ".join(sorted(group.rstrip("/") or "." for group in complete)[:8])
        raise BadFile(
            f"{place.location} holds {len(complete)} sets of IDX files: {names}",
            "name one of them: its folder, or the folder and the beginning of its files' names",
        )
    nearest = max(sets.values(), key=len, default={})
    role = next(role for role in ROLES if role not in nearest)
    there = ", ".join(PurePosixPath(file.name).name for file in place.files[:12]) or "nothing"
    raise BadFile(
        f"{place.location} has no file for the {role.replace('_', ' ')}; it holds {there}",
        f"call it {USUAL[role]}, or {USUAL[role]}.gz if it is compressed",
    )


def _one(role: str, files: list[File]) -> tuple[File, Path]:
    """Return the one file of a role, unpacked; several are one if their content is the same, packed or not."""
    unpacked = [_unpacked(file) for file in files]
    if len(files) > 1 and len({file_sha256(path) for path in unpacked}) > 1:
        both = " and ".join(file.name for file in files)
        raise BadFile(
            f"{files[0].place.location} has several files for the {role.replace('_', ' ')} that differ: {both}",
            "leave only one of them there",
        )
    return files[0], unpacked[0]


def _unpacked(file: File) -> Path:
    """Return an uncompressed IDX file; the content decides whether it has to be unpacked, not the name."""
    path = file.local()
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head.startswith(GZIP_MAGIC):
        if len(head) >= 2 and not head.startswith(b"\0\0"):
            raise BadFile(
                f"{file.where}: byte 0: expected gzip (1f 8b) or IDX (00 00), found {looks_like(head)}",
                "fetch or export the file again",
            )
        return path
    dtype, shape, start = read_header(_unpacked_head(path, file.where), file.where)
    size = start + math.prod(shape) * dtype.itemsize  # the header's size is the cap for unpacking
    if size > MAX_BYTES:
        raise BadFile(
            f"{file.where}: expected at most {MAX_BYTES >> 30} GiB of values, its header claims {size} bytes",
            "export fewer or smaller images",
        )
    target = file.place.scratch / uuid.uuid4().hex
    with storage_errors(target), path.open("rb") as packed, target.open("wb") as plain:
        for piece in gunzip_chunks(packed, size, file.where):
            plain.write(piece)
    return target


def _unpacked_head(path: Path, where: str) -> bytes:
    """Return the first bytes of what a gzip file holds: enough for a header, even if its members are a byte each."""
    head = b""
    with path.open("rb") as stream:
        for piece in gunzip_chunks(stream, MAX_BYTES, where):
            head += piece[:64]
            if len(head) >= 64:
                break
    return head


def _array(found: tuple[File, Path]) -> np.ndarray:
    file, path = found
    try:
        return map_idx(path)
    except BadFile as error:  # name the file, not its unpacked copy
        raise BadFile(error.problem.replace(str(path), file.where), error.hint) from error
