"""What the gate is told and what it keeps: plain values and arrays, no files."""

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
    """What one model said about tonight's test images.

    Args:
        name: "cnn-seed0" or "mnist/3".
        predicted: int64 of shape (n,).
        finite: whether every probability is.
        megabytes: size of the model file; NaN where it was not measured.
        latency_ms: time for a single image; NaN where it was not measured.
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
    """The champion, scored tonight, or why it could not be.

    Args:
        version: "mnist/3".
        predicted: int64 of shape (n,) on tonight's test images; None unless `state` is "loaded".
        class_names: what its answers mean.
        test_digest: the test set on which it was promoted.
        state: "missing" if the pointer names a version that is not there, "corrupt" if it does not match its hashes.
        problem: the error that was met, for the message.
    """

    version: str
    predicted: Labels | None
    class_names: tuple[str, ...]
    test_digest: str
    state: Literal["loaded", "missing", "corrupt"] = "loaded"
    problem: str = ""


@dataclass(frozen=True)
class Look:
    """One night's use of a test set, as the ledger keeps it: plain strings and numbers.

    Args:
        when: the UTC date, "2026-11-20".
        test_digest: the test set.
        champion: whom it was compared with, "mnist/3".
        recipe: the fingerprint of everything but the seed: recipe, parameters, data, code.
        rights: which images each of the recipe's models that met the accuracy floor got right: bits, base64.
        allotted: the error that this recipe's comparison with this champion may ever spend.
        spent: the error spent by this look.
    """

    when: str
    test_digest: str
    champion: str
    recipe: str
    rights: tuple[str, ...]
    allotted: float
    spent: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a decision depends on besides the policy.

    Args:
        dataset: its name.
        labels: int64 of shape (n,), tonight's test labels.
        class_names: what they mean.
        n_expected: the catalogue's number of test images.
        test_digest: the content of tonight's test set.
        when: the UTC date, "2026-11-20".
        candidate: the model that won on validation.
        recipe: its fingerprint (see `Look`). Two nights with equal fingerprints differ in nothing but the seed.
        siblings: predictions, int64 of shape (n,), of tonight's other seeds with that fingerprint: all, unselected.
        champion: None if there has never been one.
        looks: all earlier ones, from the ledger, in order.
        barred: the version with the candidate's very weights that was rolled back from, or "".
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


def pack(right: Bools) -> str:
    """Return which images a model got right as base64 text: 1.7 kB for 10,000 images."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpack(text: str, n: int) -> Bools:
    """Read what `pack` wrote for n images."""
    bits = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return np.unpackbits(bits, count=n).astype(np.bool_)
