"""Years on which test images arrive every night: what the gate for data that grows promotes, and what it misses.

    python -m benchmarks.gate_year --growing [--quick] [--years N] [--json FILE] [--jobs N]

50, 500 and 1,000 new images a night, of which a fifth are test images (the default of `--test-share`). The nights are
those of benchmarks/growing_nights.py, the gates those of benchmarks/growing_gates.py.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.growing_gates import FRESH_EVERY_NIGHT, POLICY, Gate, anew, greedy, ours
from benchmarks.growing_nights import BEFORE, NEVER, Growing, GrowingYear, enough
from benchmarks.nights import NIGHTS

GATES: dict[str, Gate] = {">=": greedy, "as if unrelated": anew, "Nightshift": ours}
ARRIVING = {50: 10, 500: 100, 1000: 200}  # new images a night: a fifth of them are test images
STILL, BETTER, MOVING = "no drift", "slow drift, seen on all images", "slow drift, seen on new images only"
CHANGE, CLASS, WORSE = "sudden change", "a new class", "-0.5 points"
OTHER, DECLARED = "another kind of model, equally good", "passed off as new every night"
RATE, SINCE, LATER = 0.018, 60, 3  # points lost or gained in a year; the night of a change; nights allowed to answer


@dataclass(frozen=True)
class Result:
    """What one gate did in the years of one scenario.

    Args:
        promotions: mean number a year (or in as many nights as the scenario has).
        false: mean number a year of promotions of what is truly no better on images of that night; of what is worse by
            the margin or more, where a class was added.
        worst: the largest true loss by a promotion, in points.
        behind: tonight's true accuracy minus the champion's, mean over all nights, in points.
        waits: nights from the change, or from the new class, to the promotion: 50 % and 95 % of the years; None if
            fewer were ever answered.
        enough: nights from the change until there are enough labels to see it; None without a change.
        in_time: share of years answered within three nights of that, or of 30 nights for a new class.
        years: how many were simulated.
    """

    promotions: float
    false: float
    worst: float
    behind: float
    waits: tuple[float | None, float | None]
    enough: int | None
    in_time: float
    years: int


def scenarios(arriving: int) -> tuple[Growing, ...]:
    """Return the scenarios with so many test images a night."""
    still, ramp = np.zeros(NIGHTS), np.linspace(0, RATE, NIGHTS)
    late = np.where(np.arange(NIGHTS) >= SINCE, -0.001, 0.0)  # to tell one more class apart costs the others a little
    return (
        Growing(STILL, arriving),
        Growing(BETTER, arriving, gains=ramp, jitter=0.001),
        Growing(MOVING, arriving, drift=RATE / NIGHTS, jitter=0.001),
        Growing(CHANGE, arriving, gains=still[:150], recipes=np.zeros(150, np.int64), change=0.1, change_at=SINCE),
        Growing(CLASS, arriving, gains=late, class_at=SINCE),
        Growing(WORSE, arriving, gains=still - 0.005),
        Growing(OTHER, arriving, other=0.3),
        Growing(DECLARED, arriving, recipes=np.arange(NIGHTS)),
    )


def run(scenario: Growing, years: int, gates: dict[str, Gate], executor: ProcessPoolExecutor) -> dict[str, Result]:
    """Simulate the same years under every gate."""
    work = partial(_one_year, scenario, tuple(gates.values()))
    drawn = list(executor.map(work, range(years), chunksize=max(1, years // 32)))
    needed = enough(scenario, FRESH_EVERY_NIGHT) if scenario.change_at < NEVER else None
    return {name: _summary(scenario, [year[i] for year in drawn], needed) for i, name in enumerate(gates)}


Played = tuple[list[int], list[float], list[bool], float]  # promotions, true gains, false or not, distance behind


def _one_year(scenario: Growing, gates: tuple[Gate, ...], seed: int) -> list[Played]:
    year = GrowingYear(scenario, seed)
    return [truth(year, gate(year)) for gate in gates]


def truth(year: GrowingYear, promoted: list[int]) -> Played:
    """Return what the promotions truly brought, and how far behind the champion was, mean over all nights."""
    gains, false, behind, champion = [], [], 0.0, BEFORE
    for night in range(year.scenario.nights):
        ahead = year.ahead(night, champion)
        behind += ahead
        if night in promoted:
            added = champion < year.scenario.class_at <= night
            gains.append(ahead)
            false.append(ahead <= -POLICY.margin if added else ahead <= 1e-12)
            champion = night
    return promoted, gains, false, behind / year.scenario.nights


def _summary(scenario: Growing, played: list[Played], needed: int | None) -> Result:
    since = min(scenario.change_at, scenario.class_at)
    waits = [min((n + 1 - since for n in nights if n >= since), default=math.inf) for nights, *_ in played]
    half, most = (float(np.quantile(waits, share, method="higher")) for share in (0.5, 0.95))
    limit = 30 if needed is None else needed + LATER
    return Result(
        promotions=sum(len(nights) for nights, *_ in played) / len(played),
        false=sum(sum(false) for *_, false, _ in played) / len(played),
        worst=100 * max(0.0, -min((gain for _, gains, *_ in played for gain in gains), default=0.0)),
        behind=100 * float(np.mean([behind for *_, behind in played])),
        waits=(half if half < math.inf else None, most if most < math.inf else None),
        enough=needed,
        in_time=float(np.mean([wait <= limit for wait in waits])),
        years=len(played),
    )


# -- the table --------------------------------------------------------------------------------------------------------

YEARS = {STILL: 150, BETTER: 24, MOVING: 16, CHANGE: 80, CLASS: 16, WORSE: 24, OTHER: 40, DECLARED: 24}
QUICK = 20  # times fewer


def shown(name: str, result: Result) -> str:
    """Return what the table says about a gate in a scenario."""
    false = f"{result.false:.3f} false"
    if name in (BETTER, MOVING):
        return f"{result.behind:.2f} points behind, {false}"
    if name == CHANGE:
        return f"{result.in_time:.0%} in time, {_nights(result.waits)}, {false}"
    if name == CLASS:
        return f"{_nights(result.waits)}, {false}"
    return f"{false if name != WORSE else f'{result.promotions:.3f} promoted'}"


def _nights(waits: tuple[float | None, float | None]) -> str:
    half, most = ("never" if wait is None else f"{wait:.0f}" for wait in waits)
    return f"half after {half}, 95 % after {most} nights"


def simulate(quick: bool, years: int | None, jobs: int, only: str = "") -> Iterator[tuple[int, str, dict[str, Result]]]:
    """Yield new images a night, scenario and what each gate did, one after the other."""
    with ProcessPoolExecutor(jobs) as executor:
        for images, arriving in ARRIVING.items():
            for scenario in scenarios(arriving):
                if only in scenario.name:
                    count = years or max(2, YEARS[scenario.name] // (QUICK if quick else 1))
                    yield images, scenario.name, run(scenario, count, GATES, executor)


def targets(results: Iterable[tuple[int, str, dict[str, Result]]]) -> Iterator[str]:
    """Yield each target of the gate with its simulated value, one line each."""
    for images, name, gates in results:
        result = gates["Nightshift"]
        where = f"{images:,} images a night, {name}"
        yield f"{where}: {result.false:.3f} false promotions a year, at most 0.1: {_met(result.false <= 0.1)}"
        if name in (BETTER, MOVING):
            yield f"{where}: {result.behind:.3f} points behind, at most 0.155: {_met(result.behind <= 0.155)}"
        if name == CHANGE:
            told = f"enough labels after {result.enough} nights, {result.in_time:.0%} answered within {LATER} more"
            yield f"{where}: {told}, at least 95 %: {_met(result.in_time >= 0.95)}"
        if name == WORSE:
            yield f"{where}: {result.promotions:.3f} promotions a year, none: {_met(not result.promotions)}"


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def report(quick: bool, years: int | None, jobs: int, only: str = "", file: Path | None = None) -> None:
    """Simulate, print a table and the targets, and write the numbers if asked to."""
    results = []
    print("| new images a night, scenario |", " | ".join(GATES), "|\n|---" + "|---" * len(GATES) + "|")
    for images, name, gates in simulate(quick, years, jobs, only):
        cells = " | ".join(shown(name, result) for result in gates.values())
        print(f"| {images:,}, {name} ({gates['Nightshift'].years:,} years) | {cells} |", flush=True)
        results.append((images, name, gates))
    print("\ntargets", *targets(results), sep="\n  ")
    if file:
        plain = [
            {"images": images, "scenario": name, **{gate: dataclasses.asdict(one) for gate, one in gates.items()}}
            for images, name, gates in results
        ]
        file.write_text(json.dumps(plain, indent=1) + "\n")
