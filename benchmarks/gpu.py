"""What does a bare machine with a GPU train at? Keras, NumPy, pyarrow, pydantic and TensorFlow or JAX suffice.

    KERAS_BACKEND=jax python -m benchmarks.gpu [--data DIR] [--images N] [--json FILE] [CANDIDATE ...]

DIR has the four IDX files of MNIST or the like, packed or not; without it, images are made up, and accuracies say
nothing. Per candidate: images/s after the first epoch, which compiles; seconds to a validation accuracy, compilation
included; accuracy on the test images; and beside them images/s of the same net in float32 through `model.fit`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.optimization.feed import dataset_info
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.recipe import DatasetInfo
from artifacts.training.fit import Fitted, fit
from benchmarks.official import Images, accuracy, keep, machine, nightly
from data.dataset import Geometry, RawData
from data.sources.idx import read_idx, unpack

# Dense: the tutorial's net in its batches of 32, and a larger one; conv: the default champion. What they should reach.
GOALS = {"mlp-128": 0.97, "mlp": 0.98, "cnn": 0.99}
FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
MOST_BYTES = 1 << 30  # of one file, unpacked


def read(folder: Path) -> RawData:
    """Return the images and labels of a folder."""
    return RawData(**{role: _array(folder, name) for role, name in FILES.items()})


def _array(folder: Path, name: str) -> Any:
    path = folder / name if (folder / name).exists() else folder / f"{name}.gz"
    array = read_idx(unpack(path.read_bytes(), MOST_BYTES, str(path)), str(path))
    return array if array.ndim == 3 else array.astype(np.int64)


def made_up(n: int) -> RawData:
    """Return n training images and a sixth as many for testing: a pattern per class, under noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 128, (10, 28, 28), np.uint8)

    def some(n: int) -> tuple[Any, Any]:
        labels = rng.integers(0, 10, n)
        return patterns[labels] + rng.integers(0, 128, (n, 28, 28), np.uint8), labels

    (images, labels), (test_images, test_labels) = some(n), some(max(n // 6, 10))
    return RawData(images, labels, test_images, test_labels)


def first(raw: RawData, n: int) -> RawData:
    """Return the first n training images, and all test images."""
    return RawData(raw.train_images[:n], raw.train_labels[:n], raw.test_images, raw.test_labels)


def rate_of_fit(candidate: Candidate, info: DatasetInfo, training: Images) -> float:
    """Return images per second of one epoch of `model.fit`, after a short one that compiles."""
    import keras

    from artifacts.optimization.schedules import optimizer

    recipe, settings = candidate.definition, candidate.resolved()
    plan, model = recipe.plan(info, settings), recipe.build(info, settings)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    steps = sum(plan.lengths(info.n_train))
    model.compile(optimizer(plan, steps, keras.optimizers.Adam), loss, metrics=["accuracy"])
    few = plan.batch * 20
    model.fit(training.images[:few], training.labels[:few], batch_size=plan.batch, verbose=0)
    started = time.perf_counter()
    model.fit(training.images, training.labels, batch_size=plan.batch, verbose=0)
    return len(training.labels) / (time.perf_counter() - started)


def figures(fitted: Fitted, goal: float, baseline: float, test: Images) -> dict[str, Any]:
    """Return what there is to say about a training."""
    rates = [progress.images_per_s for progress in fitted.history[1:] or fitted.history]
    ours = len(rates) / sum(1 / rate for rate in rates)
    reached = [progress.seconds for progress in fitted.history if progress.val_accuracy >= goal]
    return {
        "device": f"{fitted.device.backend} on {fitted.device.description}",
        "jit": fitted.device.jit,
        "precision": fitted.device.precision,
        "ours": ours,
        "baseline": baseline,
        "ratio": ours / baseline,
        "goal": goal,
        "seconds_to_goal": reached[0] if reached else None,
        "seconds": fitted.seconds,
        "epochs": len(fitted.history),
        "test": accuracy(fitted.model, test),
    }


def line(spec: str, row: dict[str, Any]) -> str:
    """Return a row as text."""
    when = "not reached" if row["seconds_to_goal"] is None else f"after {row['seconds_to_goal']:.1f} s"
    return (
        f"{spec:12} {row['ours']:11,.0f} images/s, model.fit {row['baseline']:9,.0f}: {row['ratio']:6.1f}x; "
        f"{row['goal']:.0%} of validation {when}; test {row['test']:.2%} after {row['epochs']} epochs, "
        f"{row['seconds']:.1f} s ({row['device']}, {row['precision']})"
    )


def main() -> None:
    """Train the candidates asked for and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", nargs="*", default=list(GOALS), help="such as cnn or mlp:batch=1024")
    parser.add_argument("--data", type=Path, help="a folder with four IDX files")
    parser.add_argument("--images", type=int, default=60_000, help="training images, validation included")
    parser.add_argument("--device", choices=["auto", "gpu", "cpu"], default="auto")
    parser.add_argument("--json", type=Path, help="keep the figures")
    options = parser.parse_args()
    raw = first(read(options.data), options.images) if options.data else made_up(options.images)
    if not options.data:
        print("no --data: the images are made up, so rates mean something and accuracies do not", flush=True)
    training, validation, test = nightly(raw)
    info = dataset_info(training, Geometry(*raw.train_images.shape[1:]), int(raw.train_labels.max()) + 1)
    keep(options.json, {"machine": machine(), "data": str(options.data.name) if options.data else "made up"})
    for spec in options.candidates:
        candidate = Candidate.parse(spec)
        fitted = fit(training, validation, info, candidate, device=options.device)
        baseline = rate_of_fit(candidate, info, training)
        row = figures(fitted, GOALS.get(candidate.recipe, 0.97), baseline, test)
        print(line(spec, row), flush=True)
        keep(options.json, {spec: row})


if __name__ == "__main__":
    main()
