"""The geometry of a dataset, guessed from a sample of its images, and said in words."""

import statistics
from collections import Counter

import numpy as np

from data.dataset import Geometry
from data.errors import BadFile, BadInput
from data.images import convert, decode
from data.importing.batches import Batch, Source
from data.importing.options import ImportOptions

MOST = 224  # pixels of the longer side, unless an option says more: larger images are scaled down
ROUND = 8  # sides that have to be chosen are multiples of this
UNIFORM = 0.9  # share of the sample that must have one size for it to be that of all
COLOUR = 12  # levels between the channels of a pixel from which it counts as colour: JPEG turns grey slightly


def geometry_of(source: Source, options: ImportOptions, notes: list[str]) -> Geometry:
    """Return the geometry that all images of a source will have.

    Args:
        source: the images.
        options: what the user fixed.
        notes: sentences about what was guessed are added here.

    Raises:
        BadFile: no image of the sample can be read.
        BadInput: the options contradict each other.
    """
    images, splits = _sample(source, options)
    if options.transpose:
        images = [image.swapaxes(0, 1) for image in images]
    height, width = _size([image.shape[:2] for image in images], options, notes)
    channels = options.channels or (3 if any(_has_colour(image) for image in images) else 1)
    training = [image for image, split in zip(images, splits, strict=True) if split != "test"] or images
    ground = _ground(training, channels, options)
    return Geometry(height, width, channels, options.fit, ground)


def _sample(source: Source, options: ImportOptions) -> tuple[list[np.ndarray], list[str]]:
    images, splits, problem = [], [], None
    for batch in source.sampled():
        for i, label in enumerate(batch.labels):
            if str(label) in options.ignore_labels:
                continue
            try:
                images.append(_pixels(batch, i, options))
                splits.append(batch.splits[i])
            except BadFile as error:  # counted and named when all are read
                problem = problem or error
    if not images:
        raise problem or BadFile("the source holds no images", "check what it holds")
    return images, list(splits)


def _pixels(batch: Batch, i: int, options: ImportOptions) -> np.ndarray:
    image = batch.images[i]
    if isinstance(image, np.ndarray):
        return image
    content = image if isinstance(image, bytes) else image.read()
    return decode(content, batch.where(i), channels=options.channels, ground=options.ground)


def _size(sizes: list[tuple[int, ...]], options: ImportOptions, notes: list[str]) -> tuple[int, int]:
    size, times = Counter(sizes).most_common(1)[0]
    uniform = times >= UNIFORM * len(sizes)
    height, width = size if uniform else _typical(sizes)
    if options.height or options.width:
        scale = (options.height or 0) / height or (options.width or 0) / width
        return options.height or max(1, round(height * scale)), options.width or max(1, round(width * scale))
    found = f"{height} × {width}"
    if max(height, width) > MOST:
        scale = MOST / max(height, width)
        height, width = (max(1, round(side * scale)) for side in (height, width))
    if not uniform:
        low, high = min(sizes, key=lambda one: one[0] * one[1]), max(sizes, key=lambda one: one[0] * one[1])
        notes.append(
            f"sizes differ, from {low[0]} × {low[1]} to {high[0]} × {high[1]} (height × width): all become "
            f"{height} × {width}, near the median; choose others with --height and --width, and how with --fit"
        )
    elif (height, width) != size:
        notes.append(f"images of {found} are scaled to {height} × {width}; choose others with --height and --width")
    return height, width


def _typical(sizes: list[tuple[int, ...]]) -> tuple[int, int]:
    """Return the median of heights and of widths, rounded; a square if they are nearly equal."""
    height, width = (statistics.median(size[side] for size in sizes) for side in (0, 1))
    if 0.75 < height / width < 1.34:
        height = width = (height * width) ** 0.5
    return _rounded(height), _rounded(width)


def _rounded(side: float) -> int:
    return max(1, round(side)) if side < 2 * ROUND else round(side / ROUND) * ROUND


def _has_colour(image: np.ndarray) -> bool:
    if image.ndim == 2:
        return False
    return bool((image.max(axis=-1).astype(np.int16) - image.min(axis=-1) > COLOUR).any())


def _ground(images: list[np.ndarray], channels: int, options: ImportOptions) -> tuple[int, ...]:
    if options.ground is not None:
        if len(options.ground) not in (1, channels):
            raise BadInput(
                f"--ground has {len(options.ground)} values, but the images are grey", "give one, or --channels 3"
            )
        return options.ground * (channels // len(options.ground))
    borders = np.concatenate([_border(convert(image, channels)).reshape(-1, channels) for image in images])
    return tuple(int(level) for level in np.median(borders, axis=0))


def _border(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def described(geometry: Geometry) -> str:
    """Return a geometry as a sentence for people."""
    return f"images are {geometry}; the ground around what is shown is {', '.join(map(str, geometry.ground))} of 255"
