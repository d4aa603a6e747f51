"""The two splits of a dataset as witnesses for each other: what differs between them can hardly be meant.

Compared are statistics of every image, and of a sample of the images their means per class: these show images that are
turned, mirrored or inverted in one split only. Why these tests: docs/decisions/0016-what-no-dataset-may-pin-away.md.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data.dataset import RawData
from data.home.mapped import forget
from data.inspection.rules import Measured
from data.statistics.image_statistics import luminance
from data.statistics.summary import numeric, split_rows

SAMPLE = 10_000  # images of each split at most
SAMPLE_BYTES = 1 << 29  # read of each split at most
SIDE = 32  # pixels: larger images are averaged in blocks
DIFFERENT = 0.8  # standard deviations of one image between the splits: above, a sentence
SURE = 6  # standard errors that a difference must have
SLACK = 0.02  # of [0, 1]: two bands that are nearer than this are not apart
EXPLAINED = 0.75  # share of the difference between the splits that a turn must explain
WORDS = {
    "mean": ("brighter", "darker"),
    "std": ("richer in contrast", "poorer in contrast"),
    "min": ("brighter in their darkest pixel", "darker in their darkest pixel"),
    "max": ("brighter in their brightest pixel", "darker in their brightest pixel"),
    "ink_fraction": ("covered by more ink", "covered by less ink"),
    "centre_x": ("further right", "further left"),
    "centre_y": ("lower", "higher"),
    "border_ink": ("inkier at the border", "cleaner at the border"),
    "red": ("redder", "less red"),
    "green": ("greener", "less green"),
    "blue": ("bluer", "less blue"),
    "saturation": ("more colourful", "less colourful"),
    "sharpness": ("sharper", "more blurred"),
}
SAME_WAY = "prepare both splits in the same way: size, cropping, value range and polarity"


# -- statistics of all images -------------------------------------------------------------------------------------


def compare_statistics(table: pa.Table) -> Iterator[Measured]:
    """Yield how far the statistics of the splits are apart, and whether all values lie in 0..1."""
    train, test = (split_rows(table, split) for split in ("train", "test"))
    labels = train["label"].to_numpy(), test["label"].to_numpy()
    apart, different = dict[str, float](), dict[str, float]()
    with np.errstate(invalid="ignore"):  # infinite values are for other expectations
        for name in numeric(table):
            a, b = train[name].to_numpy(), test[name].to_numpy()
            if name not in ("centre_x", "centre_y"):
                apart[name] = _apart(a, b)
            different[name] = difference(a, b, *labels, SLACK if name in apart else 0.25)
    brightest = [
        round(255 * float(np.nan_to_num(part["max"].to_numpy(), posinf=1).max(initial=0))) for part in (train, test)
    ]
    yield from _statistics(train, test, apart, different, brightest)
    yield Measured(
        "value range",
        float(0 < max(brightest) <= 1),
        0,
        math.inf,
        f"no pixel is brighter than {max(brightest)}, of 255: values in 0..1 were stored as whole numbers",
        "multiply the images by 255 before they become bytes",
    )


def _statistics(
    train: pa.Table, test: pa.Table, apart: dict[str, float], different: dict[str, float], brightest: list[int]
) -> Iterator[Measured]:
    far = [name for name, share in apart.items() if share > 0.5]
    listed = "; ".join(_told(name, train, test, different[name]) for name in far)
    hint = _guess(train, test, brightest)
    yield Measured(
        "splits apart",
        max(apart.values(), default=0.0),
        0.5,
        0.5,
        f"hardly any test image is like a training image: {listed}{hint}",
        SAME_WAY,
    )
    some = [name for name, distance in different.items() if abs(distance) > DIFFERENT and name not in far]
    yield Measured(
        "splits differ",
        max(map(abs, different.values()), default=0.0) if some else 0.0,
        DIFFERENT,
        math.inf,
        "test images differ from training images: "
        + "; ".join(_told(name, train, test, different[name]) for name in some)
        + hint,
        f"if that is not meant, {SAME_WAY}",
    )


def _guess(train: pa.Table, test: pa.Table, brightest: list[int]) -> str:
    """Return what may have happened to one of the splits; empty if it is not one of the usual things."""
    if min(brightest) <= 1 < max(brightest):
        return f"; the brightest pixel is {brightest[1]}, in training images {brightest[0]}: is one split in 0..1?"
    ours, theirs = ({name: float(np.mean(part[name].to_numpy())) for name in numeric(part)} for part in (train, test))
    if abs(ours["mean"] + theirs["mean"] - 1) < SLACK and abs(ours["max"] + theirs["min"] - 1) < 2 * SLACK:
        return "; is one split inverted?"
    swapped = [("red", "blue"), ("blue", "red")]
    if "red" in ours and all(abs(theirs[one] - ours[other]) < SLACK for one, other in swapped):
        return "; are red and blue swapped in one split?"
    return ""


def _told(name: str, train: pa.Table, test: pa.Table, distance: float) -> str:
    a, b = (float(np.mean(part[name].to_numpy())) for part in (train, test))
    return f"they are {WORDS[name][distance < 0]} ({name} {b:.3g} against {a:.3g})"


def _apart(train: np.ndarray, test: np.ndarray) -> float:
    """Return the share of each split that lies outside the other's band, the smaller of the two shares."""
    shares = []
    for one, other in ((train, test), (test, train)):
        if not len(one) or not len(other):
            return 0.0
        low, high = np.quantile(other, (0.001, 0.999))
        shares.append(float(np.mean((one < low - SLACK) | (one > high + SLACK))))
    return min(shares)


def difference(
    train: np.ndarray, test: np.ndarray, train_labels: np.ndarray, test_labels: np.ndarray, floor: float
) -> float:
    """Return how far test images are from training images of the same class, in standard deviations of one image.

    Args:
        train: a number per training image.
        test: a number per test image.
        train_labels: their classes.
        test_labels: their classes.
        floor: the least that counts as a standard deviation.

    Returns:
        A signed distance; 0 if it is less than `SURE` standard errors.
    """
    n_classes = int(max(train_labels.max(initial=0), test_labels.max(initial=0))) + 1
    n, m = (np.bincount(labels, minlength=n_classes) for labels in (train_labels, test_labels))
    means = [
        np.bincount(labels, values, n_classes) / np.maximum(count, 1)
        for values, labels, count in ((train, train_labels, n), (test, test_labels, m))
    ]
    both = (n > 0) & (m > 0)
    if not both.any():
        return 0.0
    within = np.concatenate([train - means[0][train_labels], test - means[1][test_labels]])
    sigma = max(float(within.std()), floor)
    distance = float(np.average(means[1][both] - means[0][both], weights=m[both])) / sigma
    error = math.sqrt(1 / n[both].sum() + 1 / m[both].sum())
    return distance if abs(distance) > SURE * error else 0.0


# -- a sample of the images ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """Images of one split.

    Args:
        images: float32, of shape (n, height, width), each minus its own mean.
        labels: int64, of shape (n,).
        sharpness: float64, of shape (n,): mean step between neighbours over the standard deviation.
        slant: float64, of shape (n,): logarithm of the mean step to the right over that downwards.
    """

    images: np.ndarray
    labels: np.ndarray
    sharpness: np.ndarray
    slant: np.ndarray


def compare_images(raw: RawData, ours: str = "training images", theirs: str = "test images") -> Iterator[Measured]:
    """Yield whether one split is turned, mirrored, inverted or blurred against the other; both may have other names."""
    if not len(raw.train_images) or not len(raw.test_images):
        return
    train = _sample(raw.train_images, raw.train_labels)
    test = _sample(raw.test_images, raw.test_labels)
    yield _orientation(train, test, ours, theirs)
    yield _polarity(train, test, ours, theirs)
    blurred = difference(train.sharpness, test.sharpness, train.labels, test.labels, SLACK)
    yield Measured(
        "sharpness",
        abs(blurred),
        DIFFERENT,
        math.inf,
        f"{theirs} are {WORDS['sharpness'][blurred < 0]} than {ours}: the mean step between neighbouring "
        f"pixels is {test.sharpness.mean():.2f} standard deviations against {train.sharpness.mean():.2f}",
        "resample, compress and crop both splits in the same way",
    )


def _sample(images: np.ndarray, labels: np.ndarray) -> _Sample:
    size = math.prod(images.shape[1:])
    n = min(len(images), SAMPLE, max(SAMPLE_BYTES // size, 100))
    rows = np.linspace(0, len(images) - 1, n).astype(np.int64)
    step = max((1 << 20) // size, 1)
    parts = []
    for start in range(0, n, step):
        parts.append(_measured(np.asarray(images[rows[start : start + step]])))
        forget(images)
    small, sharpness, slant = (np.concatenate(some) for some in zip(*parts, strict=True))
    return _Sample(small, np.asarray(labels)[rows], sharpness, slant)


def _measured(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    grey = luminance(images).astype(np.float32)
    across = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2)) if grey.shape[2] > 1 else np.zeros(len(grey))
    down = np.abs(np.diff(grey, axis=1)).mean(axis=(1, 2)) if grey.shape[1] > 1 else np.zeros(len(grey))
    sharpness = (across + down) / (grey.std(axis=(1, 2)) + 1)
    small = _blocks(grey)
    return small - small.mean(axis=(1, 2), keepdims=True), sharpness, np.log((across + 0.5) / (down + 0.5))


def _blocks(images: np.ndarray) -> np.ndarray:
    """Return images of at most `SIDE` pixels a side, the means of equal blocks; a rest at the edges is left out."""
    n, height, width = images.shape
    block = math.ceil(max(height, width) / SIDE)
    if block == 1:
        return images
    rows, columns = max(height // block, 1), max(width // block, 1)
    kept = images[:, : rows * block, : columns * block]
    means: np.ndarray = kept.reshape(n, rows, kept.shape[1] // rows, columns, kept.shape[2] // columns).mean(
        axis=(2, 4)
    )
    return means


Turn = Callable[[np.ndarray], np.ndarray]
SQUARE_TURNS: dict[str, Turn] = {
    "transposed (rows and columns swapped)": lambda x: x.swapaxes(1, 2),
    "turned by 90 degrees": lambda x: np.rot90(x, 1, axes=(1, 2)),
    "turned by 270 degrees": lambda x: np.rot90(x, 3, axes=(1, 2)),
    "transposed and turned upside down": lambda x: x.swapaxes(1, 2)[:, ::-1, ::-1],
}
TURNS: dict[str, Turn] = {
    "mirrored left to right": lambda x: x[:, :, ::-1],
    "upside down and mirrored": lambda x: x[:, ::-1],
    "turned by 180 degrees": lambda x: x[:, ::-1, ::-1],
}


def _orientation(train: _Sample, test: _Sample, ours: str, theirs: str) -> Measured:
    """Compare the mean image of each class with the other split's, as it is and turned."""
    square = train.images.shape[1] == train.images.shape[2]
    turns = {**TURNS, **(SQUARE_TURNS if square else {})}
    found = {name: _explained(train, test, turn) for name, turn in turns.items()}
    if square and _slanted(train, test):
        found["transposed (rows and columns swapped)"] = max(found["transposed (rows and columns swapped)"], 0.9)
    best = max(found, key=lambda name: found[name])
    return Measured(
        "orientation",
        found[best],
        EXPLAINED,
        EXPLAINED,
        f"{theirs} look {best} against {ours}: that explains {found[best]:.0%} of the difference",
        "turn the images of one split, and add the dataset again (--transpose swaps rows and columns of both splits)",
    )


def _means(sample: _Sample, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean image of each class, and the number of images."""
    counts = np.bincount(sample.labels, minlength=n_classes)
    sums = np.zeros((n_classes, *sample.images.shape[1:]))
    for label in np.flatnonzero(counts):
        sums[label] = sample.images[sample.labels == label].sum(axis=0, dtype=np.float64)
    return sums / np.maximum(counts, 1)[:, None, None], counts


def _pair(train: _Sample, test: _Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean images of both splits, of classes that both have, and their weights."""
    n_classes = int(max(train.labels.max(), test.labels.max())) + 1
    (ours, n), (theirs, m) = _means(train, n_classes), _means(test, n_classes)
    return ours, theirs, np.sqrt(np.minimum(n, m) / max(np.minimum(n, m).sum(), 1))


def _alike(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """Return the correlation of two sets of mean images."""
    a, b = (one * weights[:, None, None]).ravel(), (other * weights[:, None, None]).ravel()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0


def _explained(train: _Sample, test: _Sample, turn: Turn) -> float:
    """Return the share of the difference between the splits that turning one explains; 0 if that may be chance."""
    ours, theirs, weights = _pair(train, test)
    plain, turned = _alike(ours, theirs, weights), _alike(turn(ours), theirs, weights)
    if turned < max(plain, 0.6) or _sure(turn(ours) - ours, test) < SURE:
        return 0.0
    return 1 - (1 - turned) / max(1 - plain, 1e-9)


def _sure(direction: np.ndarray, test: _Sample) -> float:
    """Return by how many standard errors the test images lie in a direction, given one per class."""
    along = np.einsum("nij,nij->n", direction[test.labels], test.images)
    return float(along.mean() / max(along.std() / math.sqrt(len(along)), 1e-9))


def _slanted(train: _Sample, test: _Sample) -> bool:
    """Whether edges run across in one split and down in the other, class by class: textures have no mean image."""
    n_classes = int(max(train.labels.max(), test.labels.max())) + 1
    means, errors = [], []
    for sample in (train, test):
        counts = np.maximum(np.bincount(sample.labels, minlength=n_classes), 1)
        mean = np.bincount(sample.labels, sample.slant, n_classes) / counts
        spread = np.bincount(sample.labels, (sample.slant - mean[sample.labels]) ** 2, n_classes) / counts
        means.append(mean)
        errors.append(np.sqrt((spread + 0.01) / counts))
    apart, together = means[1] - means[0], means[1] + means[0]
    clear = np.abs(apart) > np.maximum(SURE * np.hypot(*errors), 0.2)
    return bool(clear.any() and (together**2).sum() < 0.1 * (apart**2).sum())


def _polarity(train: _Sample, test: _Sample, ours: str, theirs: str) -> Measured:
    means, others, weights = _pair(train, test)
    against = -_alike(means, others, weights)
    return Measured(
        "polarity",
        against if _sure(-means, test) > SURE else 0.0,
        0.5,
        0.5,
        f"what is bright in {ours} is dark in {theirs} (correlation {-against:.2f} of the classes' means)",
        "invert one of the two splits",
    )
