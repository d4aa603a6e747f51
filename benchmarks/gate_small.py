"""Small test sets: is the gate's promise kept, and can a champion be replaced at all?

    python -m benchmarks.gate_small [--years N] [--jobs N]

For each size of test set and under each policy: false promotions a year of an unchanged recipe (`better` allows 0.1),
promotions in a year with ten nights of a recipe worse by the margin (`ahead` and `not-worse` allow 0.1), and how soon a
recipe that makes half of the champion's errors is promoted. The nights are those of benchmarks/nights.py.
"""

import argparse
from functools import partial

import numpy as np

from artifacts.gate.policy import Policy, policy_for
from benchmarks.gate_year import Outcome, run
from benchmarks.gates import Gate, lenient, ours
from benchmarks.nights import NIGHTS, Scenario, World, modelled, steady

# test images, accuracy of the champion's recipe, share of images on which two of its seeds differ
WORLDS = ((50, 0.90, 0.08), (100, 0.90, 0.08), (360, 0.983, 0.015), (360, 0.90, 0.06), (800, 0.98, 0.02))
BAD_NIGHTS = Policy().bad_nights


def gates(margin: float) -> dict[str, Gate]:
    """Return the three policies; the margin is that of the default policy for the test set."""
    return {
        "better": ours,
        "ahead": partial(lenient, margin=margin, must_gain=True),
        "not-worse": partial(lenient, margin=margin),
    }


def margin_for(n: int) -> float:
    """Return the margin that the default policy has for n test images in two classes."""
    return policy_for("small", (n - n // 2, n // 2)).margin


def outcomes(world: World, margin: float, years: int, jobs: int) -> dict[str, dict[str, Outcome]]:
    """Simulate an unchanged recipe, ten nights of one worse by the margin, and one with half of the errors."""
    still = np.zeros(NIGHTS)
    half = (1 - float(world.difficulty.mean())) / 2
    scenarios = (
        steady("unchanged", 0.0),
        Scenario("another kind, equally good", still, np.ones(NIGHTS, np.int64), other=1.0),
        steady("worse by the margin", -margin, BAD_NIGHTS),
        steady("half of the errors", half, 30),
    )
    return {scenario.name: run(world, scenario, gates(margin), years, jobs) for scenario in scenarios}


def main() -> None:
    """Simulate, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=1000, help="simulated per line")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    print("| test images | policy | unchanged | another kind | worse by the margin, 10 nights | half of the errors |")
    print("|---|---|---|---|---|---|")
    for n, accuracy, discordant in WORLDS:
        margin = margin_for(n)
        found = outcomes(modelled(accuracy, discordant, n), margin, options.years, options.jobs)
        for gate in gates(margin):
            numbers = [found[name][gate] for name in found]
            print(
                f"| {n}, {accuracy:.1%} right | {gate}{'' if gate == 'better' else f', margin {margin:g}'} |",
                " | ".join(f"{outcome.promotions:.3f}" for outcome in numbers[:3]),
                f"| {numbers[3].within['30']:.0%} within 30 nights |",
                flush=True,
            )


if __name__ == "__main__":
    main()
