"""A year of nights under four gates: false promotions, missed improvements and harmful promotions of each.

    python -m benchmarks.gate_year [--quick] [--years N] [--predictions DIR] [--json FILE] [--jobs N]
    python -m benchmarks.gate_year --growing [--only SCENARIO] [--quick] [--years N] [--json FILE] [--jobs N]

The model of a night is in benchmarks/nights.py and can be replaced by real prediction files; the gates are in
benchmarks/gates.py. With --growing, test images arrive every night: benchmarks/growing_year.py.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import growing_year
from benchmarks.gates import POLICY, Gate, greedy, lenient, ours, paired
from benchmarks.nights import NIGHTS, Scenario, World, Year, draw, measured, modelled, steady

GREEDY, NIGHTLY, OURS, LENIENT = ">=", "p < 0.05 a night", "Nightshift", "Nightshift, not-worse"
UNCHANGED, WORSE = "unchanged recipe: promoted", "-0.5 points: promoted in"
HALF, ONE = "+0.5 points: promoted within 7 nights", "+1 point: promoted within 3 nights"
LEVELS = tuple(float(level) for level in np.geomspace(0.02, 0.0001, 7))


# -- running years ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one gate did in the years of one scenario.

    Args:
        promotions: mean number a year (or in as many nights as the scenario has).
        years_with: share of years with any promotion.
        within: share of years with a promotion within N nights of the recipe's change, by N.
        median: nights from the change to the first promotion; None if half of the years had none.
        harmful: mean number a year of promotions of a recipe truly worse than the champion's.
        worst: the largest true loss by a promotion, in points.
        behind: tonight's true accuracy minus the champion's, mean over all nights, in points.
        years: how many were simulated.
    """

    promotions: float
    years_with: float
    within: dict[str, float]
    median: float | None
    harmful: float
    worst: float
    behind: float
    years: int


Result = tuple[list[int], list[float], float]  # promotions, their true gains, the mean distance behind


def run(world: World, scenario: Scenario, gates: dict[str, Gate], years: int, jobs: int) -> dict[str, Outcome]:
    """Simulate the same years under every gate."""
    world.shift_for(np.zeros(1))  # now, and not again in every process
    work = partial(_one_year, world, scenario, tuple(gates.values()))
    with ProcessPoolExecutor(jobs) as executor:
        results = list(executor.map(work, range(years), chunksize=max(1, years // (8 * jobs))))
    changed = int(np.argmax(scenario.recipes > 0)) if scenario.recipes.any() else 0
    return {name: _summary([result[i] for result in results], changed) for i, name in enumerate(gates)}


def _one_year(world: World, scenario: Scenario, gates: tuple[Gate, ...], seed: int) -> list[Result]:
    year = draw(world, scenario, seed)
    return [(nights, *_truth(year, nights)) for nights in (gate(year) for gate in gates)]


def _truth(year: Year, promoted: list[int]) -> tuple[list[float], float]:
    """True gain of each promotion over the champion it replaced, and the mean distance behind tonight's candidate."""
    gains, champion, behind, before = [], year.first, 0.0, 0
    for night in [*promoted, len(year.gains)]:
        behind += float(np.sum(year.gains[before:night] - champion))
        if night < len(year.gains):
            gains.append(float(year.gains[night]) - champion)
            champion, before = float(year.gains[night]), night
    return gains, behind / len(year.gains)


def _summary(results: list[Result], changed: int) -> Outcome:
    waits = [min((n + 1 - changed for n in nights if n >= changed), default=math.inf) for nights, _, _ in results]
    true_gains = [gain for _, gains, _ in results for gain in gains]
    median = float(np.median(waits))
    return Outcome(
        promotions=sum(len(nights) for nights, _, _ in results) / len(results),
        years_with=float(np.mean([bool(nights) for nights, _, _ in results])),
        within={str(limit): float(np.mean([wait <= limit for wait in waits])) for limit in (1, 3, 7, 30)},
        median=median if math.isfinite(median) else None,
        harmful=sum(gain < 0 for gain in true_gains) / len(results),
        worst=100 * max(0.0, -min(true_gains, default=0.0)),
        behind=100 * float(np.mean([behind for _, _, behind in results])),
        years=len(results),
    )


# -- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Column:
    """One scenario, how many years of it are simulated, and the number to show."""

    scenario: Scenario
    years: int
    quick: int
    show: Callable[[Outcome], str]


def _promotions(outcome: Outcome) -> str:
    worse = f", {outcome.harmful:.3f} of these truly worse" if outcome.harmful else ""
    return f"{outcome.promotions:.3f} a year{worse}"


def _within(limit: int) -> Callable[[Outcome], str]:
    return lambda outcome: f"{outcome.within[str(limit)]:.1%}"


def _harm(outcome: Outcome) -> str:
    return f"{round(outcome.years_with * outcome.years):,} of {outcome.years:,} years"


def _drift(outcome: Outcome) -> str:
    return f"{outcome.promotions:.1f} a year, {outcome.harmful:.2f} harmful, {outcome.behind:.2f} points behind"


def columns() -> tuple[Column, ...]:
    """Every scenario; the first is the one on which plain tests are matched."""
    nightly = np.arange(NIGHTS)
    still = np.zeros(NIGHTS)
    return (
        Column(steady(UNCHANGED, 0.0), 1000, 400, _promotions),
        Column(
            Scenario("unchanged, but passed off as new every night: promoted", still, nightly), 300, 60, _promotions
        ),
        Column(
            Scenario("another kind of model, equally good: promoted", still, np.ones(NIGHTS, np.int64), other=0.3),
            300,
            60,
            _promotions,
        ),
        Column(steady(HALF, 0.005, 30), 4000, 1000, _within(7)),
        Column(steady("the same with 3 seeds a night", 0.005, 30, seeds=3), 1000, 200, _within(7)),
        Column(steady("the same after 180 unchanged nights", 0.005, 210, after=180), 600, 60, _within(7)),
        Column(steady(ONE, 0.01, 10), 4000, 1000, _within(3)),
        Column(steady(WORSE, -0.005), 10_000, 500, _harm),
        Column(Scenario("drifting data", np.linspace(0, 0.018, NIGHTS), nightly, jitter=0.001), 200, 30, _drift),
    )


def matched(outcomes: dict[str, Outcome], rate: float) -> float:
    """Return the level at which the plain paired test makes this many false promotions a year, by a log-log fit."""
    seen = [(level, outcomes[_plain(level)].promotions) for level in LEVELS]
    logs = np.log([point for point in seen if point[1] > 0.02])
    if len(logs) < 2 or rate <= 0:
        raise SystemExit("too few years to measure the rates of false promotions: simulate more")
    slope, offset = np.polyfit(logs[:, 1], logs[:, 0], 1)
    return float(np.exp(slope * math.log(rate) + offset))


def _plain(level: float) -> str:
    return f"p < {level:.2g} a night"


def simulate(world: World, quick: bool, years: int | None, jobs: int) -> Iterator[tuple[Column, dict[str, Outcome]]]:
    """Run every column; plain tests at the rates to compare with join after the first."""
    gates: dict[str, Gate] = {GREEDY: greedy, NIGHTLY: partial(paired, level=0.05), OURS: ours}
    grid: dict[str, Gate] = {_plain(level): partial(paired, level=level) for level in LEVELS}
    for column in columns():
        count = years or (column.quick if quick else column.years)
        shown = gates | {LENIENT: lenient} if column.scenario.jitter else dict(gates)
        outcomes = run(world, column.scenario, grid | shown, count, jobs)
        yield column, {name: outcomes[name] for name in shown}
        if grid:
            for rate in (POLICY.yearly_errors, outcomes[OURS].promotions):
                level = matched(outcomes, rate)
                gates[f"p < {level:.2g} a night ({rate:.2g} false)"] = partial(paired, level=level)
            grid = {}


def targets(outcomes: dict[str, dict[str, Outcome]]) -> Iterator[str]:
    """Yield each target of the gate with its simulated value, one line each.

    Args:
        outcomes: by scenario, then by gate; the plain tests matched to a rate come last, ours the very last.
    """
    false, harm = outcomes[UNCHANGED][OURS].promotions, outcomes[WORSE][OURS]
    *_, loose, strict = outcomes[HALF]
    one = outcomes[ONE][OURS].within["3"]
    half, at_allowed, at_ours = (outcomes[HALF][gate].within["7"] for gate in (OURS, loose, strict))
    yield f"false promotions of an unchanged recipe: {false:.3f} a year, at most 0.1: {_met(false <= 0.1)}"
    yield f"{ONE}: {one:.1%}, at least 95 %: {_met(one >= 0.95)}"
    yield (
        f"{HALF}: {half:.1%}, plain test at our rate of {false:.2g} false promotions a year: {at_ours:.1%}, "
        f"{half / at_ours:.1f} times as often, at least 1.5: {_met(half >= 1.5 * at_ours)}"
    )
    yield (
        f"  (a plain test that makes the whole {POLICY.yearly_errors:g} a year that ours may make: {at_allowed:.1%}, "
        f"{half / at_allowed:.1f} times as often)"
    )
    yield f"{WORSE} {_harm(harm)}, in none: {_met(harm.years_with == 0)}"


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def main() -> None:
    """Simulate, print one block per scenario, and write the numbers if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer years: at most 30 s on two cores")
    parser.add_argument("--years", type=int, help="years per scenario instead of the defaults")
    parser.add_argument("--predictions", type=Path, help="a folder with predictions-test.parquet of several seeds")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--growing", action="store_true", help="years on which test images arrive")
    parser.add_argument("--only", default="", help="with --growing: scenarios whose name contains this")
    options = parser.parse_args()
    if options.growing:
        growing_year.report(options.quick, options.years, options.jobs, options.only, options.json)
        return
    world = measured(options.predictions) if options.predictions else modelled()
    print(
        f"{world.source}; {world.difficulty.size:,} images, {world.difficulty.mean():.2%} right, two seeds differ on "
        f"{world.discordant:.2%}, sd between seeds {100 * world.seed_sd:.3f} points, of which in truth "
        f"{100 * world.true_sd:.3f}",
        flush=True,
    )
    seen, table = {}, {}
    for column, outcomes in simulate(world, options.quick, options.years, options.jobs):
        name = column.scenario.name
        title = f"{name} ({next(iter(outcomes.values())).years:,} years of {column.scenario.nights} nights)"
        table[title] = {gate: column.show(outcome) for gate, outcome in outcomes.items()}
        print(f"\n{title}", *(f"  {gate:<36} {text}" for gate, text in table[title].items()), sep="\n", flush=True)
        seen[name] = outcomes
    gates = list(table[title])
    print("\n| nights |", " | ".join(gates), "|\n|---" + "|---" * len(gates) + "|")
    for title, cells in table.items():
        print(f"| {title} |", " | ".join(cells.get(gate, "") for gate in gates), "|")
    print("\ntargets", *targets(seen), sep="\n  ")
    if options.json:
        record = {
            name: {gate: dataclasses.asdict(outcome) for gate, outcome in outcomes.items()}
            for name, outcomes in seen.items()
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
