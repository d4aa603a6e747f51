"""Rules on the pixels of a sample of the new images: turned, inverted, blurred, noise, blank."""

from collections.abc import Iterator

import numpy as np

from data.dataset import RawData
from data.drift.looks import Samples
from data.drift.new_images import FIRST, LEAST, SURE, Within
from data.drift.night import Night
from data.drift.shift import ACCEPT, Shift, share_text
from data.inspection.witness import WORDS, compare_images

NOISY = 1.8  # roughness; noise has 2.3
BLANK = 0.01  # standard deviation of an image's grey values, which lie in [0, 1]
EMPTY = (0.05, 0.3)  # share of the new images without a picture, beyond that of the known ones
FEW = 5  # such images: fewer are not worth a word


def picture_rules(night: Night, found: Samples) -> Iterator[Shift]:
    """Yield what the new images look like against known images for training."""
    noise, blank = (one.roughness > NOISY for one in (found.new, found.known)), _blank(night, found)
    yield _empty("consist of noise", found, *noise)
    yield _empty("have no contrast", found, *blank)
    yield from _turned(found)
    yield _sharpness(found)


def _blank(night: Night, found: Samples) -> Iterator[np.ndarray]:
    contrast = night.new["std"].to_numpy()
    yield from (contrast[one.rows] < BLANK for one in (found.new, found.known))


def _empty(what: str, found: Samples, new: np.ndarray, known: np.ndarray) -> Shift:
    some, n = int(new.sum()), max(len(new), 1)
    usual = _usual(found, known)
    by_chance = n * usual + SURE * np.sqrt(n * usual * (1 - usual) + 0.25)
    return Shift(
        f"new images that {what}",
        "accident",
        max(some / n - usual, 0.0) if some >= FEW and some > by_chance else 0.0,
        "share of the new images",
        *EMPTY,
        f"{share_text(some, len(new))} new images {what}; of known images of the same classes {usual:.2%} do",
        f"check the camera, and whether files were cut off or encrypted; {ACCEPT}",
    )


def _usual(found: Samples, known: np.ndarray) -> float:
    """Return the share of known images with a property, each class weighed as among the new ones."""
    n_classes = int(max(found.known.labels.max(initial=0), found.new.labels.max(initial=0))) + 1
    counts = np.bincount(found.known.labels, minlength=n_classes)
    overall = float(known.mean()) if len(known) else 0.0
    of_class = (np.bincount(found.known.labels, known, n_classes) + overall) / (counts + 1)
    return float(of_class[found.new.labels].mean()) if len(found.new) else overall


def _turned(found: Samples) -> Iterator[Shift]:
    """Yield whether new images are turned, mirrored, transposed or inverted, by the mean images of the classes."""
    if len(found.new) < LEAST or len(found.known) < LEAST:
        return
    small = [np.round(one.small).astype(np.uint8) for one in (found.known, found.new)]
    raw = RawData(small[0], found.known.labels, small[1], found.new.labels)
    for one in compare_images(raw, ours="known images", theirs="new images"):
        if one.rule != "sharpness":
            yield Shift(
                f"{one.rule} of new images",
                "accident",
                float(one.found),
                "share of the difference explained" if one.rule == "orientation" else "correlation, negated",
                one.notable,
                one.allowed,
                one.sentence,
                f"bring the new images into the form of the known ones; {ACCEPT}",
            )


def _sharpness(found: Samples) -> Shift:
    known, new = found.known, found.new
    n_classes = int(max(known.labels.max(initial=0), new.labels.max(initial=0))) + 1
    inside = Within.of(known.roughness, known.labels, n_classes, 0.02)
    away, n, error = inside.distance(new.roughness, new.labels)
    limit = max(FIRST, SURE * error)
    rough = [float(one.roughness.mean()) if len(one) else 0.0 for one in (new, known)]
    return Shift(
        "sharpness of new images",
        "shift",
        abs(away) if n >= LEAST else 0.0,
        "Cohen's d, within classes",
        limit,
        limit,
        f"{len(new):,} new images are {WORDS['sharpness'][away < 0]} than known ones, by {abs(away):.2f} standard "
        f"deviations of one image of the same class (step between neighbours {rough[0]:.2f} against {rough[1]:.2f})",
        "check whether they come from another camera or scanner, or were resized or compressed differently",
    )
