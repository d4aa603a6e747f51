"""Classes that were added since the champion was trained: what candidate and champion can be compared on.

The champion cannot know a new class: it gets all of its images wrong, which shows nothing. So the two are compared on
the test images of the classes that both know, where an answer "new class" of the candidate is simply wrong, and the new
classes have a requirement of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from artifacts.gate.evidence import Champion, Evidence, Labels
from artifacts.gate.paired_tests import Bools
from artifacts.gate.policy import MEASURABLE

KNOWN = 0.5  # lowest recall of a new class: below, more of its images are mistaken for another class than recognised


@dataclass(frozen=True)
class NewClass:
    """A class that the champion does not know: how many test images it has, and how many the candidate gets right."""

    name: str
    images: int
    correct: int

    @property
    def known(self) -> bool:
        """Whether the candidate knows it: it gets half of its images right, and there are enough to say so."""
        return self.images >= MEASURABLE and self.correct >= KNOWN * self.images


def added(champion: Champion, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the classes that were added, () if none were, or if any were removed or renamed."""
    known, now = set(champion.class_names), set(names)
    whole = len(known) == len(champion.class_names) and len(now) == len(names)
    return tuple(name for name in names if name not in known) if known and whole and known < now else ()


def new_classes(names: Iterable[str], evidence: Evidence, right: Bools) -> tuple[NewClass, ...]:
    """Return what the candidate knows of these classes.

    Args:
        names: of classes that were added.
        evidence: tonight's labels and classes.
        right: bool of shape (n,): which images the candidate gets right.
    """
    masks = {name: evidence.labels == evidence.class_names.index(name) for name in names}
    return tuple(NewClass(name, int(mask.sum()), int(right[mask].sum())) for name, mask in masks.items())


def on_known_classes(evidence: Evidence, champion: Champion) -> tuple[Evidence, Champion]:
    """Return the evidence on the test images of the champion's classes, and its answers in tonight's numbers.

    Args:
        evidence: with the candidate's predictions for every image.
        champion: with predictions for every image, in the numbers of its own classes.
    """
    assert champion.predicted is not None
    numbers: Labels = np.array([evidence.class_names.index(name) for name in champion.class_names], np.int64)
    shown = np.isin(evidence.labels, numbers)
    candidate = replace(evidence.candidate, predicted=evidence.candidate.predicted[shown])
    champion = replace(champion, predicted=numbers[champion.predicted[shown]], class_names=evidence.class_names)
    siblings = tuple(predicted[shown] for predicted in evidence.siblings)
    return replace(evidence, labels=evidence.labels[shown], candidate=candidate, siblings=siblings), champion
