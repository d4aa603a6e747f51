"""Rules on images that are nearly the same: test images among the new ones, and one image many times.

Exact copies cannot be in a snapshot. Copies that were compressed, moved or brightened are found by their spectra.
"""

from collections.abc import Iterator

import numpy as np

from data.drift.looks import Looks, Samples, unit
from data.drift.night import SIDES, Night
from data.drift.shift import ACCEPT, Shift, share_text

ALIKE, NEARER = 0.9, 0.4  # correlation with the nearest test image; its distance against that of the second nearest
SAME = 0.98  # correlation of the spectra of images that hardly differ
LEAST = 5  # images
FEW = 50  # known images of a class: with fewer, a pair is not a large share of it
AT_ONCE = 500  # images compared at a time with all others: 40 MB
CONTROL = 500  # known images that tell how many look like copies by chance
LEAKED = (0.01, 0.05)  # share of the new training images, beyond chance: told above, stopped above
REPEATED = (0.1, 0.3)  # share of the new images that are nearly one and the same, beyond chance


def copy_rules(night: Night, found: Samples) -> Iterator[Shift]:
    """Yield how many new images are nearly test images, and nearly the same."""
    yield _leaked(night, found)
    yield _repeated(found)


def spectra(some: Looks, middle: Looks) -> np.ndarray:
    """Return how the spectrum of each image differs from the mean of others, with length 1; float32."""
    return unit(some.spectrum - middle.spectrum.mean(axis=0))


# -- test images among the new ones -------------------------------------------------------------------------------


def _leaked(night: Night, found: Samples) -> Shift:
    new = found.new.where(night.sides[found.new.rows] != SIDES.index("test"))
    n, some, usual = len(new), 0, 0.0
    if n and len(found.test) > 1:
        tests = spectra(found.test, found.test)
        control = spectra(found.known.where(np.arange(min(len(found.known), CONTROL))), found.test)
        some = int(copies_of(spectra(new, found.test), tests).sum())
        usual = float(copies_of(control, tests).mean()) if len(control) else 0.0
    by_chance = n * usual + 6 * np.sqrt(n * usual + 0.25)
    return Shift(
        "near copies of test images",
        "accident",
        max(some / n - usual, 0.0) if some >= LEAST and some > by_chance else 0.0,
        "share of the new training images",
        *LEAKED,
        f"{share_text(some, n)} new training images are nearly a test image (compressed, moved or brightened); of the "
        f"known ones {usual:.2%} look so",
        f"remove them: whatever a model learned by heart counts as right; {ACCEPT}",
    )


def copies_of(images: np.ndarray, tests: np.ndarray) -> np.ndarray:
    """Return which images are much nearer to one test image than to any other, as bool.

    Args:
        images: spectra, of shape (n, frequencies).
        tests: spectra of at least two test images.
    """
    found = np.zeros(len(images), bool)
    for start in range(0, len(images), AT_ONCE):
        alike = images[start : start + AT_ONCE] @ tests.T
        second, first = np.partition(alike, -2, axis=1)[:, -2:].T
        found[start : start + AT_ONCE] = (first > ALIKE) & (1 - first < NEARER * (1 - second))
    return found


# -- one image many times -----------------------------------------------------------------------------------------


def _repeated(found: Samples) -> Shift:
    n, usual = len(found.new), usual_repeats(found)
    some = _most_alike(spectra(found.new, found.known)) if n and len(found.known) else 0
    return Shift(
        "one image many times",
        "accident",
        max(some / max(n, 1) - usual, 0.0) if some >= LEAST else 0.0,
        "share of the new images",
        *REPEATED,
        f"{share_text(some, n)} new images are nearly one and the same; of as many known ones {usual:.2%}",
        f"check whether a camera got stuck, or a file was copied; {ACCEPT}",
    )


def usual_repeats(found: Samples) -> float:
    """Return the same share of known images, in that of the new images' classes for which it is largest."""
    if not len(found.known):
        return 0.0
    vectors, labels = spectra(found.known, found.known), found.known.labels
    classes = [vectors[labels == label][:AT_ONCE] for label in np.unique(found.new.labels)]
    return max((_most_alike(some) / max(len(some), FEW) for some in classes), default=0.0)


def _most_alike(vectors: np.ndarray) -> int:
    """Return how many images the image has that most are nearly the same as, itself included; 0 if it has none."""
    most = [
        int((vectors[start : start + AT_ONCE] @ vectors.T > SAME).sum(axis=1).max())
        for start in range(0, len(vectors), AT_ONCE)
    ]
    return max(most) if most and max(most) > 1 else 0
