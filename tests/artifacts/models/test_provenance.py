import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from artifacts.models import provenance
from artifacts.models.provenance import Provenance
from artifacts.recipes import catalogue
from data.errors import Corrupt
from data.values import canonical_json
from tests.artifacts.registry import nights

KNOWN: dict[str, Any] = {
    "run_id": "run",
    "dataset": "mnist",
    "raw_digest": "r",
    "prepared_digest": "p",
    "test_digest": "t",
    "recipe": "tiny",
    "parameters": {"epochs": 1, "hidden": [32, 16]},
    "seed": 3,
    "weights_digest": "w",
    "device": "cpu",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    root = tmp_path / "checkout"
    (root / "data").mkdir(parents=True)
    (root / "artifacts" / "training").mkdir(parents=True)
    (root / "data" / "splits.py").write_text("x = 1\n")
    (root / "artifacts" / "training" / "train.py").write_text("from data import splits\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return root


def git(root: Path, *arguments: str) -> str:
    """Run git there."""
    return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True).stdout


def test_what_is_collected_survives_json(checkout: Path) -> None:
    """What the caller knows, and what this process and the checkout add to it."""
    collected = provenance.collect(checkout, backend="tensorflow", **KNOWN)
    assert Provenance.from_json(json.loads(canonical_json(collected.to_json()))) == collected
    assert (collected.git_commit, collected.git_dirty) == (git(checkout, "rev-parse", "HEAD").strip(), False)
    assert collected.lock_digest is None
    assert collected.libraries.keys() >= {"keras", "numpy", "pyarrow"}
    assert {name: getattr(collected, name) for name in KNOWN} == KNOWN


def test_a_parent_is_recorded_only_where_there_is_one(checkout: Path) -> None:
    """What earlier code wrote has no such fields, and is read; what began with new weights is written as before."""
    cold = provenance.collect(checkout, backend="tensorflow", **KNOWN)
    assert not {"parent", "parent_weights"} & cold.to_json().keys()
    assert Provenance.from_json(cold.to_json()).parent == ""
    warm = provenance.collect(checkout, backend="tensorflow", **KNOWN, parent="mnist/3", parent_weights="w3")
    assert Provenance.from_json(warm.to_json()) == warm
    assert warm.to_json()["parent"] == "mnist/3"


def test_only_the_backend_in_use_is_named() -> None:
    """A training on one backend is never taken for one on another, whichever are installed."""
    tensorflow, jax = provenance.library_versions("tensorflow"), provenance.library_versions("jax")
    assert "tensorflow" in tensorflow
    assert "jax" not in tensorflow
    assert "tensorflow" not in jax
    assert tensorflow.keys() & jax.keys() == {"keras", "numpy", "pyarrow"}


def test_a_change_makes_the_checkout_dirty(checkout: Path) -> None:
    """A changed file, or a new one that nobody ignores."""
    (checkout / "new.py").write_text("")
    assert provenance.git_state(checkout)[1] is True
    (checkout / ".git" / "info" / "exclude").write_text("new.py\n")
    assert provenance.git_state(checkout)[1] is False
    (checkout / "data" / "splits.py").write_text("x = 2\n")
    assert provenance.git_state(checkout)[1] is True


def test_outside_a_checkout_nothing_is_claimed(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither without a checkout, nor inside somebody else's, nor on a machine without git."""
    assert provenance.git_state(tmp_path) == (None, None)
    assert provenance.git_state(checkout / "data") == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git_state(checkout) == (None, None)


def test_a_checkout_without_a_commit_has_none(tmp_path: Path, checkout: Path) -> None:
    """The very first moments of a repository."""
    git(tmp_path, "init", "-q", "empty")
    assert provenance.git_state(tmp_path / "empty") == (None, False)


def test_the_code_digest_follows_what_training_runs_through(checkout: Path) -> None:
    """Whatever training, evaluation or a recipe import, at any depth, even inside a function; nothing else."""
    for folder in ("recipes", "evaluation", "reporting"):
        (checkout / "artifacts" / folder).mkdir()
    digests = [provenance.code_digest(checkout)]
    for name, content in {
        "artifacts/reporting/report.py": "z = 3\n",
        "data/source.py": "from artifacts.training import train\n",
        "artifacts/notes.txt": "hello\n",
    }.items():
        (checkout / name).write_text(content)
        assert provenance.code_digest(checkout) == digests[0]
    for name, content in {
        "data/splits.py": "x = 2\n",
        "artifacts/recipes/cnn.py": "def build():\n    import keras\n    from artifacts import layers\n",
        "artifacts/layers.py": "import data.idx as idx\n",
        "data/idx.py": "",
        "artifacts/evaluation/evaluate.py": "from artifacts.evaluation.metrics import measure\n",
        "artifacts/evaluation/metrics.py": "",
    }.items():
        (checkout / name).write_text(content)
        digests.append(provenance.code_digest(checkout))
    (checkout / "artifacts" / "recipes" / "cnn.py").rename(checkout / "artifacts" / "recipes" / "mlp.py")
    digests.append(provenance.code_digest(checkout))
    assert len(set(digests)) == 8


def test_the_code_digest_of_this_repository_leaves_out_what_comes_after_training() -> None:
    """The gate, the registry and the reports may change without a model being trained again."""
    names = set(provenance.sources())
    assert names >= {
        "artifacts/training/train.py",
        "artifacts/optimization/loop.py",
        "artifacts/recipes/cnn.py",
        "data/prepared/parquet.py",
    }
    assert not names & {
        "artifacts/gate/judge.py",
        "artifacts/registry/champions.py",
        "artifacts/reporting/report.py",
        "artifacts/operations/verify.py",
    }


def test_the_lock_digest_follows_the_locked_requirements(checkout: Path) -> None:
    """Any of the files, wherever setup keeps them."""
    (checkout / "requirements.txt").write_text("numpy==2\n")
    one = provenance.lock_digest(checkout)
    (checkout / "requirements").mkdir()
    (checkout / "requirements" / "gpu.txt").write_text("cuda==13\n")
    two = provenance.lock_digest(checkout)
    (checkout / "requirements.txt").write_text("numpy==2.1\n")
    assert len({one, two, provenance.lock_digest(checkout), None}) == 4


@pytest.mark.fault("F-44")
@pytest.mark.parametrize("change", [{"schema": 2}, {"surprise": 1}, {"seed": None, "schema": None}])
def test_another_schema_is_refused(change: dict[str, Any]) -> None:
    """With the fields that differ."""
    with pytest.raises(Corrupt, match="expected provenance of schema 1"):
        Provenance.from_json({**nights.provenance("a", "run").to_json(), **change})
    value = nights.provenance("a", "run").to_json()
    del value["seed"]
    with pytest.raises(Corrupt, match="seed missing or too many"):
        Provenance.from_json(value)


def test_the_code_digest_follows_recipes_from_elsewhere(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of NIGHTSHIFT_RECIPES counts, with its package and what it imports from there, even relatively."""
    package = tmp_path / "their_team"
    (package / "recipes").mkdir(parents=True)
    for name in ("__init__.py", "recipes/__init__.py", "shapes.py", "notes.py"):
        (package / name).write_text("")
    (package / "recipes" / "net.py").write_text("def build():\n    from ..shapes import wide\n    import torch\n")
    without = provenance.code_digest(checkout)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "_searched", ["their_team.recipes.net", "no_such_module"])
    theirs = {name for name in provenance.sources(checkout) if name.startswith("their_team/")}
    assert theirs == {
        f"their_team/{name}" for name in ("__init__.py", "recipes/__init__.py", "recipes/net.py", "shapes.py")
    }
    digests = [without, provenance.code_digest(checkout)]
    for name in ("notes.py", "shapes.py", "recipes/net.py", "__init__.py"):
        (package / name).write_text("x = (")  # cannot be imported, and does not stop the digest
        digests.append(provenance.code_digest(checkout))
    assert digests[1] == digests[2]
    assert len(set(digests)) == 5
