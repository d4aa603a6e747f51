import dataclasses
import json
from typing import Any

import pytest

from artifacts.policy import POLICIES, Policy, policy_for
from data.errors import BadInput


def test_the_named_datasets_have_the_accuracy_floors_of_the_field() -> None:
    """MNIST 98.5 %, Fashion-MNIST and KMNIST 90 %, the bundled sample 80 %."""
    floors = {name: policy_for(name).min_accuracy for name in ("mnist", "fashion-mnist", "kmnist", "mnist-sample")}
    assert floors == {"mnist": 0.985, "fashion-mnist": 0.90, "kmnist": 0.90, "mnist-sample": 0.80}
    assert set(floors) == set(POLICIES)
    assert policy_for("mnist", (9, 1)) == policy_for("mnist")


@pytest.mark.parametrize(
    ("counts", "floor"),
    [
        ((), 0.5),
        ((0, 0), 0.5),
        ((100,) * 10, 0.2),
        ((1,) * 1000, 0.002),
        ((50, 50), 0.75),
        ((90, 10), 0.95),
        ((1, 2, 1), 0.75),
    ],
)
def test_a_dataset_of_ones_own_must_beat_the_majority(counts: tuple[int, ...], floor: float) -> None:
    """Twice the share of the most frequent class, at most halfway from there to perfect; else one half."""
    assert policy_for("letters", counts).min_accuracy == pytest.approx(floor)


def test_policies_survive_json() -> None:
    """Every policy is plain values and comes back equal."""
    for policy in (*POLICIES.values(), Policy(promote_when="not-worse")):
        assert Policy.from_json(json.loads(json.dumps(policy.to_json(), allow_nan=False))) == policy


@pytest.mark.parametrize(
    "field", [f for f in dataclasses.fields(Policy) if f.name != "promote_when"], ids=lambda f: f.name
)
def test_numbers_stay_within_their_bounds(field: "dataclasses.Field[Any]") -> None:
    """Each number has bounds that its default keeps, is accepted at them, and refused beyond them or as NaN."""
    low, high = field.metadata["ge"], field.metadata["le"]
    for value in (low, field.default, high):
        assert getattr(Policy(**{field.name: value}), field.name) == value
    for value in (low - 0.0001, high + 0.0001, float("nan")):
        with pytest.raises(BadInput, match=f"{field.name} must be from"):
            Policy(**{field.name: value})


def test_every_field_explains_itself() -> None:
    """The run form finds a sentence for every field, and the choices of the only word."""
    assert all(len(field.metadata["doc"]) > 10 for field in dataclasses.fields(Policy))
    with pytest.raises(BadInput, match="promote_when cannot be 'always'"):
        Policy(promote_when="always")  # type: ignore[arg-type]


def test_only_asked_for_perturbations_are_demanded() -> None:
    """A floor of zero asks for no measurement."""
    assert Policy().perturbations() == {}
    asked = Policy(min_shifted=0.1, min_noisy=0.2, min_rotated=0.3)
    assert asked.perturbations() == {"shifted": 0.1, "noisy": 0.2, "rotated": 0.3}
