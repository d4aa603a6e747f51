"""What the gate decides from and what it keeps: plain values and arrays, no files."""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from artifacts.gate.paired_tests import Bools

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scored:
    """One model's answers to tonight's test images.

    Args:
        name: the candidate's name, such as "cnn-seed0".
        predicted: the predicted class of every image, int64 of shape (n,).
        finite: whether every probability is a finite number.
        megabytes: size of the model file, in 10**6 bytes; NaN where it was not measured.
        latency_ms: time for a single image, in milliseconds; NaN where it was not measured.
        robustness: accuracy by perturbation ("shifted", "noisy", "rotated") of the test images.
    """

    name: str
    predicted: Labels
    finite: bool = True
    megabytes: float = math.nan
    latency_ms: float = math.nan
    robustness: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Champion:
    """The champion, scored tonight, or why it could not be scored.

    Args:
        version: "mnist/3".
        predicted: int64 of shape (n,) on tonight's test images; None unless `state` is "loaded".
        class_names: the names of the classes it predicts.
        test_digest: content digest of the test set on which it was promoted.
        state: "missing" if the pointer names a version that is not there, "corrupt" if it does not match its hashes,
            "unloadable" if it does but the installed libraries cannot load it, "unfit" if it takes other images.
        problem: the error, for the message; "" if there was none.
    """

    version: str
    predicted: Labels | None
    class_names: tuple[str, ...]
    test_digest: str
    state: Literal["loaded", "missing", "corrupt", "unloadable", "unfit"] = "loaded"
    problem: str = ""


@dataclass(frozen=True)
class Grown:
    """What a look at a test set that grows is kept with besides; the rules are in artifacts/gate/growing/.

    Args:
        lineage: the same for a dataset as long as it changes by additions, corrections and removals.
        images: how many test images there were.
        items: SHA-256 of their identities, in order, as hexadecimal digits.
        models: how many models of the recipe were compared on the champion's own images.
        windows: lengths, in nights, of the windows of recent images that were looked at.
        recent: what these windows spent; not a part of the look's `spent`.
    """

    lineage: str
    images: int
    items: str
    models: int = 0
    windows: tuple[int, ...] = ()
    recent: float = 0.0


@dataclass(frozen=True)
class Look:
    """One night's comparison on a test set, as the ledger keeps it: plain strings and numbers.

    Args:
        when: the UTC date, "2026-11-20".
        test_digest: content digest of the test set.
        champion: the champion of that night, "mnist/3".
        recipe: the fingerprint of everything but the seed: recipe, parameters, data, code.
        rights: per model of the recipe that met the required accuracy, which images it got right, as `pack` writes it.
        allotted: the share of the error budget that all comparisons of this recipe with this champion may spend.
        spent: the share of the error budget that this look spent.
        grown: what is kept besides on a test set that grows; None on one that does not.
        promoted: whether the comparison promoted the candidate, as the ledger says; never kept in the look itself.
    """

    when: str
    test_digest: str
    champion: str
    recipe: str
    rights: tuple[str, ...]
    allotted: float
    spent: float
    grown: Grown | None = None
    promoted: bool = False


@dataclass(frozen=True, eq=False)
class Growing:
    """Which images tonight's test set has, where images are added to it.

    Args:
        lineage: see `Grown`.
        items: identity of every image, uint8 of shape (n, 32): a hash of its pixels and its label, in the order in
            which they were first seen: tonight's images are normally last night's, and new ones behind them.
        moved: for test sets of the past of which images were removed or relabelled since, by `Grown.items`: where each
            of their images is tonight, int64 of shape (images,), -1 where it is no more.
    """

    lineage: str
    items: npt.NDArray[np.uint8]
    moved: Mapping[str, Labels] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a decision depends on besides the policy.

    Args:
        dataset: the dataset's name.
        labels: tonight's test labels, int64 of shape (n,).
        class_names: the names of the classes, by label.
        n_expected: the catalogue's number of test images.
        test_digest: content digest of tonight's test set.
        when: the UTC date, "2026-11-20".
        candidate: the model that won on the validation images.
        recipe: the candidate's fingerprint (see `Look`). Two nights with equal fingerprints differ only in the seed.
        siblings: predictions, int64 of shape (n,), of all other seeds of tonight with that fingerprint, unselected.
        champion: None before the first promotion.
        looks: all earlier looks from the ledger, in order.
        barred: the version with exactly the candidate's weights that was rolled back from, or "".
        growing: which images these are, if the dataset grows; `recipe` then leaves the data out. None if it does not.
    """

    dataset: str
    labels: Labels
    class_names: tuple[str, ...]
    n_expected: int
    test_digest: str
    when: str
    candidate: Scored
    recipe: str
    champion: Champion | None = None
    siblings: tuple[Labels, ...] = ()
    looks: tuple[Look, ...] = ()
    barred: str = ""
    growing: Growing | None = None


def pack(right: Bools) -> str:
    """Return which images a model got right as base64 text: 1.7 kB for 10,000 images."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpack(text: str, n: int) -> Bools:
    """Read what `pack` wrote for n images."""
    bits = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return np.unpackbits(bits, count=n).astype(np.bool_)
