"""Trained candidates by content address, and the choice of the one that the gate judges.

The address covers everything that decides the weights: data, recipe, parameters, seed, code, libraries, device. Equal
addresses therefore mean equal models, and a run that finds a complete one on disk does not train it again.
"""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from artifacts.evaluation.metrics import Metrics
from artifacts.evaluation.numbers import percent
from artifacts.recipes.candidate import Candidate
from data.home.store import Store
from data.values import digest_of, from_json


@dataclass(frozen=True)
class TrainedRef:
    """One trained and evaluated candidate on disk.

    Args:
        candidate: recipe, parameters and seed.
        digest: its content address, see `Store.trained`.
        reused: whether an earlier run trained it from the same inputs.
    """

    candidate: Candidate
    digest: str
    reused: bool = False


@dataclass(frozen=True)
class FailedCandidate:
    """A candidate that could not be trained.

    Args:
        candidate: recipe, parameters and seed.
        reason: the error message.
    """

    candidate: Candidate
    reason: str


@dataclass(frozen=True)
class Trained:
    """A trained candidate, read from its folder.

    Args:
        ref: the candidate and its content address.
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
    """Return the content address of the model that this candidate and these inputs give."""
    return digest_of({"recipe": candidate.recipe, "parameters": candidate.resolved(), "seed": candidate.seed, **inputs})


@dataclass(frozen=True)
class Standing:
    """A recipe's validation accuracy over its seeds.

    Args:
        recipe: the recipe with its parameters, as on the command line.
        n: number of seeds that finished.
        mean: mean validation accuracy over the seeds, in [0, 1].
        standard_error: standard error of the mean; None with a single seed.
    """

    recipe: str
    n: int
    mean: float
    standard_error: float | None

    def __str__(self) -> str:
        if self.standard_error is None:
            return percent(self.mean)
        return f"{percent(self.mean)} ± {percent(self.standard_error)} (mean of {self.n} seeds and its standard error)"


def standings(trained: Sequence[Trained]) -> list[Standing]:
    """Return the recipes, the highest mean validation accuracy first; of equals the one with the smallest log loss.

    A hundred validation images tie often. Ties in both stay in the order in which they are listed.
    """
    found, by_recipe = [], _by_recipe(trained)
    for recipe, seeds in by_recipe.items():
        scores = [one.validation.accuracy for one in seeds]
        error = stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else None
        found.append(Standing(recipe, len(scores), mean(scores), error))
    return sorted(found, key=lambda one: (-one.mean, _log_loss(by_recipe[one.recipe])))


def choose(trained: Sequence[Trained]) -> Trained:
    """Return the candidate that the gate judges, chosen by the validation images alone.

    Recipes are ranked by mean validation accuracy over their seeds; the winning recipe is represented by its median
    seed, because the best one is partly chance. Ties: see `standings`.

    Args:
        trained: at least one candidate.
    """
    best = _by_recipe(trained)[standings(trained)[0].recipe]
    ranked = sorted(best, key=lambda one: (one.validation.accuracy, -one.ref.candidate.seed))
    return ranked[(len(ranked) - 1) // 2]


def _log_loss(seeds: Sequence[Trained]) -> float:
    """Return the mean validation log loss over the seeds, to a precision at which equal models are equal."""
    return round(mean(one.validation.log_loss for one in seeds), 9)


def _by_recipe(trained: Sequence[Trained]) -> dict[str, list[Trained]]:
    recipes: dict[str, list[Trained]] = defaultdict(list)
    for one in trained:
        recipes[str(one.ref.candidate)].append(one)
    return recipes


def read(store: Store, ref: TrainedRef) -> Trained:
    """Read a candidate's folder and check the hash of every file.

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
        from_json(Metrics, metrics["validation"]),
        from_json(Metrics, metrics["test"]),
    )
