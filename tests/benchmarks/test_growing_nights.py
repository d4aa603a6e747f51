from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from artifacts.gate.evidence import Champion, Evidence, Look, Scored
from artifacts.gate.judge import judge
from artifacts.gate.policy import Policy
from benchmarks import growing_nights
from benchmarks.growing_gates import FRESH_EVERY_NIGHT, POLICY, anew, greedy, ours
from benchmarks.growing_nights import BEFORE, CURVE, Growing, GrowingYear, enough
from benchmarks.growing_year import ARRIVING, BETTER, CHANGE, MOVING, WORSE, Result, scenarios, targets, truth
from tests.artifacts.gate.gate_cases import growing

NIGHTS = 24
REQUIREMENTS = replace(POLICY, min_accuracy=0.0, min_recall=0.0, max_lost=1.0, max_lost_per_class=1.0)
FLAT = Growing("no drift", 60, gains=np.zeros(NIGHTS), recipes=np.zeros(NIGHTS, np.int64), start=1000)
SCENARIOS = (
    replace(FLAT, name="better", gains=np.full(NIGHTS, 0.03)),
    replace(FLAT, name="better and better", gains=np.linspace(0, 0.1, NIGHTS), jitter=0.002),
    replace(FLAT, name="sudden change", change=0.2, change_at=8),
    replace(FLAT, name="a new class", class_at=6, arriving=100),
    replace(FLAT, name="recipes come and go", gains=np.full(NIGHTS, 0.02), recipes=np.arange(NIGHTS) // 5, other=0.2),
)


@pytest.fixture(autouse=True)
def _every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sure images are kept, so that the gate sees as many images as the simulation counts."""
    monkeypatch.setattr(growing_nights, "CERTAIN", -1.0)


def replay(year: GrowingYear, policy: Policy) -> list[int]:
    """The nights on which the gate itself promotes, asked with everything that a real night would know."""
    new = year.new.astype(np.int64)
    labels = np.where(new == 1, 2, np.arange(new.size) % 2)
    trained, looks, promoted = BEFORE, tuple[Look, ...](), []
    for night in range(year.scenario.nights):
        n, known = year.stop(night), year.scenario.class_at <= night
        theirs = [year.answers(trained), *(year.answers(trained, later) for later in range(trained + 1, night + 1))]
        names = ("a", "b", "c") if known else ("a", "b")
        knew = names if trained >= year.scenario.class_at or not known else ("a", "b")
        tonight, champion = (_predicted(labels[:n], right) for right in (year.answers(night), np.concatenate(theirs)))
        evidence = Evidence(
            dataset="years",
            labels=labels[:n],
            class_names=names,
            n_expected=n,
            test_digest=f"state {night}",
            when=(date(2026, 1, 1) + timedelta(days=night)).isoformat(),
            candidate=Scored("candidate", tonight, megabytes=1.0, latency_ms=1.0),
            recipe=str(year.scenario.recipes[night]),
            champion=Champion(f"v{trained}", champion, knew, "test"),
            looks=looks,
            growing=growing(n),
        )
        decision = judge(evidence, policy)
        promotes = decision.verdict == "PROMOTE"
        looks += (replace(decision.look, promoted=promotes),) if decision.look else ()
        if promotes:
            promoted.append(night)
            trained = night
    return promoted


def _predicted(labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Answers that are right on these images; of two classes the other one, otherwise the first."""
    return np.where(right, labels, np.where(labels == 0, 1, 0))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_simulation_decides_as_the_gate_does(scenario: Growing) -> None:
    """Years replayed night by night through the gate end with the same promotions on the same nights."""
    promotions = 0
    for seed in range(3):
        year = GrowingYear(scenario, seed)
        found = ours(year)
        assert found == replay(year, REQUIREMENTS)
        promotions += len(found)
    assert promotions > 0


def test_a_model_answers_the_same_images_the_same_way() -> None:
    """Whatever is promoted, a model's answers are one draw; another night's model is another."""
    year, same = GrowingYear(FLAT, 3), GrowingYear(FLAT, 3)
    assert np.array_equal(year.answers(5), same.answers(5))
    assert np.array_equal(year.answers(5, 9), same.answers(5, 9))
    assert year.answers(5).size == FLAT.images(5) == 1000 + 6 * 60
    assert year.answers(5, 9).size == 60
    assert not np.array_equal(year.answers(5)[:1000], year.answers(6)[:1000])


def test_the_world_moves_for_models_that_were_trained_before() -> None:
    """A model loses what drift and change take since its training, and nothing on what it could have seen."""
    moving = replace(FLAT, drift=0.001, change=0.1, change_at=10)
    assert moving.lost(4, 9) == pytest.approx(0.005)
    assert moving.lost(9, 10) == pytest.approx(0.101)
    assert moving.lost(10, 12) == pytest.approx(0.002)
    assert moving.lost(12, 3) == 0.0
    changed = replace(FLAT, change=0.2, change_at=10, arriving=2000)
    year = GrowingYear(changed, 1)
    accuracy = {arrived: year.answers(8, arrived).mean() for arrived in (9, 10)}
    assert accuracy[9] - accuracy[10] == pytest.approx(0.2, abs=0.03)
    assert year.ahead(10, 8) == pytest.approx(0.2)
    assert year.ahead(10, 10) == 0.0


def test_a_new_class_is_learned_from_its_images() -> None:
    """Models from before get none of it right, later ones the more the more images there were."""
    year = GrowingYear(replace(FLAT, class_at=6, arriving=200), 0)
    assert not year.new[: year.stop(5)].any()
    assert year.new[year.stop(5) :].mean() == pytest.approx(0.1, abs=0.02)
    assert year.recall(5) == 0.0
    assert 0.5 < year.recall(6) < year.recall(20) < 0.95
    later = year.answers(5, 20)
    assert not later[year.new[year.stop(19) : year.stop(20)]].any()
    assert year.ahead(20, 6) == pytest.approx(0.1 * (year.recall(20) - year.recall(6)))
    assert year.ahead(20, 3) == 0.0


def test_images_that_nobody_doubts_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most images decide nothing; the others have the disagreement that the model of a night claims."""
    monkeypatch.setattr(growing_nights, "CERTAIN", 1e-3)
    year = GrowingYear(replace(FLAT, start=20_000), 0)
    first, second = year.answers(0), year.answers(BEFORE)
    assert year.stop(BEFORE) < 10_000
    different = (first[: second.size] ^ second).sum() / 20_000
    assert different == pytest.approx(0.05, abs=0.006)
    assert CURVE.discordant == pytest.approx(0.05, abs=0.001)


def test_enough_labels_are_those_that_show_the_change() -> None:
    """Ten points are seen in some hundred images, and twice as fast if twice as many arrive."""
    few, many = (
        enough(replace(FLAT, change=0.1, change_at=8, arriving=arriving), FRESH_EVERY_NIGHT) for arriving in (20, 40)
    )
    assert 5 <= few <= 15
    assert many == pytest.approx(few / 2, abs=1)
    with pytest.raises(SystemExit, match="too few images"):
        enough(replace(FLAT, change=0.001, change_at=8, arriving=1), FRESH_EVERY_NIGHT, draws=20)


def test_what_promotions_brought_is_counted_in_truth() -> None:
    """Gains are true, not measured; what is no better is false, and so is what costs a margin with a new class."""
    year = GrowingYear(replace(FLAT, gains=np.linspace(0, 0.023, NIGHTS)), 0)
    _, gains, false, behind = truth(year, [0, 5, 10])
    assert gains == pytest.approx([0.0, 0.005, 0.005])
    assert false == [True, False, False]
    assert behind == pytest.approx(
        np.mean([0.0, *np.arange(1, 6) / 1000, *np.arange(1, 6) / 1000, *np.arange(1, 14) / 1000])
    )
    worse = replace(FLAT, class_at=6, gains=np.where(np.arange(NIGHTS) < 6, 0.0, -0.02))
    assert truth(GrowingYear(worse, 0), [8])[2] == [True]
    assert truth(GrowingYear(replace(worse, gains=worse.gains / 4), 0), [8])[2] == [False]


def test_the_plain_gates_take_what_they_say() -> None:
    """`>=` takes every record of tonight's images; a test anew every night takes less, and no new class."""
    year = GrowingYear(replace(FLAT, gains=np.full(NIGHTS, 0.03)), 1)
    assert len(greedy(year)) > len(anew(year)) > 0
    assert all(night < 6 for night in anew(GrowingYear(replace(FLAT, class_at=6), 1)))


def test_every_rate_has_every_scenario() -> None:
    """Fifty, five hundred and a thousand images a night, of which a fifth are test images."""
    assert {images / arriving for images, arriving in ARRIVING.items()} == {5.0}
    names = {tuple(one.name for one in scenarios(arriving)) for arriving in ARRIVING.values()}
    assert len(names) == 1
    assert {BETTER, MOVING, CHANGE, WORSE} < set(*names)


def test_targets_are_held_against_what_was_simulated() -> None:
    """Each target is met or missed by its own figure."""
    good = Result(0.0, 0.1, 0.0, 0.155, (3, 5), 4, 0.95, 100)
    bad = Result(0.01, 0.11, 0.5, 0.16, (3, None), 4, 0.94, 100)
    lines = [
        list(targets([(50, name, {"Nightshift": one}) for name in (BETTER, CHANGE, WORSE)])) for one in (good, bad)
    ]
    assert [line.rpartition(": ")[2] for line in lines[0]] == ["met"] * 6
    assert [line.rpartition(": ")[2] for line in lines[1]] == ["MISSED"] * 6
    assert "enough labels after 4 nights, 95% answered within 3 more" in lines[0][3]
