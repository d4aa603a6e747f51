import dataclasses
import json
from typing import Any

import pytest

from artifacts.gate.policy import POLICIES, Policy, meaning, policy_for
from data.errors import BadInput, UnknownName


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


def test_what_is_required_changes_only_on_purpose() -> None:
    """Every default and every bound, pinned: nobody lowers a floor by accident."""
    found = {
        field.name: (field.default, field.metadata["ge"], field.metadata["le"])
        for field in dataclasses.fields(Policy)
        if "ge" in field.metadata
    }
    assert found == {
        "min_accuracy": (0.5, 0, 1),
        "min_recall": (0.1, 0, 1),
        "margin": (0.01, 0.0001, 0.2),
        "max_lost": (0.05, 0, 1),
        "max_lost_per_class": (0.15, 0, 1),
        "max_megabytes": (100.0, 0.001, 100_000),
        "max_latency_ms": (200.0, 0.001, 60_000),
        "min_shifted": (0.0, 0, 1),
        "min_noisy": (0.0, 0, 1),
        "min_rotated": (0.0, 0, 1),
        "yearly_errors": (0.1, 0.0001, 0.5),
        "bad_nights": (10, 1, 366),
        "worse_level": (0.02, 0.000001, 0.5),
    }
    assert Policy().promote_when == "better"
    usual = Policy().to_json()
    own = {name: {k: v for k, v in row.to_json().items() if v != usual[k]} for name, row in POLICIES.items()}
    assert own == {
        "mnist": {
            "min_accuracy": 0.985,
            "min_recall": 0.96,
            "max_lost": 0.01,
            "max_lost_per_class": 0.03,
            "margin": 0.003,
            "min_shifted": 0.40,
            "min_noisy": 0.80,
            "min_rotated": 0.85,
        },
        "fashion-mnist": {
            "min_accuracy": 0.90,
            "min_recall": 0.60,
            "min_shifted": 0.35,
            "min_noisy": 0.75,
            "min_rotated": 0.40,
        },
        "kmnist": {"min_accuracy": 0.90, "min_recall": 0.75},
        "mnist-sample": {"min_accuracy": 0.80, "min_recall": 0.40, "max_lost": 0.10, "max_lost_per_class": 0.30},
    }


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
    for value in (low - 0.0001, high + 0.0001, float("nan"), "many", True, None):
        with pytest.raises(BadInput, match=f"{field.name} must be (a whole number )?from"):
            Policy(**{field.name: value})


def test_every_field_explains_itself() -> None:
    """The run form finds a sentence for every field, and the choices of the only word."""
    assert all(len(field.metadata["doc"]) > 10 for field in dataclasses.fields(Policy))
    with pytest.raises(BadInput) as refused:
        Policy(promote_when="always")  # type: ignore[arg-type]
    assert str(refused.value) == "promote_when cannot be 'always'\n  -> use 'better' or 'not-worse'"
    with pytest.raises(BadInput) as refused:
        Policy(max_lost=7)
    assert str(refused.value) == (
        "the policy's max_lost must be from 0 to 1, but is 7\n"
        "  -> it means: negative flips: share of all images that may be lost"
    )


def test_only_asked_for_perturbations_are_required() -> None:
    """A floor of zero asks for no measurement."""
    assert Policy().perturbations() == {}
    asked = Policy(min_shifted=0.1, min_noisy=0.2, min_rotated=0.3)
    assert asked.perturbations() == {"shifted": 0.1, "noisy": 0.2, "rotated": 0.3}


def test_whole_numbers_are_asked_for_as_such() -> None:
    """A number of nights is a whole one; where fractions make sense, a whole number does as well."""
    with pytest.raises(BadInput) as refused:
        Policy(bad_nights=2.5)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "the policy's bad_nights must be a whole number from 1 to 366, but is 2.5\n"
        "  -> it means: not-worse: nights a year that may bring a model worse by the margin"
    )
    assert Policy(min_accuracy=1).min_accuracy == 1


def test_fields_are_changed_by_hand() -> None:
    """What is given replaces the dataset's own, what is None does not, and what cannot be is refused by name."""
    own = policy_for("mnist")
    changed = own.changed({"promote_when": "not-worse", "margin": 0.002, "min_recall": None})
    assert changed == dataclasses.replace(own, promote_when="not-worse", margin=0.002)
    assert own.changed({}) == own
    with pytest.raises(UnknownName, match="no field of a policy is called 'margn'") as unknown:
        own.changed({"margn": 0.1})
    assert unknown.value.hint.startswith("did you mean 'margin'? known: bad_nights, margin, ")
    with pytest.raises(BadInput, match=r"margin must be from 0\.0001 to 0\.2, but is 7"):
        own.changed({"margin": 7})


def test_meanings_tell_the_defaults() -> None:
    """Each field's meaning ends with what the datasets have: alike, by name, or computed from the data."""
    told = {field.name: meaning(field) for field in dataclasses.fields(Policy)}
    assert told["promote_when"] == ("replace the champion by what is better, or by what is not worse; default: better")
    assert told["max_megabytes"] == "largest model file; default: 100"
    assert told["max_lost"] == (
        "negative flips: share of all images that may be lost; default: mnist 0.01, mnist-sample 0.1, others 0.05"
    )
    assert told["min_accuracy"] == (
        "lowest test accuracy; default: mnist 0.985, fashion-mnist 0.9, kmnist 0.9, mnist-sample 0.8, "
        "others twice what guessing reaches"
    )
