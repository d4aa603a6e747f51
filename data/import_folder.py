"""Import a folder of four IDX files: find, check and measure them."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.dataset import ROLES, RawData, Reference, SourceFile
from data.errors import BadFile, BadInput
from data.idx import GZIP_MAGIC, gunzip_head, read_header, read_idx, unpack
from data.summary import reference

USUAL_NAMES = {
    "train_images": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    "train_labels": ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    "test_images": (
        "t10k-images-idx3-ubyte",
        "t10k-images.idx3-ubyte",
        "test-images-idx3-ubyte",
        "test-images.idx3-ubyte",
    ),
    "test_labels": (
        "t10k-labels-idx1-ubyte",
        "t10k-labels.idx1-ubyte",
        "test-labels-idx1-ubyte",
        "test-labels.idx1-ubyte",
    ),
}
MAX_BYTES = 4 << 30  # of one file when unpacked; a header may claim any size
MAX_CLASSES = 1000


@dataclass(frozen=True)
class ImportedFolder:
    """The files of a folder, and what a catalogue row says about them.

    Args:
        files: names, sizes and hashes, by role.
        contents: the files' bytes as they are in the folder, by role.
        height: of an image, in pixels.
        width: of an image, in pixels.
        n_train: number of training images.
        n_test: number of test images.
        class_names: by label.
        reference: statistics of the images.
    """

    files: dict[str, SourceFile]
    contents: dict[str, bytes]
    height: int
    width: int
    n_train: int
    n_test: int
    class_names: tuple[str, ...]
    reference: Reference


def read_folder(folder: Path, class_names: tuple[str, ...] = ()) -> ImportedFolder:
    """Find, check and measure the four files of a dataset.

    Args:
        folder: holds each file under one of its usual names, with or without .gz.
        class_names: by label; if empty, "0", "1"... up to the largest label.

    Raises:
        BadFile: a file is missing, damaged, swapped with another, or does not fit the others.
        BadInput: the classes do not fit the labels.
    """
    files, contents, arrays = {}, {}, {}
    for role in ROLES:
        path = _find(folder, role)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadFile(f"{path} cannot be read: {error.strerror}", "fix its permissions") from error
        raw = _unpack(content, str(path))
        files[role] = _source_file(role, content, raw)
        contents[role] = content
        arrays[role] = _checked(read_idx(raw, str(path)), role, path)
    data = RawData(**arrays)
    _check_sizes(data, folder)
    names = _class_names(data, class_names)
    return ImportedFolder(
        files=files,
        contents=contents,
        height=data.train_images.shape[1],
        width=data.train_images.shape[2],
        n_train=len(data.train_images),
        n_test=len(data.test_images),
        class_names=names,
        reference=reference(data, len(names)),
    )


def _find(folder: Path, role: str) -> Path:
    if not folder.is_dir():
        raise BadFile(f"{folder} is not a folder", "give the folder that holds the four IDX files")
    wanted = {name + end for name in USUAL_NAMES[role] for end in ("", ".gz")}
    found = sorted(path for path in folder.iterdir() if path.name.lower() in wanted)
    if not found:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
        raise BadFile(
            f"{folder} has no file for the {role.replace('_', ' ')}; it holds {there}",
            f"call it {USUAL_NAMES[role][0]}, or {USUAL_NAMES[role][0]}.gz if it is compressed",
        )
    if len(found) > 1:
        both = " and ".join(path.name for path in found)
        raise BadFile(
            f"{folder} has several files for the {role.replace('_', ' ')}: {both}", "leave only one of them there"
        )
    return found[0]


def _unpack(content: bytes, where: str) -> bytes:
    head = gunzip_head(content, where) if content.startswith(GZIP_MAGIC) else content
    dtype, shape, start = read_header(head, where)
    size = start + math.prod(shape) * dtype.itemsize  # the header's size is the cap for unpacking
    if size > MAX_BYTES:
        raise BadFile(
            f"{where}: expected at most {MAX_BYTES >> 30} GiB of values, its header claims {size} bytes",
            "export fewer or smaller images",
        )
    return unpack(content, size, where)


def _source_file(role: str, content: bytes, raw: bytes) -> SourceFile:
    ending = ".gz" if content.startswith(GZIP_MAGIC) else ""
    return SourceFile(
        name=USUAL_NAMES[role][0] + ending,
        served_sha256=hashlib.sha256(content).hexdigest(),
        served_bytes=len(content),
        raw_sha256=hashlib.sha256(raw).hexdigest(),
        raw_bytes=len(raw),
    )


def _checked(array: np.ndarray, role: str, path: Path) -> np.ndarray:
    expected, other = (3, "labels") if role.endswith("images") else (1, "images")
    if array.ndim != expected:
        swapped = array.ndim == 4 - expected
        raise BadFile(
            f"{path}: expected {expected} dimension{'s' if expected > 1 else ''}, found {array.ndim}"
            + (f": these are {other}" if swapped else ""),
            "are the image and label files swapped?" if swapped else "export it again",
        )
    if role.endswith("images"):
        if array.dtype != np.uint8 or array.size == 0:
            raise BadFile(
                f"{path}: expected uint8 pixels, found {array.dtype} of shape {array.shape}", "export it again"
            )
        return array
    if array.dtype.kind not in "iu":
        raise BadFile(f"{path}: expected integer labels, found {array.dtype}", "export it again")
    return array.astype(np.int64)


def _check_sizes(data: RawData, folder: Path) -> None:
    for split in ("train", "test"):
        n_images, n_labels = len(getattr(data, f"{split}_images")), len(getattr(data, f"{split}_labels"))
        if n_images != n_labels:
            raise BadFile(
                f"{folder}: {n_images} {split} images, but {n_labels} {split} labels",
                "do the files belong together, or are those of training and test swapped?",
            )
    train, test = data.train_images.shape[1:], data.test_images.shape[1:]
    if train != test:
        raise BadFile(
            f"{folder}: training images are {train[0]} × {train[1]}, test images {test[0]} × {test[1]}",
            "resize them to the same size",
        )


def _class_names(data: RawData, names: tuple[str, ...]) -> tuple[str, ...]:
    lowest = min(data.train_labels.min(), data.test_labels.min())
    highest = max(data.train_labels.max(), data.test_labels.max())
    if highest >= MAX_CLASSES:
        raise BadInput(f"expected labels below {MAX_CLASSES}, got {highest}", "number the classes from 0")
    names = names or tuple(str(label) for label in range(highest + 1))
    if lowest < 0 or highest >= len(names):
        raise BadInput(
            f"labels run from {lowest} to {highest}, but there are {len(names)} classes",
            "labels start at 0: give a name to each",
        )
    if not 2 <= len(names) <= MAX_CLASSES:
        raise BadInput(f"expected 2 to {MAX_CLASSES} classes, got {len(names)}", "give each class one name")
    bad = [name for name in names if not name.isprintable() or not name.strip() or len(name) > 60]
    if bad or len(set(names)) < len(names):
        raise BadInput(
            f"{bad[0]!r} cannot be the name of a class" if bad else "two classes have the same name",
            "use different names of up to 60 printable characters",
        )
    return names
