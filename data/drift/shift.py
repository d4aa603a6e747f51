"""What a comparison of two snapshots found: an effect size, the limits it is held against, and a sentence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

LISTED = 8  # classes or moves named in a sentence
ACCEPT = "if the change is meant, accept tonight's data"  # the last words of every remedy of an accident


@dataclass(frozen=True)
class Shift:
    """One rule's measurement of tonight's data against the last accepted snapshot.

    Args:
        rule: a short name, unique among the measurements of a night.
        kind: a "shift" is something that the world may do, and ends a night only if the dataset's row says so; an
            "accident" is something that nobody means, and ends it above `stops_above`.
        effect: how much of it there is; 0 if too few images show it.
        measure: what the effect is, such as "Cohen's d".
        warns_above: above, a person is told.
        stops_above: above, the night ends (a shift: by policy); None if it never does.
        sentence: what was found, with counts.
        remedy: what to do about it.
    """

    rule: str
    kind: Literal["shift", "accident"]
    effect: float
    measure: str
    warns_above: float
    stops_above: float | None
    sentence: str
    remedy: str

    @property
    def notable(self) -> bool:
        """Whether a person is told."""
        return self.effect > self.warns_above or self.ends_night("stop")

    def ends_night(self, policy: Literal["warn", "stop"] = "warn") -> bool:
        """Return whether the night ends: a shift ends it under the policy "stop" only."""
        heeded = self.kind == "accident" or policy == "stop"
        return heeded and self.stops_above is not None and self.effect > self.stops_above


def share_text(some: int, n: int) -> str:
    """Return a count as text: 5 of 1,000 (0.50%)."""
    return f"{some:,} of {n:,} ({some / max(n, 1):.2%})"


def listing(texts: Sequence[str]) -> str:
    """Return the first texts, separated by commas."""
    return ", ".join(texts[:LISTED]) + (", ..." if len(texts) > LISTED else "")


def name_of(names: Sequence[str], label: Any) -> str:
    """Return the name of a label, or its number if it has none."""
    return names[int(label)] if 0 <= int(label) < len(names) else str(int(label))


def shares(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return each class's share of these labels, float64 of shape (n_classes,); zeros if there are none."""
    counts = np.bincount(labels, minlength=n_classes)
    found: np.ndarray = counts / max(len(labels), 1)
    return found


def by_chance(expected: np.ndarray, n: Any) -> Any:
    """Return the total variation that n labels drawn with these shares have on average; n may be an array."""
    deviations = np.sqrt(2 / math.pi * expected * (1 - expected)).sum() / 2
    return deviations / np.sqrt(np.maximum(n, 1))
