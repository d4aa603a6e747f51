import dataclasses
import json

import pytest

from artifacts.gate.policy import POLICIES, Policy, meaning, policy_for
from data.errors import BadInput, UnknownName
from data.fields import described


@pytest.mark.parametrize(
    ("counts", "promote_when", "margin"),
    [
        ((36,) * 10, "ahead", 0.025),  # scikit-learn's digits
        ((100,) * 10, "better", 0.01),
        ((90,) * 10, "better", 0.01),  # nine images are one point of 900
        ((89,) * 10, "ahead", 0.011),
        ((23, 22), "ahead", 0.2),
        ((22, 22), "better", 0.01),  # no margin that says anything could be ruled out
    ],
)
def test_the_default_depends_on_what_the_test_set_can_show(
    counts: tuple[int, ...], promote_when: str, margin: float
) -> None:
    """Below 900 images, being ahead is enough if a loss of the smallest gain that could be shown is ruled out."""
    policy = policy_for("letters", counts)
    assert (policy.promote_when, policy.margin) == (promote_when, margin)
    assert policy.yearly_errors == Policy().yearly_errors


@pytest.mark.parametrize(
    ("counts", "floor"),
    [
        ((36,) * 10, 0.1),
        ((100, 100), 0.1),
        ((0, 50, 50), 0.1),
        ((100,) * 26, 1 / 26),
        ((10,) * 100, 0.01),
        ((5, 500), 0.1),
        ((4, 500), 0.0),
    ],
)
def test_recall_is_required_where_it_can_be_measured(counts: tuple[int, ...], floor: float) -> None:
    """The accuracy of guessing, at most a tenth; nothing where a class has so few images that one decides."""
    assert policy_for("letters", counts).min_recall == pytest.approx(floor)


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


def test_requirements_change_only_on_purpose() -> None:
    """Every default and every bound, pinned: nobody lowers a floor by accident."""
    found = {
        name: (field.default, field.schema["minimum"], field.schema["maximum"])
        for name, field in described(Policy).items()
        if "minimum" in field.schema
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
        "approval_days": (14, 1, 366),
    }
    assert (Policy().promote_when, Policy().promotion) == ("better", "automatic")
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
    for policy in (*POLICIES.values(), Policy(promote_when="not-worse"), Policy(promotion="ask", approval_days=3)):
        assert Policy.from_json(json.loads(json.dumps(policy.to_json(), allow_nan=False))) == policy


def test_a_policy_that_never_asks_is_stored_as_before_there_was_approval() -> None:
    """Released code reads it, and the decisions of old homes are by the same requirements."""
    assert not {"promotion", "approval_days"} & Policy().to_json().keys()
    asking = Policy(promotion="ask")
    assert asking.to_json()["promotion"] == "ask"
    assert asking.same_requirements(Policy())
    assert not asking.same_requirements(Policy(margin=0.02))


@pytest.mark.parametrize("name", [name for name in described(Policy) if name not in ("promote_when", "promotion")])
def test_numbers_stay_within_their_bounds(name: str) -> None:
    """Each number has bounds that its default keeps, is accepted at them, and refused beyond them or as NaN."""
    field = described(Policy)[name]
    low, high = field.schema["minimum"], field.schema["maximum"]
    for value in (low, field.default, high):
        assert getattr(Policy(**{name: value}), name) == value
    for value in (low - 0.0001, high + 0.0001, float("nan"), "many", True, None):
        with pytest.raises(BadInput, match=f"policy: {name} expected a (whole )?number in .*, got "):
            Policy(**{name: value})


def test_every_field_explains_itself() -> None:
    """The run form finds a sentence for every field, and the choices of the only word."""
    assert all(len(field.help) > 10 for field in described(Policy).values())
    with pytest.raises(BadInput) as refused:
        Policy(promote_when="always")  # type: ignore[arg-type]
    assert str(refused.value) == (
        "policy: promote_when expected better | ahead | not-worse, got 'always'\n"
        "  -> what replaces the champion: a model that is better beyond chance; one that is ahead, and not worse by "
        "the margin; or any that is not worse by the margin; default: better"
    )
    with pytest.raises(BadInput) as refused:
        Policy(max_lost=7)
    assert str(refused.value) == (
        "policy: max_lost expected a number in 0..1, got 7\n"
        "  -> largest share of all images that the champion gets right and the candidate does not; default: 0.05"
    )


def test_only_required_perturbations_are_measured() -> None:
    """A minimum of zero is no requirement."""
    assert Policy().perturbations() == {}
    asked = Policy(min_shifted=0.1, min_noisy=0.2, min_rotated=0.3)
    assert asked.perturbations() == {"shifted": 0.1, "noisy": 0.2, "rotated": 0.3}


def test_whole_numbers_are_asked_for_as_such() -> None:
    """A number of nights is a whole one; where fractions make sense, a whole number does as well."""
    with pytest.raises(BadInput) as refused:
        Policy(bad_nights=2.5)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "policy: bad_nights expected a whole number in 1..366, got 2.5\n"
        "  -> ahead and not-worse: nights per year on which a candidate is worse than allowed by the margin; "
        "default: 10"
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
    assert unknown.value.hint.startswith("did you mean 'margin'? known: approval_days, bad_nights, margin, ")
    with pytest.raises(BadInput, match=r"margin expected a number in 0\.0001\.\.0\.2, got 7"):
        own.changed({"margin": 7})


def test_meanings_tell_the_defaults() -> None:
    """Each field's meaning ends with what the datasets have: alike, by name, or computed from the data."""
    meanings = {name: meaning(name) for name in described(Policy)}
    assert meanings["promote_when"] == (
        "what replaces the champion: a model that is better beyond chance; one that is ahead, and not worse by the "
        "margin; or any that is not worse by the margin; default: better, and ahead for a dataset of your own "
        "whose test set cannot show a gain of 1 point"
    )
    assert meanings["margin"].endswith(
        "default: mnist 0.003, others 0.01, or the smallest gain that a small test set can show"
    )
    assert meanings["max_megabytes"] == "largest model file, in MB; default: 100"
    assert meanings["max_lost"] == (
        "largest share of all images that the champion gets right and the candidate does not; "
        "default: mnist 0.01, mnist-sample 0.1, others 0.05"
    )
    assert meanings["min_accuracy"] == (
        "lowest test accuracy; default: mnist 0.985, fashion-mnist 0.9, kmnist 0.9, mnist-sample 0.8, "
        "others twice the accuracy of guessing"
    )
