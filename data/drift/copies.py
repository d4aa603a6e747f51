"""Rules on images that are nearly the same: test images among the new ones, and one image many times.

Exact copies cannot be in a snapshot. Copies that were compressed, moved or brightened are found by their spectrum: the
strengths of the lowest frequencies, which do not depend on where things are in an image, on brightness or on contrast.
"""

from collections.abc import Iterator

import numpy as np

from data.drift.looks import Looks, Samples
from data.drift.night import SIDES, Night
from data.drift.shift import ACCEPT, Shift, share_text

LOWEST = 7  # frequencies in each direction
ALIKE, NEARER = 0.9, 0.4  # correlation with the nearest test image; its distance against that of the second nearest
SAME = 0.98  # correlation of the spectra of images that hardly differ
LEAST = 5  # images
AT_ONCE = 500  # images compared at a time with all others: 40 MB
CONTROL = 1_000  # known images that tell how many look like copies by chance
LEAKED = (0.01, 0.05)  # share of the new training images, beyond chance: told above, stopped above
REPEATED = (0.1, 0.3)  # share of the new images that are nearly one and the same, beyond chance


def copy_rules(night: Night, found: Samples) -> Iterator[Shift]:
    """Yield how many new images are nearly test images, and nearly the same."""
    yield _leaked(night, found)
    yield _repeated(found)


def spectra(small: np.ndarray, middle: np.ndarray | None = None) -> np.ndarray:
    """Return the spectrum of each image, with length 1; float32 of shape (n, frequencies).

    Args:
        small: float32, of shape (n, height, width).
        middle: a spectrum that is subtracted from each, as `plain_spectra` gives them.
    """
    found = plain_spectra(small)
    found = found - (found.mean(axis=0) if middle is None else middle)
    return _unit(found)


def plain_spectra(small: np.ndarray) -> np.ndarray:
    """Return the strengths of the lowest frequencies of each image as a vector of length 1; float32."""
    strengths = np.abs(np.fft.rfft2(small - small.mean(axis=(1, 2), keepdims=True)))
    high, wide = min(small.shape[1] // 2, LOWEST), min(small.shape[2] // 2, LOWEST)
    kept = np.concatenate([strengths[:, : high + 1, : wide + 1], strengths[:, -high:, : wide + 1]], axis=1)
    return _unit(np.sqrt(kept.reshape(len(small), kept.shape[1] * kept.shape[2])[:, 1:]))


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: np.ndarray = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return found


# -- test images among the new ones -------------------------------------------------------------------------------


def _leaked(night: Night, found: Samples) -> Shift:
    new = found.new.where(night.sides[found.new.rows] != SIDES.index("test"))
    n, some, usual = len(new), 0, 0.0
    if n and len(found.test) > 1:
        middle = plain_spectra(found.test.small).mean(axis=0)
        tests = spectra(found.test.small, middle)
        control = spectra(found.known.small[:CONTROL], middle)
        some = int(copies_of(spectra(new.small, middle), tests).sum())
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
    n = len(found.new)
    some, usual = _most_alike(found.new, found.known), usual_repeats(found)
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
    """Return the same share of known images, in the class for which it is largest among the classes that are new."""
    shares = [0.0]
    for label in np.unique(found.new.labels):
        known = found.known.where(found.known.labels == label)
        shares.append(_most_alike(known, found.known) / max(len(known), 50))
    return max(shares)


def _most_alike(some: Looks, known: Looks) -> int:
    """Return how many images the image has that most are nearly the same as, itself included; 0 if it has none."""
    if not len(some) or not len(known):
        return 0
    vectors = spectra(some.small, plain_spectra(known.small).mean(axis=0))
    most = max(
        int((vectors[start : start + AT_ONCE] @ vectors.T > SAME).sum(axis=1).max())
        for start in range(0, len(some), AT_ONCE)
    )
    return most if most > 1 else 0
