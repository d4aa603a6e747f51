"""Training in a child process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.recipes import catalogue, tiny
from artifacts.recipes.candidate import Candidate
from artifacts.training.child import ChildTrainer
from artifacts.training.history import Progress
from data.child_process import PACKAGES
from data.errors import OutOfMemory, TrainingFailed
from data.home.processes import Process
from data.home.store import Store
from tests.artifacts.small import prepare

pytestmark = pytest.mark.slow


@pytest.fixture
def other_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a recipe that only a module of NIGHTSHIFT_RECIPES has."""
    assert tiny.__file__
    text = Path(tiny.__file__).read_text().replace('name="tiny"', 'name="other"')
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "other_recipe.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "_searched", [])
        catalogue.search(["other_recipe"])
        yield "other"
    catalogue.search([])


def test_a_child_reports_progress_trains_and_evaluates(store: Store, tmp_path: Path, other_recipe: str) -> None:
    """It finds the same recipes, writes the same files, and an error there is the same error here."""
    prepared, seen = prepare(store), list[Progress]()
    with ChildTrainer() as child:
        with pytest.raises(TrainingFailed, match="TensorFlow sees no GPU") as refused:
            child.train(store, prepared, Candidate.parse("tiny"), tmp_path, "gpu")
        result = child.train(store, prepared, Candidate.parse(f"{other_recipe}:epochs=2"), tmp_path, "cpu", seen.append)
        scores = child.evaluate(store, prepared, tmp_path)
    assert refused.value.hint
    assert [one.epoch for one in seen] == [1, 2]
    assert result.epochs == 2
    assert scores.test.n_examples == 500
    assert {"model.keras", "training.json", "metrics.json", "requests.npy", "interface.json"} <= {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.fault("F-38")
def test_death_by_memory_is_distinguished_from_other_deaths(store: Store, tmp_path: Path) -> None:
    """A real limit on memory, and a real kill."""
    prepared = prepare(store)
    limited = ["prlimit", "--as=2500000000"]  # less than TensorFlow's own libraries take
    with ChildTrainer(prefix=limited) as child, pytest.raises(OutOfMemory, match="ran out of memory"):
        child.train(store, prepared, Candidate.parse("tiny"), tmp_path, "cpu")
    with ChildTrainer() as child:
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(TrainingFailed, match="SIGKILL") as died:
            child.train(store, prepared, Candidate.parse("tiny"), tmp_path, "cpu")
    assert not isinstance(died.value, OutOfMemory)


def test_a_child_ends_with_the_process_that_started_it() -> None:
    """Even if that one is killed and cannot end anything itself."""
    script = (
        "import time; from artifacts.training.child import ChildTrainer; print(ChildTrainer().pid, flush=True); "
        "time.sleep(300)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=PACKAGES, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = Process.of(int(parent.stdout.readline()))
    assert not child.gone
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while not child.gone and time.monotonic() < deadline:
        time.sleep(0.05)
    assert child.gone
