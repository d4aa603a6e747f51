"""Does memory grow with the dataset? Trains on more images than are kept in memory, and watches what it takes.

    python -m benchmarks.memory [--images 2000000] [--recipe mlp-128] [--json FILE]
    python -m benchmarks.memory --night [--images 2000000] [--shape 28x28] [--recipe tiny] [--until STEP] [--json FILE]

Synthetic images (random rectangles, so that they compress like real ones) are written as prepared Parquet files into a
temporary home by one process; a second one trains one epoch from them in chunks, a third one on as many of them as
fit into memory. Memory is the largest resident size minus that of the same process after a training on 1,000 images.

With `--night` every step of a night is measured instead: benchmarks/night_memory.py.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.optimization.feed import IN_MEMORY_BYTES
from artifacts.recipes.candidate import Candidate
from benchmarks import night_memory
from benchmarks.official import Images, keep, machine
from data import catalogue
from data.dataset import Geometry, RawData
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from flows.settings import prepare_environment

REF = PreparedRef("mnist", "0" * 64)


def images(n: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return n images of one bright rectangle each, whose row decides the class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    left, width = rng.integers(4, 12, n), rng.integers(6, 12, n)
    columns = np.arange(28)
    lit = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    rows = np.abs(np.arange(28) - (4 + 2 * labels)[:, None]) <= 1
    shade = rng.integers(100, 256, n, np.uint8)
    return (rows[:, :, None] & lit[:, None, :]) * shade[:, None, None], labels


def write(home: Path, n: int) -> None:
    """Publish n synthetic images as a prepared dataset."""
    store = Store(home)
    dataset = replace(catalogue.get(store, "mnist"), n_train=n, n_test=1000)
    raw = RawData(*images(n, 0), *images(1000, 1))
    with store.publish(store.prepared(REF.digest)) as draft:
        draft.meta.update(parquet.write_splits(draft.path, dataset, raw, raw_digest=""))


def train(home: Path, spec: str, in_memory: bool) -> dict[str, Any]:
    """Train one epoch, from chunks or in memory, and return its rate and the memory it took."""
    from artifacts.optimization import feed
    from artifacts.training.fit import fit
    from artifacts.training.train import train

    candidate, few = Candidate.parse(spec), _scaled(*images(1000, 2))
    fit(few, few, feed.dataset_info(few, Geometry(28, 28), 10), candidate)
    before = _peak_mib()
    if in_memory:
        some = _scaled(*images(IN_MEMORY_BYTES // (4 * 784), 3))
        fitted = fit(some, few, feed.dataset_info(some, Geometry(28, 28), 10), candidate)
        return {"images_per_s": fitted.history[-1].images_per_s}
    with tempfile.TemporaryDirectory() as folder:
        result = train(Store(home), REF, candidate, Path(folder))
    return {
        "images_per_s": result.images_per_s,
        "images": result.n_train,
        "mib": _peak_mib() - before,
        "val_accuracy": result.history[-1].val_accuracy,
    }


def _scaled(raw: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Images:
    return Images(np.asarray(raw / np.float32(255), np.float32), labels)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts KiB


def _in_process_of_its_own(*arguments: str) -> dict[str, Any]:
    """Run one stage in a process of its own, so that no stage sees another's memory."""
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Run the three stages and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2_000_000, help="training and validation images together")
    parser.add_argument("--recipe", help="candidate; the rate is that of its last epochs")
    parser.add_argument("--json", type=Path, help="keep the figures")
    parser.add_argument("--stage", choices=["write", "stream", "memory", *night_memory.STEPS], help=argparse.SUPPRESS)
    parser.add_argument("--night", action="store_true", help="measure every step of a night")
    parser.add_argument("--shape", type=night_memory.shape_of, default=(28, 28), help="of an image: 28x28 or 64x64x3")
    parser.add_argument("--until", choices=night_memory.STEPS, default="report", help="the last step of the night")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.recipe = options.recipe or ("tiny" if options.night else "mlp-128:epochs=2")
    prepare_environment()
    if options.night:
        night_memory.night(options.shape, options.images, options.recipe, options.json, options.until)
    elif options.stage in night_memory.STEPS:
        night_memory.run_step(options.home, options.stage, options.recipe)
    elif options.stage == "write":
        write(options.home, options.images)
        print("{}")
    elif options.stage:
        print(json.dumps(train(options.home, options.recipe, in_memory=options.stage == "memory")))
    else:
        with tempfile.TemporaryDirectory() as home:
            common = ("--home", home, "--images", str(options.images), "--recipe", options.recipe)
            _in_process_of_its_own("--stage", "write", *common)
            streamed, whole = (
                _in_process_of_its_own("--stage", "stream", *common),
                _in_process_of_its_own("--stage", "memory", *common),
            )
        share = streamed["images_per_s"] / whole["images_per_s"]
        print(
            f"{options.recipe}: {streamed['images']:,} images in {streamed['mib']:.0f} MiB beyond TensorFlow's own, "
            f"{streamed['images_per_s']:,.0f} images/s, {share:.0%} of the rate in memory"
        )
        row = {**streamed, "share_of_rate_in_memory": share, "in_memory_images_per_s": whole["images_per_s"]}
        keep(options.json, {f"chunks, {options.recipe}": row, "machine": machine()})


if __name__ == "__main__":
    main()
