"""Training in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from artifacts.recipes.candidate import Candidate
from artifacts.training.child import Apart
from artifacts.training.fit import Progress
from data.errors import OutOfMemory, TrainingFailed
from data.processes import Process
from data.store import Store
from tests.artifacts.small import prepare


def test_model_trained_apart_is_whole_and_scored(store: Store, tmp_path: Path) -> None:
    """Progress arrives while it works, and the files are those of a training here."""
    prepared, seen = prepare(store), list[Progress]()
    with Apart() as apart:
        result = apart.train(store, prepared, Candidate.parse("tiny:epochs=2"), tmp_path, "cpu", seen.append)
        scores = apart.evaluate(store, prepared, tmp_path)
    assert [one.epoch for one in seen] == [1, 2]
    assert result.epochs == 2
    assert scores.test.n_examples == 500
    assert {"model.keras", "training.json", "metrics.json", "requests.npy", "interface.json"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_refusal_there_is_the_same_refusal_here(store: Store, tmp_path: Path) -> None:
    """The kind of error, what came, and what to do travel back."""
    with Apart() as apart, pytest.raises(TrainingFailed, match="TensorFlow sees no GPU") as refused:
        apart.train(store, prepare(store), Candidate.parse("tiny"), tmp_path, "gpu")
    assert refused.value.hint


def test_memory_that_ends_is_told_from_other_deaths(store: Store, tmp_path: Path) -> None:
    """A real limit on memory, and a real kill."""
    prepared = prepare(store)
    limited = ["prlimit", "--as=2500000000"]  # less than TensorFlow's own libraries take
    with Apart(prefix=limited) as apart, pytest.raises(OutOfMemory, match="ran out of memory"):
        apart.train(store, prepared, Candidate.parse("tiny"), tmp_path, "cpu")
    with Apart() as apart:
        os.kill(apart.pid, signal.SIGKILL)
        with pytest.raises(TrainingFailed, match="SIGKILL") as died:
            apart.train(store, prepared, Candidate.parse("tiny"), tmp_path, "cpu")
    assert not isinstance(died.value, OutOfMemory)


def test_process_apart_ends_with_whoever_started_it() -> None:
    """Even if that one is killed and can tell nobody."""
    script = "from artifacts.training.child import Apart; import time; print(Apart().pid, flush=True); time.sleep(300)"
    starter = subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    apart = Process.of(int(starter.stdout.readline()))
    assert not apart.gone
    starter.kill()
    starter.wait()
    deadline = time.monotonic() + 60
    while not apart.gone and time.monotonic() < deadline:
        time.sleep(0.05)
    assert apart.gone
