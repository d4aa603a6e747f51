"""The geometry of a dataset, guessed from a sample of its images, and said in words."""

import statistics
from collections import Counter
from dataclasses import dataclass

import numpy as np

from data.dataset import Geometry
from data.errors import BadFile, BadInput
from data.importing.batches import Batch, Source, Split
from data.importing.options import ImportOptions
from data.sources.images import convert, decode

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
    seen = _sample(source, options)
    height, width = _size([one.size for one in seen], options, notes)
    channels = options.channels or (3 if any(one.colour for one in seen) else 1)
    training = [one for one in seen if one.split != "test"] or seen
    return Geometry(height, width, channels, options.fit, _ground(training, channels, options))


@dataclass(frozen=True)
class _Seen:
    """What is kept of an image of the sample, which may be a camera's.

    Args:
        size: (height, width).
        colour: whether it has any.
        border: its outermost pixels, uint8 of shape (1, n) or (1, n, 3).
        split: where it belongs.
    """

    size: tuple[int, int]
    colour: bool
    border: np.ndarray
    split: Split


def _sample(source: Source, options: ImportOptions) -> list[_Seen]:
    seen: list[_Seen] = []
    problem = None
    for batch in source.sampled():
        for i, label in enumerate(batch.labels):
            if str(label) in options.ignore_labels:
                continue
            try:
                seen.append(_seen(_pixels(batch, i, options), batch.splits[i], options))
            except BadFile as error:  # counted and named when all are read
                problem = problem or error
    if not seen:
        raise problem or BadFile("the source holds no images", "check what it holds")
    return seen


def _seen(image: np.ndarray, split: Split, options: ImportOptions) -> _Seen:
    height, width = image.shape[1::-1] if options.transpose else image.shape[:2]
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return _Seen((height, width), _has_colour(image), border[None], split)


def _pixels(batch: Batch, i: int, options: ImportOptions) -> np.ndarray:
    image = batch.images[i]
    if isinstance(image, np.ndarray):
        return image
    content = image if isinstance(image, bytes) else image.read()
    return decode(content, batch.where(i), channels=options.channels, ground=options.ground)


def _size(sizes: list[tuple[int, int]], options: ImportOptions, notes: list[str]) -> tuple[int, int]:
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


def _typical(sizes: list[tuple[int, int]]) -> tuple[int, int]:
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
    planes = [image[..., channel] for channel in range(image.shape[-1])]  # NumPy is slow along an axis of three
    spread = np.maximum.reduce(planes) - np.minimum.reduce(planes)
    return bool((spread > COLOUR).any())


def _ground(images: list[_Seen], channels: int, options: ImportOptions) -> tuple[int, ...]:
    if options.ground is not None:
        if len(options.ground) not in (1, channels):
            raise BadInput(
                f"--ground has {len(options.ground)} values, but the images are grey", "give one, or --channels 3"
            )
        return options.ground * (channels // len(options.ground))
    borders = np.concatenate([convert(one.border, channels).reshape(-1, channels) for one in images])
    return tuple(int(level) for level in np.median(borders, axis=0))


def described(geometry: Geometry) -> str:
    """Return a geometry as a sentence for people."""
    return f"images are {geometry}; the ground around what is shown is {', '.join(map(str, geometry.ground))} of 255"
