"""What each step of a night takes in memory: `python -m benchmarks.memory --night`.

A synthetic dataset is written as uncompressed IDX files, piece by piece, and added as a row. Each step then runs in a
process of its own, which imports its libraries, is watched from outside (`benchmarks/resident.py`), and passes its
references on. `own` is what the process has allocated; `resident` includes the pages of mapped files.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.official import keep, machine
from benchmarks.resident import StepFailed, take_part, watch
from data.dataset import Dataset, RawRef, SourceFile
from data.home.files import file_sha256
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from data.sources import source
from data.sources.idx import IdxWriter
from data.statistics.summary import reference_of, summarise
from data.validation.results import ValidationRef
from data.values import canonical_json, digest_of, from_json

NAME, CLASSES, TRAINED = "synthetic", 10, "0" * 64
FEW = 14_000  # images on which a step is tried first, where that imports its libraries
PIECE = 20_000  # images drawn at a time
TEST_SHARE = 7  # one image in so many is a test image, as in MNIST
Shape = tuple[int, ...]


def draw(shape: Shape, n: int, seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return n different images of a bright bar, whose height in the image decides the class, and their labels.

    Args:
        shape: of an image.
        n: number of images.
        seed: of the split, and number of the first image in it: no two pieces have the same, however many there are.
    """
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
            some = draw(shape, min(PIECE, size - start), (seed, start))
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
    return lambda: {"raw": source.download(store, row).digest}


def _validate(store: Store, row: Dataset, state: dict[str, Any], _recipe: str) -> Callable[[], dict[str, Any]]:
    from data.validation import expectations

    with TemporaryDirectory() as home:  # a few images first: Great Expectations imports most of itself when it is used
        other = Store(Path(home))
        small = write_dataset(other, row.geometry.shape, FEW)
        expectations.check(other, small, source.download(other, small))
    return lambda: {"validation": expectations.check(store, row, RawRef(NAME, state["raw"])).digest}


def _normalise(store: Store, row: Dataset, state: dict[str, Any], _recipe: str) -> Callable[[], dict[str, Any]]:
    from data.prepared import parquet

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
    from artifacts.evaluation.metrics import measure
    from artifacts.evaluation.test_set import read_test_set
    from artifacts.models import predictions
    from artifacts.reporting.report import write_report
    from artifacts.reporting.summary import CandidateRow, NightReport, ScoredImages

    def step() -> dict[str, Any]:
        tests = read_test_set(store, PreparedRef(NAME, state["prepared"]))
        found = predictions.read(store.trained(TRAINED) / "predictions-test.parquet")
        shown = np.roll(found.probabilities, 1, axis=1)  # so that there are mistakes to show
        metrics = measure(tests.labels, shown)
        night = NightReport(
            run="memory",
            dataset=NAME,
            title=row.title,
            class_names=row.class_names,
            started=datetime.now(UTC),
            finished=datetime.now(UTC),
            verdict="HOLD",
            reason="this was measured, not decided",
            candidates=[CandidateRow(name="one", recipe="tiny", validation=metrics, test=metrics)],
            winner="one",
            test_images=ScoredImages(tests.images, tests.labels, shown),
        )
        write_report(store.root / "report", night)
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


def run_step(home: Path, name: str, recipe: str) -> None:
    """Run one step in this process, which `night` watches, and keep the references that it returns."""
    state = json.loads((home / "state.json").read_bytes())
    take_part(STEPS[name](Store(home), from_json(Dataset, state["row"]), state, recipe))


def night(shape: Shape, n: int, recipe: str, json_path: Path | None, until: str) -> None:
    """Run the steps up to and with one, each in a process of its own, and print a line for each."""
    rows = {}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        state: dict[str, Any] = {"row": add(Store(home), shape, n)}
        print(f"{n:,} images of {' × '.join(map(str, shape))}, MiB above the libraries", flush=True)
        for name in list(STEPS)[: list(STEPS).index(until) + 1]:
            (home / "state.json").write_text(json.dumps(state))
            command = [sys.executable, "-m", "benchmarks.memory", "--stage", name, "--home", folder, "--recipe", recipe]
            try:
                rows[name], result = watch(command)
            except StepFailed:
                sys.exit(f"{name} failed")
            state |= result
            print(as_line(name, rows[name]), flush=True)
    key = f"night, {n} × {'x'.join(map(str, shape))}, {recipe}"
    keep(json_path, {key: rows, "machine": machine()} if json_path else {})


def add(store: Store, shape: Shape, n: int) -> dict[str, Any]:
    """Write a dataset and its row into the home, as `nightshift datasets add` does; return the row as JSON.

    The statistics of its images are pinned, as `add` pins them.
    """
    written = write_dataset(store, shape, n)
    raw = source.read_raw(store, written, source.download(store, written))
    table = summarise(raw, written.ground, store.scratch().parent)
    row = asdict(replace(written, reference=reference_of(table, CLASSES)))
    store.write_bytes(store.dataset_rows() / f"{NAME}.json", canonical_json({"row": row, "digest": digest_of(row)}))
    return row


def as_line(name: str, measured: dict[str, float]) -> str:
    """Return one step's figures as a line of text."""
    own, resident, seconds, worked = (measured[key] for key in ("own_mib", "resident_mib", "seconds", "cpu_seconds"))
    return f"{name:10} own {own:6.0f}  resident {resident:6.0f}  {seconds:6.1f} s  {worked:6.1f} CPU seconds"


def shape_of(text: str) -> Shape:
    """Return the shape that "28x28" or "64x64x3" names."""
    shape = tuple(int(side) for side in text.split("x"))
    if len(shape) not in (2, 3) or min(shape) < 1 or shape[0] < CLASSES or shape[2:] not in ((), (3,)):
        raise argparse.ArgumentTypeError(f"expected 28x28 or 64x64x3, a height of {CLASSES} at least, got {text}")
    return shape
