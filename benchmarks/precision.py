"""Is a recipe's accuracy unharmed by mixed bfloat16? The same seeds in float32 beside it, on this processor.

    python -m benchmarks.precision CANDIDATE ... [--dataset NAME] [--seeds N] [--json FILE]

A recipe says `bfloat16=True` only after this has been run; a long one, such as `vgg`, for a few epochs. Prints for
both precisions the mean accuracy with its standard error and the mean cross-entropy on validation images, the mean
accuracy on test images, and the seconds; and the mean difference of the pairs, bfloat16 less float32, with its
standard error.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from artifacts.recipes.candidate import Candidate
from artifacts.recipes.catalogue import recipes
from benchmarks.official import accuracy, info, keep, nightly, official
from flows.settings import prepare_environment

PRECISIONS = {"mixed_bfloat16": True, "float32": False}


@contextmanager
def allowed(recipe: str, bfloat16: bool) -> Iterator[None]:
    """Let a recipe allow bfloat16, or not, for a while."""
    kept = recipes()[recipe]
    recipes()[recipe] = replace(kept, bfloat16=bfloat16)
    try:
        yield
    finally:
        recipes()[recipe] = kept


def compare(dataset: str, spec: str, seeds: int) -> dict[str, Any]:
    """Return the figures of a candidate in both precisions, one of each per seed, in turn.

    Raises:
        SystemExit: this processor has no bfloat16, so there is nothing to compare.
    """
    from artifacts.training.fit import fit

    training, validation, test = nightly(official(dataset))
    about = info(dataset, training)
    rows: dict[str, Any] = {
        name: {"validation": [], "cross_entropy": [], "test": [], "seconds": []} for name in PRECISIONS
    }
    for seed in range(seeds):
        candidate = Candidate.parse(spec, seed)
        for name, bfloat16 in PRECISIONS.items():
            with allowed(candidate.recipe, bfloat16):
                fitted = fit(training, validation, about, candidate)
            if fitted.device.precision != name:
                raise SystemExit(
                    f"expected {name}, trained in {fitted.device.precision}: {fitted.device.precision_rule}"
                )
            last, row = fitted.history[-1], rows[name]
            row["validation"].append(last.val_accuracy)
            row["cross_entropy"].append(last.val_loss)
            row["test"].append(accuracy(fitted.model, test))
            row["seconds"].append(fitted.seconds)
    return rows


def show(title: str, rows: dict[str, Any]) -> None:
    """Print both precisions and what lies between them."""
    print(title)
    for name, row in rows.items():
        print(
            f"  {name:14}  validation {_percent(row['validation'])}, cross-entropy {mean(row['cross_entropy']):.4f}; "
            f"test {_percent(row['test'])}; {mean(row['seconds']):.1f} s"
        )
    for what in ("validation", "test"):
        pairs = zip(*(rows[name][what] for name in PRECISIONS), strict=True)
        print(f"  difference      {what} {_percent([here - there for here, there in pairs], sign='+')}", flush=True)


def _percent(values: Sequence[float], sign: str = "") -> str:
    """Return the mean with its standard error, in percent."""
    return f"{mean(values):{sign}.2%} ± {stdev(values) / len(values) ** 0.5:.2%}"


def main() -> None:
    """Compare the candidates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", nargs="+", help="such as cnn or vgg:epochs=2,members=1")
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--json", type=Path, help="keep the figures")
    options = parser.parse_args()
    prepare_environment()
    for spec in options.candidates:
        rows = compare(options.dataset, spec, max(options.seeds, 2))
        show(f"{options.dataset}, {spec}, {max(options.seeds, 2)} seeds", rows)
        keep(options.json, {f"{options.dataset} {spec}": rows})


if __name__ == "__main__":
    main()
