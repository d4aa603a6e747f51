"""What the night is told: in order of weight, as values that a report can keep."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from data.drift.shift import Shift
from data.values import canonical_json, from_json
from tests.data.drift.made import Made, snapshot
from tests.data.sound import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_growth_is_sound_in_data_of_any_kind(kind: str) -> None:
    """200 new images among 1,200, in twelve nights."""
    made = Made(known=800, nights=(40,) * 10, new=200, kind=kind)
    assert made.found(images=made.images) == {}


def test_what_ends_the_night_comes_first() -> None:
    """Then other accidents, then shifts."""
    made = Made()
    images, labels = made.images.copy(), made.labels.copy()
    images[made.n_old :] += 30
    labels[: made.n_old] = (labels[: made.n_old] + 1) % 4
    found = list(made.found(new=snapshot(images, labels, made.seen), counts={"on_both_sides": 12}).values())
    order = [(one.ends_night(), one.kind == "accident") for one in found]
    assert order == sorted(order, reverse=True)
    assert {one.kind for one in found} == {"accident", "shift"}


def test_every_rule_is_measured_once_and_kept_as_json() -> None:
    """A report shows effect sizes beside their limits, also of what is as it should be."""
    made = Made()
    measured = made.measured(images=made.images)
    assert len(measured) > 20
    for one in (*measured.values(), *Made(known=12, new=0).measured().values()):
        assert from_json(Shift, json.loads(canonical_json(asdict(one)))) == one


def test_labels_of_any_number_are_measured_without_names() -> None:
    """A label above the last name is for another check to refuse."""
    made = Made()
    labels = made.labels.copy()
    labels[-1] = 17
    assert np.isfinite(
        [one.effect for one in made.measured(new=snapshot(made.images, labels, made.seen)).values()]
    ).all()
