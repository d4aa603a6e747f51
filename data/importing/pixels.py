"""Arrays of numbers become images and labels, by stated rules about their shape and their range."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.errors import BadFile
from data.importing.batches import BATCH, Batch, Label, Split, counted, spread
from data.importing.options import ImportOptions

CHUNK = 1 << 24  # numbers looked at together: 128 MB at most
DARK = 64  # if nothing is brighter, white may be another number than 255


@dataclass(frozen=True)
class Numbers:
    """Images in an array of any type and layout, read as uint8.

    Args:
        array: of shape (n, ...); may be mapped into memory.
        shape: of one image as it is stored: (h, w), (h, w, 1), (h, w, 3), (1, h, w) or (3, h, w).
        factor: what numbers are multiplied by to become 0..255.
    """

    array: np.ndarray
    shape: tuple[int, ...]
    factor: float

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: "slice | list[int]") -> np.ndarray:
        """Return these images, uint8 of shape (n, h, w) or (n, h, w, 3)."""
        some = np.asarray(self.array[rows])
        images = some.reshape(len(some), *self.shape)
        if images.ndim == 4 and _channels_first(self.shape):
            images = np.moveaxis(images, 1, -1)
        if images.ndim == 4 and images.shape[-1] == 1:
            images = images[..., 0]
        if images.dtype == np.uint8 and self.factor == 1:
            return images
        return np.clip(np.rint(images.astype(np.float64) * self.factor), 0, 255).astype(np.uint8)


def images_of(array: np.ndarray, where: str, options: ImportOptions, notes: list[str]) -> Numbers:
    """Return the images in an array, and note what was decided about it.

    Args:
        array: (n, h, w), (n, h, w, 1 or 3), (n, 1 or 3, h, w), or (n, h x w) with square images or a given size.
        where: its name in messages.
        options: `height` and `width` for flat images, `white`.
        notes: sentences are added here.

    Raises:
        BadFile: its shape or its numbers cannot be images.
    """
    if array.dtype.kind not in "biuf" or 0 in array.shape:
        raise BadFile(
            f"{where}: expected numbers, found {array.dtype} of shape {array.shape}",
            "export pixels as numbers in 0..255",
        )
    shape = image_shape(array.shape[1:], where, options)
    if _channels_first(shape):
        _note(notes, f"{where}: {shape} is read as channels, height, width")
    return Numbers(array, shape, factor_of(_extent(array), array.dtype, where, options, notes))


def image_shape(shape: tuple[int, ...], where: str, options: ImportOptions) -> tuple[int, ...]:
    """Return the shape of one image of an array whose items have this shape.

    Raises:
        BadFile: it cannot be an image.
    """
    if len(shape) == 1:
        return _unrolled(shape[0], where, options)
    if len(shape) == 2 or (len(shape) == 3 and (shape[-1] in (1, 3) or _channels_first(shape))):
        return shape
    found = " × ".join(map(str, shape)) or "single numbers: these are labels"
    raise BadFile(
        f"{where}: expected images of height × width, or with 1 or 3 channels, found {found}",
        "are the image and label files swapped?" if not shape else "export grey or RGB images",
    )


def _channels_first(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] in (1, 3) and shape[-1] not in (1, 3)


def _unrolled(n: int, where: str, options: ImportOptions) -> tuple[int, ...]:
    if options.height and options.width and n in (options.height * options.width, 3 * options.height * options.width):
        size = options.height, options.width
        return size if n == math.prod(size) else (*size, 3)
    side = math.isqrt(n)
    if side * side == n and side > 1:
        return side, side
    raise BadFile(
        f"{where}: expected {n} numbers per image to be a square, which they are not",
        "say its size with --height and --width, or export images of height × width",
    )


def _extent(array: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest number; NaN if there is one."""
    if array.dtype == bool:
        return 0.0, 1.0
    step = max(CHUNK // max(math.prod(array.shape[1:]), 1), 1)
    ends = [(part.min(), part.max()) for part in (array[at : at + step] for at in range(0, len(array), step))]
    return float(np.min([low for low, _ in ends])), float(np.max([high for _, high in ends]))


def factor_of(
    extent: tuple[float, float], dtype: np.dtype, where: str, options: ImportOptions, notes: list[str]
) -> float:
    """Return what numbers in this range are multiplied by to become 0..255, and note it unless it is 1.

    Raises:
        BadFile: they are negative, not finite, or larger than 16 bits allow.
    """
    low, high = extent
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadFile(f"{where}: expected pixels, found NaN or infinite numbers", "replace them before exporting")
    if low < -0.001:
        raise BadFile(
            f"{where}: expected pixels from 0 on, found {low:g} to {high:g}",
            "undo the normalisation first, such as (x + 1) * 127.5 for -1..1",
        )
    if options.white is not None:
        if high > options.white * 1.001:
            raise BadFile(
                f"{where}: --white is {options.white:g}, but there are pixels up to {high:g}", "give a larger one"
            )
        return 255 / options.white
    if dtype.kind == "b" or (dtype.kind == "f" and 0 < high <= 1.001):
        _note(notes, f"{where}: {'true' if dtype.kind == 'b' else '1.0'} means white: 0..1 becomes 0..255")
        return 255.0
    if high <= 255:
        if 0 < high < DARK:
            _note(notes, f"{where}: the brightest pixel is {high:g} of 255; if it means white, add --white {high:g}")
        return 1.0
    if high <= 65535:
        _note(
            notes,
            f"{where}: pixels up to {high:g} are read as 16 bits, 65535 means white; if another does, add --white",
        )
        return 255 / 65535
    raise BadFile(
        f"{where}: expected pixels up to 255 or 65535, found {high:g}", "say which number means white: --white"
    )


def labels_of(array: np.ndarray, where: str, notes: list[str]) -> list[Label]:
    """Return the labels in an array: whole numbers or texts, (n,) or (n, 1), or one column per class with a single 1.

    Raises:
        BadFile: it holds something else.
    """
    array = np.asarray(array)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind == "i" and array.shape[1] == 8:  # as in NIST's and QMNIST's files
        _note(notes, f"{where}: of 8 numbers per label, the first is the class")
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "biuf":
        if not (((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()):
            raise BadFile(
                f"{where}: expected one class per image, found rows with several", "export one label per image"
            )
        _note(notes, f"{where}: the class is the column that is 1")
        array = array.argmax(axis=1)
    if array.ndim != 1:
        shape = " × ".join(map(str, array.shape))
        raise BadFile(
            f"{where}: expected 1 dimension, found {array.ndim} ({shape}): these are images",
            "are the image and label files swapped?",
        )
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        raise BadFile(
            f"{where}: expected integer labels, found {array.dtype.name} with fractions", "export whole numbers"
        )
    if array.dtype.kind not in "biufUS":
        raise BadFile(f"{where}: expected integer labels, found {array.dtype.name}", "export whole numbers or names")
    return array.astype(str if array.dtype.kind in "US" else np.int64).tolist()  # type: ignore[no-any-return]


def batches_of(images: Numbers, labels: list[Label], split: Split, where: str) -> Iterator[Batch]:
    """Yield all images of an array with their labels."""
    for at in range(0, len(images), BATCH):
        part = images[at : at + BATCH]
        yield Batch(part, labels[at : at + BATCH], [split] * len(part), counted(f"{where}, image", at))


def sample_of(images: Numbers, labels: list[Label], split: Split, where: str) -> Iterator[Batch]:
    """Yield some images from all over an array."""
    rows = spread(len(images), BATCH)
    yield Batch(images[rows], [labels[row] for row in rows], [split] * len(rows), lambda i: f"{where}, image {rows[i]}")


def check_sizes(images: Numbers, labels: list[Label], split: str, where: str) -> None:
    """Raise BadFile unless there is one label per image."""
    if len(images) != len(labels):
        raise BadFile(
            f"{where}: {len(images)} {split or 'unsplit'} images, but {len(labels)} {split or 'unsplit'} labels",
            "do the files belong together, or are those of training and test swapped?",
        )


def check_shapes(shapes: dict[str, tuple[int, ...]], where: str, options: ImportOptions) -> None:
    """Raise BadFile if training and test images differ in shape, unless the options say what they all become."""
    if len(set(shapes.values())) > 1 and not (options.height and options.width):
        texts = {split: " × ".join(map(str, shape)) for split, shape in shapes.items()}
        first, second = (f"{'training' if split == 'train' else split} images" for split in list(shapes)[:2])
        sizes = list(texts.values())
        raise BadFile(
            f"{where}: {first} are {sizes[0]}, {second} {sizes[1]}",
            "are they of the same kind? if so, say what size all become: --height and --width",
        )


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)
