"""Do the five faithful recipes reach what the plain scripts reach, and in which time?

    python -m benchmarks.fidelity [--quick] [--only NAME] [--seeds N] [--json FILE]

Every system is trained twice on the same images of its own split: by the plain script (benchmarks/plain.py, one seed)
and by the recipe in Nightshift's loop (five seeds). "same" means that the plain script's test accuracy lies within
two standard deviations, over the seeds, of the recipe's mean. `--quick` runs a tenth of each training, with two seeds,
and says nothing about the accuracy that is reached in the end. With `--json`, systems add up over several runs.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from artifacts.recipes.candidate import Candidate
from benchmarks import plain
from benchmarks.official import Images, accuracy, info, keep, machine, official, scaled
from flows.settings import prepare_environment


@dataclass(frozen=True)
class System:
    """One plain script, and the recipe that stands for it.

    Args:
        recipe: name of the recipe.
        dataset: what it is trained on.
        length: epochs, or steps for linear-64.
        held_out: share of the training images, from their end, that the script validates on.
        script: (images, length) -> Keras model and seconds.
        unit: name of the recipe's parameter for the length.
    """

    recipe: str
    dataset: str
    length: int
    held_out: float
    script: Callable[[Images, int], tuple[Any, float]]
    unit: str = "epochs"

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.recipe} {self.dataset}"


SYSTEMS = (
    System("sigmoid-regression", "mnist", 50, 0.2, plain.sigmoid_regression),
    System("softmax-regression", "mnist", 10, 0.0, plain.softmax_regression),
    System("softmax-regression", "fashion-mnist", 10, 0.0, plain.softmax_regression),
    System("linear-64", "mnist", 2000, 0.0, plain.linear_64, unit="steps"),
    System("mlp-128", "mnist", 10, 0.2, plain.mlp_128),
    System("mlp-128", "fashion-mnist", 100, 0.0, plain.mlp_128),
    System("scratch-512", "mnist", 10, 0.0, plain.scratch_512),
)


def compare(system: System, seeds: int, length: int) -> dict[str, Any]:
    """Train a system both ways and return the figures."""
    from artifacts.training.fit import fit

    raw = official(system.dataset)
    n = round(len(raw.train_labels) * (1 - system.held_out))
    training = scaled(raw.train_images[:n], raw.train_labels[:n])
    test = scaled(raw.test_images, raw.test_labels)
    validation = scaled(raw.train_images[n:], raw.train_labels[n:]) if system.held_out else test
    # No seed for the plain script: after keras.utils.set_random_seed, `fit` shuffles every epoch into the same order,
    # which costs mlp-128 about half a point (docs/log.md); few scripts set it, and the recipe must match the others.
    model, plain_s = system.script(training, length)
    theirs = {"test": accuracy(model, test), "validation": accuracy(model, validation), "seconds": plain_s}
    ours: dict[str, list[float]] = {"test": [], "validation": [], "seconds": []}
    for seed in range(seeds):
        candidate = Candidate(system.recipe, ((system.unit, length),), seed)
        fitted = fit(training, validation, info(system.dataset, training), candidate)
        ours["test"].append(accuracy(fitted.model, test))
        ours["validation"].append(accuracy(fitted.model, validation))
        ours["seconds"].append(fitted.seconds)
    spread = stdev(ours["test"])
    return {
        "plain": theirs,
        "ours": ours,
        "ours_mean": {name: mean(values) for name, values in ours.items()},
        "ours_sd": spread,
        "verdict": verdict(mean(ours["test"]) - theirs["test"], spread),
        "times_faster": plain_s / mean(ours["seconds"]),
        "split": "80/20" if system.held_out else "all of train",
        "length": f"{length} {system.unit}",
    }


def verdict(difference: float, spread: float) -> str:
    """Return `same` within two standard deviations, otherwise which way ours differs."""
    if abs(difference) <= 2 * spread:
        return "same"
    return "better" if difference > 0 else "WORSE"


def line(name: str, figures: dict[str, Any]) -> str:
    """Return one row of the table."""
    theirs, ours = figures["plain"], figures["ours_mean"]
    return (
        f"{name:32} {figures['split']:12} {figures['length']:11} "
        f"{theirs['test']:7.2%} {theirs['seconds']:7.1f} s   "
        f"{ours['test']:7.2%} ± {figures['ours_sd']:.2%} {ours['seconds']:6.1f} s  "
        f"{figures['times_faster']:5.1f}x  {figures['verdict']}"
    )


def main() -> None:
    """Compare the systems asked for and print one row each, then the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of each training, two seeds")
    parser.add_argument("--only", default="", help="systems whose name contains this, such as 'mlp-128 fashion'")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of ours, at least 2")
    parser.add_argument("--json", type=Path, help="keep the figures; systems not run stay as they are")
    options = parser.parse_args()
    prepare_environment()
    print(f"{'system':32} {'split':12} {'length':11} {'plain: test':>7}, time     ours: test, time (mean over seeds)")
    rows: dict[str, dict[str, Any]] = {}
    for system in SYSTEMS:
        if options.only in system.name:
            length = max(1, system.length // 10) if options.quick else system.length
            rows[system.name] = compare(system, 2 if options.quick else options.seeds, length)
            print(line(system.name, rows[system.name]), flush=True)
            keep(options.json, {system.name: rows[system.name], "machine": machine()})
    plain_s = sum(row["plain"]["seconds"] for row in rows.values())
    ours_s = sum(row["ours_mean"]["seconds"] for row in rows.values())
    print(f"all of them: plain {plain_s:.1f} s, ours {ours_s:.1f} s, {plain_s / max(ours_s, 1e-9):.1f} times faster")


if __name__ == "__main__":
    main()
