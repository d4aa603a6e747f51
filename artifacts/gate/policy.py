"""What a model must fulfil to become champion: one frozen value, with its bounds and defaults per dataset."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from data.errors import UnknownName
from data.fields import described

LARGEST_MARGIN = 0.2  # beyond this, "not worse by the margin" says nothing
MEASURABLE = 5  # test images of a class; with fewer, a single unlucky image decides about its recall


def _within(low: float, high: float, description: str) -> Any:
    return Field(ge=low, le=high, allow_inf_nan=False, description=description)


@dataclass(frozen=True)
class Policy:
    """What a model must fulfil. Each annotation has the bounds and the meaning: see `data.fields.described`.

    Raises:
        BadInput: a value is of another type, out of its bounds, or not finite.
    """

    min_accuracy: Annotated[float, _within(0, 1, "lowest test accuracy")] = 0.5
    min_recall: Annotated[float, _within(0, 1, "lowest recall of any class")] = 0.1
    promote_when: Annotated[
        Literal["better", "ahead", "not-worse"],
        Field(
            description="what replaces the champion: a model that is better beyond chance; one that is ahead, and not "
            "worse by the margin; or any that is not worse by the margin"
        ),
    ] = "better"
    margin: Annotated[
        float,
        _within(
            0.0001, LARGEST_MARGIN, "ahead and not-worse: the loss in accuracy, as a share, that must be ruled out"
        ),
    ] = 0.01
    max_lost: Annotated[
        float, _within(0, 1, "largest share of all images that the champion gets right and the candidate does not")
    ] = 0.05
    max_lost_per_class: Annotated[float, _within(0, 1, "the same as max_lost, for the images of each class")] = 0.15
    max_megabytes: Annotated[float, _within(0.001, 100_000, "largest model file, in MB")] = 100.0
    max_latency_ms: Annotated[float, _within(0.001, 60_000, "longest time for a single image, in ms")] = 200.0
    min_shifted: Annotated[float, _within(0, 1, "lowest accuracy on shifted test images; 0: not required")] = 0.0
    min_noisy: Annotated[float, _within(0, 1, "lowest accuracy on noisy test images; 0: not required")] = 0.0
    min_rotated: Annotated[float, _within(0, 1, "lowest accuracy on rotated test images; 0: not required")] = 0.0
    yearly_errors: Annotated[float, _within(0.0001, 0.5, "allowed false promotions per year, on average")] = 0.1
    bad_nights: Annotated[
        int,
        _within(
            1, 366, "ahead and not-worse: nights per year on which a candidate is worse than allowed by the margin"
        ),
    ] = 10
    worse_level: Annotated[
        float, _within(0.000001, 0.5, "two-sided p-value below which a loss in accuracy is a REJECT")
    ] = 0.02
    promotion: Annotated[
        Literal["automatic", "ask"],
        Field(
            description="automatic: what passes the gate becomes champion at once; ask: it waits until a person "
            "approves or declines it"
        ),
    ] = "automatic"
    approval_days: Annotated[int, _within(1, 366, "ask: days until a model that waits for a person expires")] = 14

    def __post_init__(self) -> None:
        for name, field in described(type(self)).items():
            try:
                field.check(getattr(self, name))
            except ValueError as error:
                raise field.refusal(f"policy: {name}", getattr(self, name)) from error

    @property
    def not_worse_level(self) -> float:
        """The p-value at which one night may rule out a loss of the margin: each of the bad nights has its share."""
        return self.yearly_errors / self.bad_nights

    def perturbations(self) -> dict[str, float]:
        """Return the accuracy that is required on perturbed test images, by perturbation; only those above 0."""
        floors = {"shifted": self.min_shifted, "noisy": self.min_noisy, "rotated": self.min_rotated}
        return {name: floor for name, floor in floors.items() if floor > 0}

    def changed(self, values: Mapping[str, Any]) -> "Policy":
        """Return this policy with some fields set by hand.

        Args:
            values: by field; None leaves the field as it is.

        Raises:
            UnknownName: there is no such field.
            BadInput: a value is out of its bounds.
        """
        known = described(type(self))
        for name in values:
            if name not in known:
                raise UnknownName.among("field of a policy", name, known)
        return replace(self, **{name: value for name, value in values.items() if value is not None})

    def same_requirements(self, other: "Policy") -> bool:
        """Whether both require the same of a model, whoever promotes it then."""
        return replace(self, **USUAL_APPROVAL) == replace(other, **USUAL_APPROVAL)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values, without those about approval where they are as usual.

        Code from before there was approval can read these, and so the decisions of a home that never asks.
        """
        values = dataclasses.asdict(self)
        usual = all(values[name] == value for name, value in USUAL_APPROVAL.items())
        return {name: value for name, value in values.items() if not (usual and name in USUAL_APPROVAL)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Policy":
        """Read what `to_json` wrote."""
        return cls(**value)


USUAL_APPROVAL: dict[str, Any] = {name: described(Policy)[name].default for name in ("promotion", "approval_days")}

# The floors on perturbed images stop a model that has fallen apart, not an honest recipe. The worst of three seeds of
# `mlp` reached 0.983 shifted, 0.910 noisy, 0.970 rotated on MNIST (trained without shifts: 0.54 shifted) and
# 0.472, 0.856, 0.550 on Fashion-MNIST; `cnn` was better throughout. docs/log.md, 2026-11-20.
POLICIES = {
    "mnist": Policy(
        min_accuracy=0.985,
        min_recall=0.96,
        max_lost=0.01,
        max_lost_per_class=0.03,
        margin=0.003,
        min_shifted=0.40,
        min_noisy=0.80,
        min_rotated=0.85,
    ),
    "fashion-mnist": Policy(min_accuracy=0.90, min_recall=0.60, min_shifted=0.35, min_noisy=0.75, min_rotated=0.40),
    "kmnist": Policy(min_accuracy=0.90, min_recall=0.75),
    "mnist-sample": Policy(min_accuracy=0.80, min_recall=0.40, max_lost=0.10, max_lost_per_class=0.30),
}


# the fields whose default `policy_for` computes from the numbers of test images per class
COMPUTED = {
    "min_accuracy": "twice the accuracy of guessing",
    "min_recall": "that of guessing, at most 0.1",
    "promote_when": "better, and ahead for a dataset of your own whose test set cannot show a gain of 1 point",
    "margin": "0.01, or the smallest gain that a small test set can show",
}


def meaning(name: str) -> str:
    """Return what a field of a policy means, and its default for each dataset: for run form and command line."""
    field = described(Policy)[name]
    values = {dataset: _short(getattr(policy, name)) for dataset, policy in POLICIES.items()}
    usual = COMPUTED.get(name) or _short(field.default)
    own = "".join(f"{dataset} {value}, " for dataset, value in values.items() if value != _short(field.default))
    return f"{field.help}; default: {own}{'others ' if own else ''}{usual}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def policy_for(dataset: str, test_counts: Sequence[int] = ()) -> Policy:
    """Return a dataset's default policy.

    For a dataset of the user's own, the accuracy floor is twice what always answering the most frequent class would
    reach, but never more than halfway from there to perfect. The recall floor is the accuracy of guessing, at most 0.1,
    and there is none if a class has too few test images to measure it. Where the test set is too small to show that a
    model is better by a point, a model that is ahead is promoted if a loss of as much as could be shown is ruled out.

    Args:
        dataset: a catalogue name, or one the user chose.
        test_counts: test images per class, used for datasets without a row in POLICIES.
    """
    from artifacts.gate.paired_tests import fewest_gained  # inside: NumPy stays out of `nightshift --help`

    if dataset in POLICIES or not sum(test_counts):
        return POLICIES.get(dataset, Policy())
    n, usual = sum(test_counts), Policy()
    majority = max(test_counts) / n
    smallest = min(count for count in test_counts if count)
    policy = replace(
        usual,
        min_accuracy=min(2 * majority, (1 + majority) / 2),
        min_recall=min(usual.min_recall, majority) if smallest >= MEASURABLE else 0.0,
    )
    shown = math.ceil(1000 * fewest_gained(usual.yearly_errors) / n) / 1000  # in tenths of points, rounded up
    if usual.margin < shown <= LARGEST_MARGIN:
        return replace(policy, promote_when="ahead", margin=shown)
    return policy
