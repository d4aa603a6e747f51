"""Two registered versions side by side: their origins, their metrics, and the images on which they disagree."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.evaluation import test_set
from artifacts.models import bundle, predictions
from artifacts.models.predictions import Predictions
from artifacts.registry.versions import Version
from artifacts.reporting import sheets
from data.errors import BadInput
from data.home.store import Store
from data.prepared.parquet import PreparedRef

SHOWN = {  # what decides the weights: the name shown, and the field of Provenance
    "data": "prepared_digest",
    "test set": "test_digest",
    "recipe": "recipe",
    "seed": "seed",
    "code": "code_digest",
    "commit": "git_commit",
    "lock": "lock_digest",
    "python": "python",
    "platform": "platform",
    "device": "device",
    "weights": "weights_digest",
}


@dataclass(frozen=True, eq=False)
class Difference:
    """Two versions and what is recorded about both.

    Args:
        store: the home of both.
        versions: the two versions, first and second.
        facts: per name, the values of the first and the second version.
        answers: both versions' recorded predictions for the same test images; None if their test images differ.
    """

    store: Store
    versions: tuple[Version, Version]
    facts: Mapping[str, tuple[Any, Any]]
    answers: tuple[Predictions, Predictions] | None

    @property
    def first(self) -> str:
        """The name of the first version."""
        return self.versions[0].id

    @property
    def second(self) -> str:
        """The name of the second version."""
        return self.versions[1].id

    @property
    def counts(self) -> dict[str, int] | None:
        """How many test images they classify differently, and which one is right there; None without `answers`."""
        if self.answers is None:
            return None
        one, other = self.answers
        right_one, right_other = one.predicted == one.labels, other.predicted == other.labels
        return {
            "images": len(one.labels),
            "different": int(np.sum(one.predicted != other.predicted)),
            "only_first_right": int(np.sum(right_one & ~right_other)),
            "only_second_right": int(np.sum(right_other & ~right_one)),
        }

    @property
    def sentence(self) -> str:
        """The comparison of their predictions in one sentence."""
        counts = self.counts
        if counts is None:
            return "they were tested on different images, so their predictions cannot be compared one by one"
        return (
            f"they predict different classes for {counts['different']:,} of {counts['images']:,} test images: "
            f"{counts['only_first_right']:,} only {self.first} gets right, "
            f"{counts['only_second_right']:,} only {self.second}"
        )

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return one row per fact: name, both values as text, and "differs" or ""."""
        return [
            (name, _short(one), _short(other), "" if one == other else "differs")
            for name, (one, other) in self.facts.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Return names, facts and counts as plain values."""
        facts = {name: {self.first: one, self.second: other} for name, (one, other) in self.facts.items()}
        return {"first": self.first, "second": self.second, "facts": facts, "answers": self.counts}

    def save(self, path: Path) -> None:
        """Draw the test images for which they predict different classes into a PNG file.

        Raises:
            BadInput: they were tested on different images.
            Corrupt: the test images are no longer on disk.
        """
        if self.answers is None:
            raise BadInput(f"{self.first} and {self.second} were tested on different images", "leave out the picture")
        one, other = self.answers
        version = self.versions[0]
        prepared = PreparedRef(version.dataset, version.provenance().prepared_digest)
        tests = test_set.read_test_set(self.store, prepared)
        names = bundle.class_names(version.folder)
        shown = (tests.images, one.labels, one.probabilities, other.probabilities, names)
        sheets.difference_grid(*shown, path=path, names=(self.first, self.second))


def compare(store: Store, first: Version, second: Version) -> Difference:
    """Collect what is recorded about two versions.

    Raises:
        Corrupt: a document of one of them cannot be read.
    """
    origins = first.provenance().to_json(), second.provenance().to_json()
    metrics = first.document("metrics.json")["test"], second.document("metrics.json")["test"]
    facts = {name: (origins[0][key], origins[1][key]) for name, key in SHOWN.items()}
    for key in sorted({*origins[0]["parameters"], *origins[1]["parameters"]}):
        facts[f"parameter {key}"] = (origins[0]["parameters"].get(key), origins[1]["parameters"].get(key))
    for key in sorted({*origins[0]["libraries"], *origins[1]["libraries"]}):
        facts[f"library {key}"] = (origins[0]["libraries"].get(key), origins[1]["libraries"].get(key))
    for key in ("accuracy", "log_loss", "ece"):
        facts[f"test {key}"] = (metrics[0][key], metrics[1][key])
    answers = None
    if origins[0]["test_digest"] == origins[1]["test_digest"]:
        answers = _answers(first), _answers(second)
    return Difference(store, (first, second), facts, answers)


def _answers(version: Version) -> Predictions:
    return predictions.read(version.folder / "predictions-test.parquet")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    text = "–" if value is None else str(value)
    return text[:12] if len(text) >= 40 else text  # digests: twelve digits tell any two apart
