"""What each step of a night takes in memory: `python -m benchmarks.memory --night`.

A synthetic dataset is written as uncompressed IDX files, piece by piece, and added as a row. Each step then runs in a
process of its own, which imports its libraries, notes what it takes, and watches it until the step is done:

- `own`: what the process has allocated, which the kernel cannot take back (RssAnon + RssShmem);
- `resident`: with the pages of mapped files, which are dropped as soon as another process needs memory.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.official import keep, machine
from data.dataset import Dataset, RawRef, SourceFile
from data.files import file_sha256
from data.idx import IdxWriter
from data.parquet import PreparedRef
from data.store import Store
from data.validation import ValidationRef
from data.values import canonical_json, digest_of, from_json

NAME, CLASSES, TRAINED = "synthetic", 10, "0" * 64
FEW = 14_000  # images on which a step is tried first, where that imports its libraries
PIECE = 20_000  # images drawn at a time
TEST_SHARE = 7  # one image in so many is a test image, as in MNIST
FIELDS = {"RssAnon", "RssShmem", "RssFile"}
Shape = tuple[int, ...]


def draw(shape: Shape, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n different images of a bright bar, whose height in the image decides the class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(n) % CLASSES
    height, width = shape[:2]
    rows = (np.arange(height) * CLASSES // height) == labels[:, None]
    images = np.zeros((n, *shape), np.uint8)
    images[rows] = rng.integers(90, 256, (int(rows.sum()), width, *shape[2:]), np.uint8)
    return images, labels.astype(np.uint8)


def write_dataset(store: Store, shape: Shape, n: int) -> Dataset:
    """Write the four files into the home and return their row; memory does not grow with n."""
    sizes = {"train": n - n // TEST_SHARE, "test": n // TEST_SHARE}
    files = {}
    for seed, (split, size) in enumerate(sizes.items()):
        paths = {what: store.raw(NAME, f"{split}-{what}.idx") for what in ("images", "labels")}
        paths["images"].parent.mkdir(parents=True, exist_ok=True)
        images, labels = IdxWriter(paths["images"], shape), IdxWriter(paths["labels"], ())
        for start in range(0, size, PIECE):
            some = draw(shape, min(PIECE, size - start), seed * 1_000_000 + start)
            images.append(some[0])
            labels.append(some[1])
        images.close()
        labels.close()
        for what, path in paths.items():
            sha256, size_bytes = file_sha256(path), path.stat().st_size
            files[f"{split}_{what}"] = SourceFile(path.name, sha256, size_bytes, sha256, size_bytes)
    return Dataset(
        name=NAME,
        title="Synthetic",
        mirrors=(),
        files=files,
        height=shape[0],
        width=shape[1],
        n_train=sizes["train"],
        n_test=sizes["test"],
        class_names=tuple(map(str, range(CLASSES))),
        licence="",
        citation="",
        mirror_symmetric=False,
        reference=None,
        channels=3 if len(shape) == 3 else 1,
        ground=(0,) * (3 if len(shape) == 3 else 1),
    )


# -- the steps: each imports its libraries first, and returns what is measured ----------------------------------


def _download(store: Store, row: Dataset, _state: dict[str, Any], _recipe: str) -> Callable[[], dict[str, Any]]:
    from data import source

    return lambda: {"raw": source.download(store, row).digest}


def _validate(store: Store, row: Dataset, state: dict[str, Any], _recipe: str) -> Callable[[], dict[str, Any]]:
    from data import expectations, source

    with TemporaryDirectory() as home:  # a few images first: Great Expectations imports most of itself when it is used
        other = Store(Path(home))
        small = write_dataset(other, row.geometry.shape, FEW)
        expectations.check(other, small, source.download(other, small))
    return lambda: {"validation": expectations.check(store, row, RawRef(NAME, state["raw"])).digest}


def _normalise(store: Store, row: Dataset, state: dict[str, Any], _recipe: str) -> Callable[[], dict[str, Any]]:
    from data import parquet

    raw, validation = RawRef(NAME, state["raw"]), ValidationRef(NAME, state["validation"])
    return lambda: {"prepared": parquet.normalise(store, row, raw, validation).digest}


def _train(store: Store, _row: Dataset, state: dict[str, Any], recipe: str) -> Callable[[], dict[str, Any]]:
    from artifacts.models.loading import import_keras
    from artifacts.recipes.candidate import Candidate
    from artifacts.training.train import train

    import_keras()

    def step() -> dict[str, Any]:
        with store.publish(store.trained(TRAINED)) as draft:
            train(store, PreparedRef(NAME, state["prepared"]), Candidate.parse(recipe), draft.path)
        return {}

    return step


def _evaluate(store: Store, _row: Dataset, state: dict[str, Any], _recipe: str) -> Callable[[], dict[str, Any]]:
    from artifacts.evaluation.evaluate import evaluate
    from artifacts.models.loading import import_keras

    import_keras()

    def step() -> dict[str, Any]:
        evaluate(store, PreparedRef(NAME, state["prepared"]), store.trained(TRAINED))
        return {}

    return step


def _rescore(store: Store, _row: Dataset, state: dict[str, Any], _recipe: str) -> Callable[[], dict[str, Any]]:
    from artifacts.evaluation.test_set import read_test_set
    from artifacts.judging.scoring import score_images
    from artifacts.models import loading
    from artifacts.models.bundle import MODEL

    loading.import_keras()

    def step() -> dict[str, Any]:
        path = store.trained(TRAINED) / MODEL
        score_images(loading.load(path, file_sha256(path)), read_test_set(store, PreparedRef(NAME, state["prepared"])))
        return {}

    return step


def _report(store: Store, row: Dataset, state: dict[str, Any], _recipe: str) -> Callable[[], dict[str, Any]]:
    from artifacts.evaluation.test_set import read_test_set
    from artifacts.models import predictions
    from artifacts.reporting import sheets

    def step() -> dict[str, Any]:
        tests = read_test_set(store, PreparedRef(NAME, state["prepared"]))
        found = predictions.read(store.trained(TRAINED) / "predictions-test.parquet")
        shown = np.roll(found.probabilities, 1, axis=1)  # so that there are mistakes to show
        sheets.mistakes(tests.images, tests.labels, shown, row.class_names, store.root / "mistakes.png")
        return {}

    return step


STEPS = {
    "download": _download,
    "validate": _validate,
    "normalise": _normalise,
    "train": _train,
    "evaluate": _evaluate,
    "rescore": _rescore,
    "report": _report,
}


# -- measuring --------------------------------------------------------------------------------------------------


def resident() -> tuple[float, float]:
    """Return what this process has allocated, and that with its mapped files, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.split(":")[0] in FIELDS}
    own = found["RssAnon"] + found["RssShmem"]
    return own, own + found["RssFile"]


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Yield a mapping that holds the peaks above the start, in MiB, when the block is over; 100 samples a second."""
    before, peak, over = resident(), list(resident()), threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            peak[:] = map(max, peak, resident())

    result: dict[str, float] = {}
    thread, started = threading.Thread(target=watch, daemon=True), time.monotonic()
    thread.start()
    try:
        yield result
    finally:
        over.set()
        thread.join()
        peak[:] = map(max, peak, resident())
        own, everything = (high - low for high, low in zip(peak, before, strict=True))
        result.update(own_mib=own, resident_mib=everything, seconds=time.monotonic() - started)


def run_step(home: Path, name: str, recipe: str) -> dict[str, Any]:
    """Run one step in this process and return what it took."""
    store, path = Store(home), home / "state.json"
    state = json.loads(path.read_bytes())
    step = STEPS[name](store, from_json(Dataset, state["row"]), state, recipe)
    with watched() as measured:
        result = step()
    path.write_text(json.dumps({**state, **result}))
    return measured


def night(shape: Shape, n: int, recipe: str, json_path: Path | None) -> None:
    """Run all steps, each in a process of its own, and print a line for each."""
    rows = {}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        row = write_dataset(Store(home), shape, n)
        content = asdict(row)
        line = canonical_json({"row": content, "digest": digest_of(content)})
        Store(home).write_bytes(Store(home).dataset_rows() / f"{NAME}.json", line)  # as `nightshift datasets add` does
        (home / "state.json").write_text(json.dumps({"row": content}))
        print(f"{n:,} images of {' × '.join(map(str, shape))}, MiB above the libraries", flush=True)
        for name in STEPS:
            command = [sys.executable, "-m", "benchmarks.memory", "--stage", name, "--home", folder, "--recipe", recipe]
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                sys.exit(f"{name} failed")
            rows[name] = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{name:10} own {rows[name]['own_mib']:6.0f}  resident {rows[name]['resident_mib']:6.0f}  "
                f"{rows[name]['seconds']:6.1f} s",
                flush=True,
            )
    if json_path:
        keep(json_path, {f"night, {n} × {'x'.join(map(str, shape))}, {recipe}": rows, "machine": machine()})


def shape_of(text: str) -> Shape:
    """Return the shape that "28x28" or "64x64x3" names."""
    shape = tuple(int(side) for side in text.split("x"))
    if len(shape) not in (2, 3) or min(shape) < 1 or shape[2:] not in ((), (3,)):
        raise argparse.ArgumentTypeError(f"expected 28x28 or 64x64x3, got {text}")
    return shape
