"""How fast is the loop, beside `model.fit`, and in which time does it reach which accuracy?

    python -m benchmarks.training [--quick] [--rows rates|times|faithful] [--only NAME] [--seeds N] [--json FILE]

The first rows are rates within one run on one machine: the same net, mathematics, data and batch, once through
Keras' `model.fit` and once through the loop; images per second after compilation, the median of several epochs. Where
PyTorch is installed (`pip install torch`), the same nets are trained in a plain loop of its, too. The others are times
to an accuracy, compilation included: mean test accuracy over seeds, and the longest of the seconds. The last row is
the time of all faithful recipes beside their plain scripts; `benchmarks.fidelity` says more about each.
`--quick` runs the first three rows only; the two rows of half an hour take an hour and more. With `--json`, rows add up
over several runs.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from artifacts.recipes.candidate import Candidate
from benchmarks import fidelity, pytorch
from benchmarks.official import Images, accuracy, info, keep, machine, nightly, official
from flows.settings import prepare_environment

EPOCHS = 5  # timed after the one that compiles


@dataclass(frozen=True)
class Goal:
    """A time to an accuracy.

    Args:
        dataset: what it is measured on.
        spec: the candidate.
        accuracy: to reach on the test images, as a mean over seeds.
        seconds: to reach it in, at most.
    """

    dataset: str
    spec: str
    accuracy: float
    seconds: float


LONG = "optimizer=adamw,learning_rate=0.006,warmup=0.2"  # as `vgg` is trained
GOALS = (
    Goal("mnist", "mlp", 0.980, 20.0),
    Goal("fashion-mnist", "mlp", 0.890, 20.0),
    Goal("mnist", "cnn-small:epochs=1,steps=160,shift=0", 0.990, 2.5),
    Goal("mnist", "cnn-small", 0.995, 12.0),
    Goal("mnist", "cnn", 0.995, 40.0),
    Goal("fashion-mnist", "cnn", 0.925, 40.0),
    Goal("fashion-mnist", "cnn", 0.930, 30.0),
    Goal("fashion-mnist", f"cnn:epochs=26,{LONG},weight_decay=0.1,shift=1,beyond=yes,cutout=6", 0.940, 180.0),
    Goal("mnist", f"cnn:members=3,epochs=20,{LONG},weight_decay=0.02,rotation=10,zoom=0.1,beyond=yes", 0.9975, 1800.0),
    Goal("fashion-mnist", "vgg", 0.950, 1800.0),
)


def rate_of_loop(spec: str, training: Images) -> float:
    """Return images per second of a candidate in Nightshift's loop."""
    import keras

    from artifacts.optimization.feed import Feed
    from artifacts.optimization.loop import Loop
    from artifacts.training.devices import choose
    from artifacts.training.fit import dtype_policy

    candidate = Candidate.parse(spec)
    recipe, settings, about = candidate.definition, candidate.resolved(), info("mnist", training)
    plan, device = recipe.plan(about, settings), choose(recipe)
    keras.utils.set_random_seed(0)
    with keras.device(device.name), dtype_policy(device.precision):
        n, feed = len(training.labels), Feed(training, plan.batch)
        loop = Loop(recipe.build(about, settings), plan, n, device.jit)
        return n / _median_s(lambda epoch: loop.epoch(feed, (0, epoch), plan.lengths(n)[0]))


def rate_of_fit(spec: str, training: Images, epochs: int = EPOCHS) -> float:
    """Return images per second of the same net and optimizer in float32 through `model.fit`, as most would write it.

    So with Keras' own batch norm, which computes what ours does.
    """
    import keras

    from artifacts.optimization.schedules import optimizer

    candidate = Candidate.parse(spec)
    recipe, settings, about = candidate.definition, candidate.resolved(), info("mnist", training)
    plan = recipe.plan(about, settings)
    n = len(training.labels)
    model = keras.models.clone_model(recipe.build(about, settings), clone_function=_of_keras)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer(plan, sum(plan.lengths(n)), keras.optimizers.Adam), loss, metrics=["accuracy"])
    few = Images(training.images[: plan.batch * 20], training.labels[: plan.batch * 20])
    model.fit(few.images, few.labels, batch_size=plan.batch, verbose=0)  # compiles
    timed = lambda _: model.fit(training.images, training.labels, batch_size=plan.batch, verbose=0)  # noqa: E731
    return n / _median_s(timed, warm=False, epochs=epochs)


def _of_keras(layer: Any) -> Any:
    """Return a new layer like this one, of Keras' own kind where it is our batch norm."""
    import keras

    from artifacts.recipes.layers import BatchNorm

    kind = keras.layers.BatchNormalization if isinstance(layer, BatchNorm) else type(layer)
    return kind.from_config(layer.get_config())


def beside(spec: str, training: Images) -> dict[str, float]:
    """Return images per second of the same net in PyTorch, in float32 or, if that is faster, bfloat16; or nothing."""
    if not pytorch.installed():
        return {}
    candidate = Candidate.parse(spec)
    recipe, settings, about = candidate.definition, candidate.resolved(), info("mnist", training)
    model, batch = recipe.build(about, settings), recipe.plan(about, settings).batch
    precisions = (False, True) if recipe.bfloat16 else (False,)
    return {"pytorch": max(pytorch.rate(model, training, batch, bfloat16) for bfloat16 in precisions)}


def peak_flops() -> float:
    """Return the machine's float32 matrix-product rate: the best of many products of 2048 x 2048, operations/s."""
    import tensorflow as tf

    size = 2048
    matrix = tf.random.stateless_normal((size, size), (0, 0))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)))
    best = min(_seconds(lambda: float(product())) for _ in range(12))
    return 2 * size**3 / best


def flops_per_image(sizes: tuple[int, ...]) -> int:
    """Return multiplications and additions to train a dense net on one image: forward, weights, and inputs but one."""
    pairs = [2 * here * there for here, there in itertools.pairwise(sizes)]
    return 3 * sum(pairs) - pairs[0]


def rates() -> dict[str, dict[str, Any]]:
    """Return the first three rows."""
    training, _, _ = nightly(official("mnist"))
    rows: dict[str, dict[str, Any]] = {}
    theirs, ours = rate_of_fit("mlp-128", training, epochs=2), rate_of_loop("mlp-128", training)
    rows["mlp-128, batch 32, against model.fit"] = _ratio(ours, theirs, target=12.0) | beside("mlp-128", training)
    _show(rows)
    ours = rate_of_loop("mlp-128:batch=128", training)
    peak, reached = peak_flops(), ours * flops_per_image((784, 128, 10))
    rows["mlp-128, batch 128, share of the float32 matrix-product peak"] = {
        "ours": ours,
        "unit": "images/s",
        "peak_gflops": peak / 1e9,
        "reached_gflops": reached / 1e9,
        "ratio": reached / peak,
        "target": 0.6,
        "met": reached >= 0.6 * peak,
        **beside("mlp-128:batch=128", training),
    }
    _show(rows)
    theirs, ours = rate_of_fit("cnn", training, epochs=1), rate_of_loop("cnn", training)
    rows["cnn against model.fit in float32"] = _ratio(ours, theirs, target=1.8) | beside("cnn", training)
    _show(rows)
    return rows


def time_to(goal: Goal, seeds: int) -> dict[str, Any]:
    """Return how a goal's candidate does with several seeds, and whether that is enough."""
    figures = _trainings(goal.dataset, goal.spec, seeds)
    return {
        **figures,
        "target": goal.accuracy,
        "target_seconds": goal.seconds,
        "met": figures["test_mean"] >= goal.accuracy and max(figures["seconds"]) <= goal.seconds,
    }


@cache
def _trainings(dataset: str, spec: str, seeds: int) -> dict[str, Any]:
    """Train a candidate with several seeds and return the figures."""
    from artifacts.training.fit import fit

    training, validation, test = nightly(official(dataset))
    about = info(dataset, training)
    scores, validated, seconds = [], [], []
    for seed in range(seeds):
        fitted = fit(training, validation, about, Candidate.parse(spec, seed))
        scores.append(accuracy(fitted.model, test))
        validated.append(fitted.history[-1].val_accuracy)
        seconds.append(fitted.seconds)
    return {
        "candidate": spec,
        "test": scores,
        "test_mean": mean(scores),
        "test_sd": stdev(scores) if seeds > 1 else None,
        "validation_mean": mean(validated),
        "seconds": seconds,
    }


def faithful(seeds: int, length: float = 1.0) -> dict[str, dict[str, Any]]:
    """Return the row of the faithful recipes: seconds of all their systems together, ours the mean over seeds.

    Args:
        seeds: of ours, at least 2.
        length: share of each training, for a try.
    """
    compared = [fidelity.compare(system, seeds, max(1, round(system.length * length))) for system in fidelity.SYSTEMS]
    theirs, ours = (sum(row[who]["seconds"] for row in compared) for who in ("plain", "ours_mean"))
    row = {**_ratio(1 / ours, 1 / theirs, target=10.0), "ours": ours, "baseline": theirs, "unit": "s"}
    rows = {"faithful recipes against plain scripts": {**row, "accuracy": [one["verdict"] for one in compared]}}
    _show(rows)
    return rows


def _ratio(ours: float, theirs: float, target: float) -> dict[str, Any]:
    ratio = ours / theirs
    return {
        "ours": ours,
        "baseline": theirs,
        "unit": "images/s",
        "ratio": ratio,
        "target": target,
        "met": ratio >= target,
    }


def _show(rows: dict[str, dict[str, Any]]) -> None:
    """Print the newest row."""
    name, row = list(rows.items())[-1]
    verdict = "met" if row["met"] else "MISSED"
    if "baseline" in row:
        text = f"{row['ours']:9,.0f} against {row['baseline']:7,.0f} {row['unit']}: {row['ratio']:5.1f}x"
        target = f"at least {row['target']:g}x"
    elif "ratio" in row:
        text = f"{row['reached_gflops']:.0f} of {row['peak_gflops']:.0f} Gflop/s ({row['ours']:,.0f} images/s): "
        text, target = text + f"{row['ratio']:.0%}", f"at least {row['target']:.0%}"
    else:
        spread = "" if row["test_sd"] is None else f" ± {row['test_sd']:.2%}"
        text = f"{row['test_mean']:.2%}{spread} in {max(row['seconds']):.1f} s with {row['candidate']}"
        target = f"{row['target']:.2%} in {row['target_seconds']:g} s"
    if "pytorch" in row:
        text += f"; PyTorch {row['pytorch']:,.0f} images/s"
    print(f"{name:62} {text}   (target {target}: {verdict})", flush=True)


def _median_s(epoch: Callable[[int], Any], warm: bool = True, epochs: int = EPOCHS) -> float:
    if warm:
        epoch(0)
    return median(_seconds(partial(epoch, index)) for index in range(1, epochs + 1))


def _seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> None:
    """Measure the rows asked for and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the first three rows only, at most 90 s")
    parser.add_argument("--rows", choices=["all", "rates", "times", "faithful"], default="all", help="which rows")
    parser.add_argument("--only", default="", help="times of candidates that contain this, such as 'cnn'")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the times to an accuracy")
    parser.add_argument("--json", type=Path, help="keep the figures; rows not run stay as they are")
    options = parser.parse_args()
    prepare_environment()
    if options.quick or options.rows in ("all", "rates"):
        keep(options.json, {**rates(), "machine": machine()})
    if options.rows in ("all", "times") and not options.quick:
        for goal in GOALS:
            name = f"{goal.dataset} to {goal.accuracy:.2%} in {goal.seconds:g} s"
            if options.only in f"{goal.dataset} {goal.spec}":
                rows = {name: time_to(goal, options.seeds)}
                _show(rows)
                keep(options.json, rows)
    if options.rows in ("all", "faithful") and not options.quick:
        keep(options.json, faithful(max(options.seeds, 2)))


if __name__ == "__main__":
    main()
