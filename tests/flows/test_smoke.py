"""The smoke flow: nothing needed, nothing left behind, and a loud failure when something gets through."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from prefect.states import Completed, Failed

from artifacts.models.provenance import CHECKOUT
from data.errors import Broken, SourceUnavailable
from data.home.store import Store
from flows import smoke

pytestmark = pytest.mark.slow

LOOPBACK = 'ip link set lo up 2>/dev/null || ifconfig lo up; exec "$@"'
ALONE = ["unshare", "--net", "--map-root-user", "sh", "-c", LOOPBACK, "-"]


def _no_network() -> list[str]:
    """Return what to put before a command so that it has no network but its own loopback."""
    look = [*ALONE, "sh", "-c", "grep -q 'lo:' /proc/net/dev && (ip link show lo || ifconfig lo) | grep -q UP"]
    if not shutil.which("unshare") or subprocess.run(look, capture_output=True, check=False).returncode:
        pytest.skip("a process cannot be cut off from the network here: it takes unshare, ip and the right to use them")
    return ALONE


def test_smoke_passes_without_a_network_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """`nightshift smoke` refuses, promotes and rejects what it must, whatever Prefect its user has, and cleans up."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "NIGHTSHIFT_HOME": str(home / "var"),
        "NIGHTSHIFT_MIRRORS": "http://127.0.0.1:9",
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PREFECT_HOME": str(home / "prefect"),
    }
    command = [*_no_network(), str(Path(sys.executable).parent / "nightshift"), "smoke", "--json"]
    ran = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout)
    assert "mnist-sample-corrupted failed" in outcome["refused"]
    assert outcome["promoted"].startswith("PROMOTED: ")
    assert outcome["rejected"].startswith("NOT PROMOTED (REJECT): ")
    caches = {".cache", ".config", ".keras"}  # what matplotlib and Keras write wherever they are used
    assert {path.name for path in home.iterdir()} <= caches
    assert {path.name for path in temporary.iterdir()} <= {"__pycache__"}  # TensorFlow's; it is empty


def test_corrupted_data_that_passes_breaks_the_smoke_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the expectations let the corrupted data through, the run says so and fails."""
    monkeypatch.setattr(smoke, "prepare", lambda *_, **__: Completed(data="prepared"))
    with pytest.raises(Broken, match="expected the corrupted data"):
        smoke._refused(store)


def test_data_that_is_stopped_by_something_else_is_no_proof(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that does not answer must not pass for expectations that refuse."""
    monkeypatch.setattr(smoke, "prepare", lambda *_, **__: Failed(data=SourceUnavailable("no mirror answers")))
    with pytest.raises(SourceUnavailable):
        smoke._refused(store)


def test_a_bad_model_that_is_promoted_breaks_the_smoke_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the gate lets a model through that guesses, the run says so and fails."""
    night = SimpleNamespace(promoted=True, headline="PROMOTED", reason="14.00 % on 500 images")
    monkeypatch.setattr(smoke, "_night", lambda _recipe: night)
    with pytest.raises(Broken, match=r"a model that guesses to be rejected, but PROMOTED: 14.00 %"):
        smoke._rejected(store)


def test_a_good_model_that_is_not_promoted_breaks_the_smoke_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that refuses everything must not pass for one that works."""
    night = SimpleNamespace(promoted=False, headline="NOT PROMOTED (REJECT)", reason="it takes too long")
    monkeypatch.setattr(smoke, "_night", lambda _recipe: night)
    with pytest.raises(Broken, match="expected the first good model to become champion, but NOT PROMOTED"):
        smoke._promoted(store)


def test_the_corrupted_copy_differs_from_the_sample_in_nothing_but_labels(store: Store) -> None:
    """What is to be refused has the sample's images, its counts and its statistics to live up to."""
    from data import catalogue
    from data.sources import source

    corrupted, sample = smoke._plant_corrupted(store), catalogue.get(store, smoke.SAMPLE)
    assert corrupted.reference == sample.reference
    read = {row.name: source.read_raw(store, row, source.download(store, row)) for row in (corrupted, sample)}
    bad, good = read[corrupted.name], read[sample.name]
    assert (bad.train_images == good.train_images).all()
    assert sorted(bad.train_labels) == sorted(good.train_labels)
    assert (bad.train_labels != good.train_labels).mean() > 0.5


def test_the_workflow_for_users_runs_commands_that_exist() -> None:
    """The ready-made workflow is valid YAML, may only read, and runs targets of the Makefile on a locked file."""
    checkout = CHECKOUT
    workflow = yaml.safe_load((checkout / "docs" / "ci" / "nightshift-smoke.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML takes the word "on" for a truth value
    steps = workflow["jobs"]["smoke"]["steps"]
    targets = re.findall("^([a-z-]+):", (checkout / "Makefile").read_text(), flags=re.MULTILINE)
    commands = [step["run"] for step in steps if "run" in step]
    assert commands == ["make setup", "make smoke"]
    assert {command.split()[1] for command in commands} <= set(targets)
    python = next(step["with"] for step in steps if "python-version" in step.get("with", {}))
    assert (checkout / python["cache-dependency-path"]).is_file()
