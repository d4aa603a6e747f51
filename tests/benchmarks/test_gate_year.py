from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from artifacts.gate.evidence import Champion, Evidence, Look, Scored
from artifacts.gate.judge import judge
from artifacts.gate.policy import Policy
from artifacts.models.predictions import Predictions, write
from benchmarks.gate_small import margin_for, outcomes
from benchmarks.gate_year import HALF, LEVELS, ONE, OURS, UNCHANGED, WORSE, Outcome, matched, run, targets
from benchmarks.gates import POLICY, greedy, lenient, ours, paired
from benchmarks.nights import Scenario, World, Year, draw, measured, modelled, steady

WORLD = modelled(n=3000)
REQUIREMENTS = replace(POLICY, min_accuracy=0.0, min_recall=0.0, max_lost=1.0, max_lost_per_class=1.0)
SCENARIOS = (
    steady("better", 0.015, 25),
    steady("better after a while", 0.015, 30, after=12),
    steady("better, three seeds", 0.01, 15, seeds=3),
    Scenario("new every night", np.linspace(0, 0.06, 30), np.arange(30)),
    steady("worse, then better twice", 0.0, 30),
)


def replay(year: Year, policy: Policy) -> list[int]:
    """The nights on which the gate itself promotes, asked with everything that a real night would know."""
    labels = np.arange(year.champion.size) % 2
    answers = [np.where(right, labels, 1 - labels) for right in (year.champion, *year.right.reshape(-1, labels.size))]
    seeds = year.right.shape[1]
    champion = Champion("v0", answers[0], ("a", "b"), "test")
    looks: tuple[Look, ...] = ()
    promoted = []
    for night, recipe in enumerate(year.recipes):
        tonight, *siblings = answers[1 + night * seeds : 1 + (night + 1) * seeds]
        evidence = Evidence(
            dataset="years",
            labels=labels,
            class_names=("a", "b"),
            n_expected=labels.size,
            test_digest="test",
            when=str(np.datetime64("2026-01-01") + night),
            candidate=Scored("candidate", tonight, megabytes=1.0, latency_ms=1.0),
            recipe=str(recipe),
            champion=champion,
            siblings=tuple(siblings),
            looks=looks,
        )
        decision = judge(evidence, policy)
        assert decision.look is not None
        looks += (decision.look,)
        if decision.verdict == "PROMOTE":
            promoted.append(night)
            champion = Champion(f"v{night + 1}", tonight, ("a", "b"), "test")
    return promoted


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_simulation_decides_as_the_gate_does(scenario: Scenario) -> None:
    """Years replayed night by night through the gate end with the same promotions on the same nights."""
    if "twice" in scenario.name:
        steps = np.repeat([-0.01, 0.012, 0.03], 10)
        scenario = replace(scenario, gains=steps, recipes=np.repeat([1, 2, 3], 10))
    promotions = 0
    for seed in range(6):
        year = draw(WORLD, scenario, seed)
        found = ours(year)
        assert found == replay(year, REQUIREMENTS)
        promotions += len(found)
    assert promotions > 0


def test_the_plain_gates_decide_as_they_say() -> None:
    """`>=` takes every record, the paired test every significant night, not-worse whatever excludes the margin."""
    year = draw(WORLD, steady("better", 0.01, 40), 3)
    best, records = year.champion.sum(), []
    for night, right in enumerate(year.right[:, 0]):
        if right.sum() >= best:
            records.append(night)
            best = right.sum()
    assert greedy(year) == records
    strict = replace(REQUIREMENTS, promote_when="not-worse")
    only = [night for night in lenient(year) if night == lenient(year)[0]]
    assert only == replay(replace(year, right=year.right[: only[0] + 1], recipes=np.arange(only[0] + 1)), strict)[-1:]
    for level in LEVELS[::4]:
        champion, expected = year.champion, []
        for night, right in enumerate(year.right[:, 0]):
            gained, lost = int((right & ~champion).sum()), int((champion & ~right).sum())
            if gained > lost and binomtest(gained, gained + lost).pvalue <= level:
                expected.append(night)
                champion = right
        assert paired(year, level) == expected


def test_being_ahead_is_simulated_as_the_gate_decides_it() -> None:
    """Of the nights that exclude the margin, those with more right answers than the champion."""
    world = modelled(0.9, 0.06, 400)
    policy = replace(REQUIREMENTS, promote_when="ahead", margin=0.05)
    promotions = 0
    for seed in range(4):
        year = draw(world, steady("unchanged", 0.0, 40), seed)
        # each night a recipe of its own: what is pooled does not matter to this policy
        alone = replace(year, recipes=np.arange(40), n=year.champion.size)
        found = lenient(alone, 0.05, must_gain=True)
        assert found == replay(alone, policy)
        promotions += len(found)
    assert promotions > 0


@pytest.mark.parametrize(("n", "accuracy", "discordant"), [(50, 0.9, 0.08), (360, 0.983, 0.015), (360, 0.9, 0.06)])
def test_the_promise_holds_on_small_test_sets(n: int, accuracy: float, discordant: float) -> None:
    """At most 0.1 a year: promotions of what is no better, or under the default, of what is worse by the margin."""
    margin = margin_for(n)
    assert margin > 0.01
    found = outcomes(modelled(accuracy, discordant, n), margin, 60, 1)
    assert found["unchanged"]["better"].promotions <= 0.1
    assert found["another kind, equally good"]["better"].promotions <= 0.1
    assert found["worse by the margin"]["ahead"].promotions <= 0.1
    assert found["half of the errors"]["ahead"].within["30"] > 0.9


def test_the_model_of_a_night_has_the_noise_it_claims() -> None:
    """94 % accuracy, 5 % discordant images, and 0.16 points between seeds, all three also in what is drawn."""
    world = modelled()
    assert world.difficulty.mean() == pytest.approx(0.94, abs=0.003)
    assert world.discordant == pytest.approx(0.05, abs=0.002)
    assert world.seed_sd == pytest.approx(0.0016, abs=0.0001)
    year = draw(world, steady("unchanged", 0.0, 300), 0)
    assert np.std(year.scores) / year.n == pytest.approx(world.seed_sd, rel=0.15)
    assert np.mean(year.right[0, 0] ^ year.right[1, 0]) * year.champion.size / year.n == pytest.approx(0.05, abs=0.006)
    better = draw(world, steady("better", 0.005, 300), 0)
    assert (better.scores.mean() - year.scores.mean()) / year.n == pytest.approx(0.005, abs=0.0003)


def test_gains_are_reached_by_shifting_odds() -> None:
    """The shift for a gain moves the mean difficulty by that gain, up or down."""
    gains = np.array([-0.01, 0.0, 0.005, 0.02])
    odds = WORLD.difficulty / np.maximum(1 - WORLD.difficulty, 1e-300)
    for gain, shift in zip(gains, WORLD.shift_for(gains), strict=True):
        moved = 1 - 1 / (1 + odds * np.exp(shift))
        assert moved.mean() - WORLD.difficulty.mean() == pytest.approx(gain, abs=1e-4)


def test_difficulties_can_be_measured(tmp_path: Path) -> None:
    """From prediction files of a few seeds come the accuracy and the disagreement that those files have."""
    rng = np.random.default_rng(0)
    labels = np.zeros(3000, np.int64)
    rights = rng.random((6, 3000)) < WORLD.difficulty
    for seed, right in enumerate(rights):
        probabilities = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9]).astype(np.float32)
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        write(folder / "predictions-test.parquet", Predictions(np.arange(3000), labels, probabilities))
    world = measured(tmp_path)
    pairs = [np.mean(rights[i] ^ rights[j]) for i in range(6) for j in range(i)]
    assert world.difficulty.mean() == pytest.approx(rights.mean(), abs=0.01)
    assert world.discordant == pytest.approx(np.mean(pairs), rel=0.05)
    assert "6 prediction files" in world.source
    assert world.seed_sd == pytest.approx(max(modelled(n=3000).seed_sd, np.std(rights.mean(axis=1), ddof=1)), rel=0.15)


def test_another_kind_of_model_is_as_good_on_other_images() -> None:
    """Where difficulties are exchanged, accuracy and noise stay as they are and the disagreement grows."""
    same = draw(WORLD, steady("unchanged", 0.0, 200), 0)
    other = draw(WORLD, replace(steady("another kind", 0.0, 200), other=0.3), 0)
    assert same.n == other.n == 3000
    difference = other.scores.mean() - other.champion.sum()
    assert abs(difference) < 5 * np.std(same.scores) + 5
    disagree = [np.mean(year.right[:, 0] ^ year.champion) * year.champion.size / year.n for year in (same, other)]
    assert disagree[1] > disagree[0] + 0.01


def test_true_differences_between_seeds_are_drawn() -> None:
    """Seeds that differ in truth are drawn with that spread, the first champion's too, and promotions know of it."""
    world = replace(WORLD, true_sd=0.01)
    years = [draw(world, steady("unchanged", 0.0, 40, seeds=2), seed) for seed in range(40)]
    assert np.std([year.gains for year in years]) == pytest.approx(0.01, rel=0.1)
    assert np.std([year.first for year in years]) == pytest.approx(0.01, rel=0.4)
    measured_sd = np.std([year.right.sum(axis=2) / year.n for year in years])
    assert measured_sd == pytest.approx(world.seed_sd, rel=0.1)
    seeds = np.array([year.right.sum(axis=2) for year in years]).reshape(-1, 2)
    assert abs(np.corrcoef(seeds.T)[0, 1]) < 0.1


def test_too_few_files_are_refused(tmp_path: Path) -> None:
    """One seed says nothing about the difference between seeds."""
    with pytest.raises(SystemExit, match="at least 2 seeds"):
        measured(tmp_path)


def test_outcomes_are_counted_from_the_change() -> None:
    """Waiting begins on the night of the change; losses and the distance behind are true, not measured."""
    world = World(np.array([0.5] * 400), "coin tosses")
    gains = np.array([0.0, 0.0, 0.1, 0.1, -0.05, 0.1])
    scenario = Scenario("steps", gains, np.array([0, 0, 1, 1, 2, 2]))

    outcome: Outcome = run(world, scenario, {"fixed": _third_and_fifth}, 3, 1)["fixed"]
    assert outcome.promotions == 2.0
    assert outcome.years_with == 1.0
    assert outcome.within == {"1": 0.0, "3": 1.0, "7": 1.0, "30": 1.0}
    assert outcome.median == 2.0
    assert outcome.harmful == 1.0
    assert outcome.worst == pytest.approx(15.0)
    # behind: 0, 0, 10, then 0, then -5 under the champion of -5: 0, and 15 points on the last night
    assert outcome.behind == pytest.approx((0 + 0 + 10 + 0 + 0 + 15) / 6)
    assert outcome.years == 3


def _third_and_fifth(_: Year) -> list[int]:
    return [3, 4]


def test_too_few_years_are_not_matched() -> None:
    """Without false promotions there is no rate to match."""
    none = {f"p < {level:.2g} a night": Outcome(0.0, 0.0, {}, None, 0.0, 0.0, 0.0, 1) for level in LEVELS}
    with pytest.raises(SystemExit, match="simulate more"):
        matched(none, 0.1)


def test_levels_are_matched_on_a_line_through_the_logarithms() -> None:
    """Where promotions are proportional to the level, the matched level is proportional to the rate asked for."""
    outcomes = {f"p < {level:.2g} a night": Outcome(20 * level, 0.0, {}, None, 0.0, 0.0, 0.0, 1) for level in LEVELS}
    assert matched(outcomes, 0.1) == pytest.approx(0.005, rel=1e-6)


def test_targets_are_held_against_what_was_simulated() -> None:
    """Each target is met or missed by its own figure, and the plain test is shown at both rates."""

    def outcome(promotions: float = 0.0, within: float = 0.0, years_with: float = 0.0) -> Outcome:
        return Outcome(promotions, years_with, {"3": within, "7": within}, None, 0.0, 0.0, 0.0, 1000)

    plain = {"plain (0.1 false)": outcome(within=0.6), "plain (0.04 false)": outcome(within=0.4)}
    good = {
        UNCHANGED: {OURS: outcome(0.04)},
        HALF: {OURS: outcome(within=0.8), **plain},
        ONE: {OURS: outcome(within=0.96)},
        WORSE: {OURS: outcome()},
    }
    assert list(targets(good)) == [
        "false promotions of an unchanged recipe: 0.040 a year, at most 0.1: met",
        "+1 point: promoted within 3 nights: 96.0%, at least 95 %: met",
        "+0.5 points: promoted within 7 nights: 80.0%, plain test at our rate of 0.04 false promotions a year: 40.0%, "
        "2.0 times as often, at least 1.5: met",
        "  (a plain test that makes the whole 0.1 a year that ours may make: 60.0%, 1.3 times as often)",
        "-0.5 points: promoted in 0 of 1,000 years, in none: met",
    ]
    bad = {
        UNCHANGED: {OURS: outcome(0.11)},
        HALF: {OURS: outcome(within=0.59), **plain},
        ONE: {OURS: outcome(within=0.94)},
        WORSE: {OURS: outcome(years_with=0.001)},
    }
    assert [line.endswith("MISSED") for line in targets(bad)] == [True, True, True, False, True]
