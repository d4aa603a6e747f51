"""The gate's decision: a verdict with everything that explains it, as plain values that survive JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from artifacts.evaluation.numbers import percent, points, with_interval
from artifacts.gate.evidence import Look
from artifacts.gate.paired_tests import Pooled
from artifacts.gate.policy import Policy
from data import values

Verdict = Literal["PROMOTE", "HOLD", "REJECT"]
Mode = Literal["normal", "dry-run", "force"]


def p_text(value: float) -> str:
    """Return a p-value as text: four decimals, or an exponent where they would be zero."""
    return f"{value:.4f}" if value >= 0.0005 else f"{value:.1e}"


@dataclass(frozen=True)
class Share:
    """An accuracy: `correct` of `n` images, with its 95 % Wilson interval."""

    name: str
    correct: int
    n: int
    low: float
    high: float

    @property
    def accuracy(self) -> float:
        """In [0, 1]; 0 for no images."""
        return self.correct / self.n if self.n else 0.0

    def interval(self) -> str:
        """Return the accuracy with its interval, such as "99.61 % (99.47 to 99.71 %)"."""
        return with_interval(self.accuracy, self.low, self.high)

    def __str__(self) -> str:
        return percent(self.accuracy)


@dataclass(frozen=True)
class Check:
    """One requirement: the limit, and the value measured. `got` is None where nothing was measured."""

    name: str
    sign: Literal[">=", "<="]
    limit: float
    got: float | None
    passed: bool

    def __str__(self) -> str:
        got = "not measured" if self.got is None else f"{self.got:.4g}"
        return f"{self.name} is {got}, required is {self.sign} {self.limit:g}"


@dataclass(frozen=True)
class Recent:
    """The comparison on recent images alone, where the test set grows.

    Args:
        nights: in how many nights these images arrived.
        images: how many they are.
        gained: those that only tonight's candidate gets right.
        lost: those that only the champion gets right.
        pooled: the evidence of all models of the recipe that have answered some of them.
        level: what `pooled.p_value` must not exceed.
    """

    nights: int
    images: int
    gained: int
    lost: int
    pooled: Pooled
    level: float


@dataclass(frozen=True)
class Paired:
    """The comparison with the champion on the same images.

    Args:
        gained: images that only the candidate gets right.
        lost: images that only the champion gets right: the negative flips.
        lost_per_class: the lost images by true class.
        p_tonight: McNemar's exact two-sided p-value of tonight's model alone.
        pooled: the evidence of all models of the recipe so far, tonight's included.
        level: what `pooled.p_value` must not exceed.
        p_not_worse: one-sided p-value of "worse by the policy's margin or more".
        pooled_images: how many images `pooled` is about where the test set grows: those that the champion was first
            compared on. 0: all.
        recent: the window of recent images on which the recipe is furthest ahead; None where none was looked at.
    """

    gained: int
    lost: int
    lost_per_class: tuple[int, ...]
    p_tonight: float
    pooled: Pooled
    level: float
    p_not_worse: float
    pooled_images: int = 0
    recent: Recent | None = None


@dataclass(frozen=True)
class Budget:
    """The error budget: how many false promotions a year of looks at this test set may cause, on average.

    Args:
        looks: how often this test set has been looked at in the last 365 days, tonight included.
        allowed: the policy's yearly budget; where the test set grows, its part for the champion's own images.
        used: spent in the 365 days before tonight.
        tonight: spent tonight.
    """

    looks: int
    allowed: float
    used: float
    tonight: float

    @property
    def left(self) -> float:
        """What later looks may still spend, at least 0."""
        return max(0.0, self.allowed - self.used - self.tonight)


@dataclass(frozen=True)
class Decision:
    """A verdict and everything that explains it.

    Args:
        verdict: PROMOTE, HOLD or REJECT.
        rule: the rule that decided, one of those in artifacts/gate/rules.py.
        reason: one sentence.
        would_change: what would have changed the verdict.
        candidate: tonight's model.
        policy: the policy that was applied.
        mode: "dry-run" if nothing may change, "force" if a person overrode the comparison.
        force_reason: that person's reason; "" without force.
        notes: further sentences: a changed test set, what a force overrode.
        champion: the model it was compared with; None without a comparison.
        checks: the requirements.
        paired: the comparison; None if none was made.
        budget: the error budget after tonight; None without a comparison.
        look: to be kept in the ledger with the decision (not on a dry run); None without a comparison.
    """

    verdict: Verdict
    rule: str
    reason: str
    would_change: str
    candidate: Share
    policy: Policy
    mode: Mode = "normal"
    force_reason: str = ""
    notes: tuple[str, ...] = ()
    champion: Share | None = None
    checks: tuple[Check, ...] = ()
    paired: Paired | None = None
    budget: Budget | None = None
    look: Look | None = None

    def __str__(self) -> str:
        head = f"{self.verdict}{' (dry run)' if self.mode == 'dry-run' else ''}: {self.reason}"
        return "\n".join((head, *self.notes, f"What would change it: {self.would_change}"))

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Return the numbers behind the reason as (name, text) pairs, for tables."""
        rows = [("rule", self.rule), ("candidate", f"{self.candidate.name}, {self.candidate.interval()}")]
        if self.champion and self.paired:
            rows += self._compared(self.champion, self.paired)
            rows += self._spent(self.paired, self.budget) if self.budget else []
            if self.policy.promote_when != "better" or not self.budget:
                test = f"p = {p_text(self.paired.p_not_worse)}, level {p_text(self.policy.not_worse_level)}"
                rows.append((f"worse by {points(self.policy.margin)} or more", test))
            if self.policy.promote_when != "better":
                rows.append(("policy", f"promote what is {self.policy.promote_when}"))
        return (*rows, ("requirements met", f"{sum(check.passed for check in self.checks)} of {len(self.checks)}"))

    @staticmethod
    def _compared(champion: Share, paired: Paired) -> list[tuple[str, str]]:
        """Return the rows about tonight's candidate against the champion."""
        gain = (paired.gained - paired.lost) / champion.n
        return [
            ("champion", f"{champion.name}, {champion.interval()}"),
            ("gain", f"{points(gain)}: {paired.gained:,} images gained, {paired.lost:,} lost"),
            ("exact McNemar test", f"p = {p_text(paired.p_tonight)} for tonight's model alone"),
        ]

    @staticmethod
    def _spent(paired: Paired, budget: Budget) -> list[tuple[str, str]]:
        """Return the rows about all models of the recipe, and the error budget."""
        pooled, recent = paired.pooled, paired.recent
        smallest = "none" if pooled.detectable is None else points(pooled.detectable)
        rows = [
            ("models of this recipe", f"{pooled.models}, mean gain {points(pooled.gain)}"),
            ("their exact test", f"p = {p_text(pooled.p_value)}, level {p_text(paired.level)}"),
            ("smallest gain it could detect", smallest),
            (
                "champion's sampling noise",
                f"{points(pooled.resolution)} (standard deviation; more models do not reduce it)",
            ),
            ("false promotions a year", f"{budget.allowed:.4g} allowed, {budget.left:.4f} left"),
            ("looks at this test set", f"{budget.looks:,} within a year"),
        ]
        if recent:
            test = f"p = {p_text(recent.pooled.p_value)}, level {p_text(recent.level)}"
            rows.append((f"last {recent.images:,} images", f"mean gain {points(recent.pooled.gain)}, {test}"))
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return plain values, NaN nowhere among them."""
        return {**dataclasses.asdict(self), "policy": self.policy.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Decision":
        """Read what `to_json` returned, also after it went through JSON text.

        Raises:
            ValueError: a field is missing, unknown or of another type.
        """
        return values.from_json(cls, value)
