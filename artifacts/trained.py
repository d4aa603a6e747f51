"""Trained candidates by content address, and which of them goes before the gate.

The address covers everything that decides what comes out: data, recipe, parameters, seed, code, libraries, device. The
same address therefore means the same model, and a run that finds it on disk, whole, need not train again.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from artifacts.metrics import Metrics
from artifacts.recipes.base import Candidate
from data.store import Store, digest_of


@dataclass(frozen=True)
class TrainedRef:
    """One trained and evaluated candidate on disk.

    Args:
        candidate: recipe, parameters and seed.
        digest: its content address, see `Store.trained`.
        reused: it was there already, trained by an earlier run from the same inputs.
    """

    candidate: Candidate
    digest: str
    reused: bool = False


@dataclass(frozen=True)
class FailedCandidate:
    """A candidate that could not be trained, and why."""

    candidate: Candidate
    reason: str


@dataclass(frozen=True)
class Trained:
    """What is known about a trained candidate, read from its folder.

    Args:
        ref: where it lies.
        training: the content of training.json: resolved parameters, seconds, images/s, device, weights digest...
        history: one entry per epoch.
        validation: metrics on the validation images.
        test: metrics on the test images.
    """

    ref: TrainedRef
    training: dict[str, Any]
    history: tuple[dict[str, Any], ...]
    validation: Metrics
    test: Metrics


def address(candidate: Candidate, inputs: dict[str, Any]) -> str:
    """Return the content address of what training this candidate from these inputs gives."""
    return digest_of({"recipe": candidate.recipe, "parameters": candidate.resolved(), "seed": candidate.seed, **inputs})


def choose(trained: Sequence[Trained]) -> Trained:
    """Return the candidate that goes before the gate; the test images have no say.

    Recipes are ranked by mean validation accuracy over their seeds; the winning recipe sends its median seed, not its
    luckiest. Ties go to the recipe listed first.

    Args:
        trained: at least one candidate.
    """
    recipes: dict[str, list[Trained]] = defaultdict(list)
    for one in trained:
        recipes[str(one.ref.candidate)].append(one)
    best = max(recipes.values(), key=lambda seeds: mean(one.validation.accuracy for one in seeds))
    ranked = sorted(best, key=lambda one: (one.validation.accuracy, -one.ref.candidate.seed))
    return ranked[(len(ranked) - 1) // 2]


def read(store: Store, ref: TrainedRef) -> Trained:
    """Read a candidate's folder, hashing every file.

    Raises:
        Corrupt: a file is missing or has changed.
    """
    folder = store.trained(ref.digest)
    store.verify(folder)
    metrics = json.loads((folder / "metrics.json").read_bytes())
    return Trained(
        ref,
        json.loads((folder / "training.json").read_bytes()),
        tuple(json.loads((folder / "history.json").read_bytes())),
        Metrics.from_json(metrics["validation"]),
        Metrics.from_json(metrics["test"]),
    )
