"""The same recipes on TensorFlow and on JAX, each in processes of its own: Keras chooses its backend once."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from artifacts.models.provenance import CHECKOUT

pytestmark = pytest.mark.slow

pytest.importorskip("jax")

BACKENDS = ("tensorflow", "jax")

# What JAX compiled is kept for as long as the tests run, so that no process compiles the same network twice: that
# saves a third of their time.
COMPILED = TemporaryDirectory(prefix="nightshift-jax-")
JAX_CACHE = {
    "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def python(backend: str, *arguments: str) -> None:
    """Run Python on a backend; its output is the reason if it fails."""
    environment = {**os.environ, **JAX_CACHE, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def on_backend(backend: str, *argv: str) -> None:
    """Run tests.artifacts.backends.on_backend where the other backend is not installed."""
    python(backend, "-m", "tests.artifacts.backends.on_backend", *argv, *(set(BACKENDS) - {backend}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per backend with what it trained, and the answers of both to what is in it."""
    folders = {backend: tmp_path_factory.mktemp(backend) for backend in BACKENDS}
    for backend, folder in folders.items():
        on_backend(backend, "train", str(folder))
    for backend, folder in folders.items():
        on_backend(BACKENDS[1 - BACKENDS.index(backend)], "ask", str(folder))
    return folders


@pytest.mark.parametrize("family", ["dense", "conv"])
@pytest.mark.parametrize("trained_on", BACKENDS)
def test_a_model_answers_alike_on_either_backend(made: dict[str, Path], trained_on: str, family: str) -> None:
    """A model file loads in a fresh process on the other backend and gives the same logits within 1e-4."""
    folder = made[trained_on]
    here, there = (np.load(folder / f"{family}-{backend}.npy") for backend in BACKENDS)
    assert here.shape[1] == 10
    assert np.ptp(here) > 1  # logits of a network that has learned something
    np.testing.assert_allclose(here, there, atol=1e-4)


@pytest.mark.parametrize("family", ["dense", "conv"])
def test_recipes_learn_on_both(made: dict[str, Path], family: str) -> None:
    """A short training on the bundled sample gets most images right, and records its backend."""
    for backend, folder in made.items():
        result = json.loads((folder / "results.json").read_text())[family]
        assert result["backend"] == backend
        assert result["val_accuracy"] > 0.6


def test_both_end_at_the_same_weights(made: dict[str, Path]) -> None:
    """From the same weights, with every switch of the loop and batch norm, both train and measure the same network."""
    ours, theirs = ([*np.load(made[backend] / "switched.npz").values()] for backend in BACKENDS)
    assert len(ours) == len(theirs) == 8
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)
    results = [json.loads((made[backend] / "results.json").read_text()) for backend in BACKENDS]
    np.testing.assert_allclose(results[0]["measured"], results[1]["measured"], atol=1e-4)


def test_a_full_memory_is_recognised(made: dict[str, Path]) -> None:
    """The error that each backend really raises for want of memory is recognised, and no other is."""
    assert all(json.loads((folder / "results.json").read_text())["full"] for folder in made.values())


def test_the_tests_of_training_pass_on_jax(tmp_path: Path) -> None:
    """Every switch of the loop, resuming, streaming and repeating: what is tested on TensorFlow, tested on JAX."""
    chosen = "test_loop or same_seed or kill or streamed or finite"
    files = [
        "tests/artifacts/optimization/test_loop.py",
        "tests/artifacts/training/test_fit.py",
        "tests/artifacts/training/test_train.py",
    ]
    python(
        "jax", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, f"--basetemp={tmp_path / 'jax'}", *files
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gpu_benchmark_needs_little(tmp_path: Path, backend: str) -> None:
    """It runs where only Keras, NumPy, pyarrow, pydantic and the backend, with what they need, are installed."""
    missing = ["prefect", "great_expectations", "pandas", "pydantic_settings", "cyclopts", "sqlalchemy", "pynvml"]
    missing += ["fastapi", "PIL", "matplotlib", "duckdb", *(set(BACKENDS) - {backend})]
    argv = ["gpu", "tiny", "--images", "600", "--device", "cpu", "--json", str(tmp_path / "figures.json")]
    code = f"""
import runpy, sys
from tests.artifacts.backends.missing import Missing
sys.meta_path.insert(0, Missing(*{missing}))
sys.argv = {argv}
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""
    python(backend, "-c", code)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["data"] == "made up"
    assert figures["tiny"]["device"].startswith(f"{backend} on cpu")
    assert figures["tiny"]["ours"] > 0
    assert figures["tiny"]["baseline"] > 0
    assert figures["tiny"]["test"] > 0.5


def test_backends_are_imported_in_one_place_each() -> None:
    """Outside of its own module, nothing that a night runs imports TensorFlow or JAX."""
    found = {
        path.relative_to(CHECKOUT).as_posix()
        for package in ("artifacts", "data", "tasks", "flows")
        for path in (CHECKOUT / package).rglob("*.py")
        if re.search(r"^\s*(import|from) (tensorflow|jax)\b", path.read_text(), re.MULTILINE)
        and path.name != "reproduce.py"  # lies beside exported models, and runs where Nightshift is not installed
    }
    assert found == {"artifacts/backends/jax.py", "artifacts/backends/tensorflow.py"}
