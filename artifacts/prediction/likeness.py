"""Warnings before an answer: statistics of images that are outside the bands of the training images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifacts.models import bundle
from artifacts.models.novelty import STATISTICS, Novelty, statistics
from artifacts.prediction.image_files import FLAT

Images = npt.NDArray[np.uint8]
Bands = npt.NDArray[np.float32]

SLACK = 0.1  # around what a few recorded images show, where there are no bands


@dataclass(frozen=True, eq=False)
class Seen:
    """What the training images of a version look like.

    Args:
        bands: float32 (3, 2), usual values of each of `STATISTICS`.
        complete: whether the bands are those of the training images, rather than of the few in the request set.
        ground: the ground colour, where it is known from the request set only; empty where the version records it.
    """

    bands: Bands
    complete: bool
    ground: tuple[int, ...] = ()


def seen(folder: Path, known: Novelty | None) -> Seen:
    """Return what the training images of a version look like; for an old version, what its recorded requests show.

    Raises:
        Corrupt: the version has neither.
    """
    if known is not None:
        return Seen(known.bands, complete=True)
    images, _ = bundle.read_requests(folder)
    measured = statistics(images)
    bands = np.stack([measured.min(axis=0) - SLACK, measured.max(axis=0) + SLACK], axis=1).clip(0, 1)
    return Seen(bands.astype(np.float32), complete=False, ground=_ground(images))


def _ground(images: Images) -> tuple[int, ...]:
    """Return the median of the border pixels, per channel."""
    sides = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    border = np.concatenate([side.reshape(-1, *images.shape[3:]) for side in sides])
    return tuple(int(value) for value in np.atleast_1d(np.median(border, axis=0)))


def warnings(images: Images, known: Seen, *, inverted: bool = False, from_photo: bool = False) -> Iterator[str]:
    """Yield one sentence for each way in which some of the images differ from the training images.

    Args:
        images: the model's input, uint8 (n, h, w) or (n, h, w, 3).
        known: from `seen`.
        inverted: whether the user had them inverted.
        from_photo: whether the ink was cut out of a photograph.
    """
    measured = statistics(images)
    blank = np.ptp(images.reshape(len(images), -1), axis=1) < FLAT
    other_way = _reversed(measured, known) & ~blank
    if other_way.any():
        yield _polarity(int(other_way.sum()), len(images), known, inverted)
    if blank.any():
        yield f"{_some(int(blank.sum()), len(images))} hardly any contrast: there is nothing to recognise."
    if known.complete:
        yield from _outside(measured, known.bands, ~other_way & ~blank, from_photo)


def _reversed(measured: npt.NDArray[np.float64], known: Seen) -> npt.NDArray[np.bool_]:
    """Return which images have a border that the training images do not have, but would have if they were inverted."""
    low, high = known.bands[STATISTICS.index("border")]
    border = measured[:, STATISTICS.index("border")]
    outside = (border < low) | (border > high)
    return np.asarray(outside & (1 - border >= low - SLACK) & (1 - border <= high + SLACK))


def _polarity(count: int, of: int, known: Seen, inverted: bool) -> str:
    light = float(known.bands[STATISTICS.index("border")].mean()) > 0.5
    has, expected = ("dark", "dark on light") if light else ("light", "light on dark")
    advice = "try it without --invert" if inverted else "add --invert if what is shown is the other way round"
    return f"{_some(count, of)} a {has} background, the model learned {expected}: {advice}."


def _outside(
    measured: npt.NDArray[np.float64], bands: Bands, judged: npt.NDArray[np.bool_], from_photo: bool
) -> Iterator[str]:
    advice = "" if from_photo else "; for a photograph of a character, add --from-photo"
    for index, name in enumerate(STATISTICS):
        low, high = (float(value) for value in bands[index])
        wrong = judged & ((measured[:, index] < low) | (measured[:, index] > high))
        if wrong.any():
            values = measured[wrong, index]
            found = f"{values[0]:.2f}" if len(values) == 1 else f"{values.min():.2f} to {values.max():.2f}"
            yield (
                f"{_some(int(wrong.sum()), len(measured))} a {name} of {found}, "
                f"that of the training images is {low:.2f} to {high:.2f}{advice}."
            )


def _some(count: int, of: int) -> str:
    return "The image has" if of == 1 else f"{count:,} of {of:,} images have"
