"""The console script as a person uses it: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.samples import write_idx_folder

pytestmark = pytest.mark.slow

COMMANDS = [
    "retrain",
    "smoke",
    "datasets",
    "recipes",
    "models",
    "show",
    "history",
    "champion",
    "predict",
    "rollback",
    "approve",
    "decline",
    "verify",
    "why",
    "diff",
    "replay",
    "bar",
    "lift",
    "pin",
    "unpin",
    "gc",
    "status",
    "server",
    "keys",
    "deploy",
    "reconcile",
    "doctor",
    "home",
    "card",
    "export",
    "serve",
]


def nightshift(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from flows.commands.main import main; main()", *arguments],
        env={**os.environ, "NIGHTSHIFT_HOME": str(home), **environment},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, tmp_path: Path) -> None:
    """`--help` of each command shows what it does, and an example where it takes arguments."""
    ran = nightshift(tmp_path, command, "--help")
    assert ran.returncode == 0
    assert f"Usage: nightshift {command}" in ran.stdout
    if command not in ("datasets", "recipes", "models", "server", "keys", "home"):  # they are groups of commands
        assert "Example: " in ran.stdout
        assert f"nightshift {command}" in ran.stdout.partition("Example: ")[2]


def test_help_lists_every_command_once_on_a_line_of_its_own(tmp_path: Path) -> None:
    """`nightshift --help` has one line for each command, even in 80 columns."""
    shown = nightshift(tmp_path, "--help", COLUMNS="80").stdout
    rows = [line.strip("│ ") for line in shown.splitlines() if line.startswith("│")]
    assert sorted(row.split()[0] for row in rows) == sorted([*COMMANDS, "--help", "--install-completion", "--version"])


def test_misspelt_dataset_is_refused_with_a_guess(tmp_path: Path) -> None:
    """A misspelt dataset costs no server start, names the nearest one, and leaves no home behind."""
    ran = nightshift(tmp_path / "home", "retrain", "fashon-mnist")
    assert ran.returncode == 2
    assert "did you mean 'fashion-mnist'?" in ran.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("cnnn", "did you mean 'cnn'"),
        ("mlp:epochs=zero", "epochs expected a whole number in 1.."),
        ("mlp:epoch=3", "'epochs'"),
    ],
)
def test_misspelt_recipe_or_parameter_is_refused(recipe: str, message: str, tmp_path: Path) -> None:
    """A recipe, a parameter or a value that is invalid is refused before anything starts."""
    ran = nightshift(tmp_path / "home", "retrain", "mnist-sample", "--recipe", recipe)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--min-accuracy", "1.2", "policy: min_accuracy expected a number in 0..1, got 1.2"),
        ("--margin", "0", "policy: margin expected a number in 0.0001..0.2, got 0.0"),
        ("--max-lost", "much", "unable to convert"),
        ("--promote-when", "always", 'Invalid value "always" for --promote-when'),
    ],
)
def test_an_invalid_policy_is_refused(flag: str, value: str, message: str, tmp_path: Path) -> None:
    """A value out of its bounds is refused with the bounds before anything starts."""
    ran = nightshift(tmp_path / "home", "retrain", "mnist-sample", flag, value)
    assert ran.returncode == 2
    assert message in ran.stdout + ran.stderr
    assert not (tmp_path / "home").exists()


def test_unknown_option_is_refused(tmp_path: Path) -> None:
    """What the command line cannot parse has the exit code of bad input."""
    assert nightshift(tmp_path, "retrain", "--datset", "mnist").returncode == 2


@pytest.mark.fault("F-43")
def test_read_only_home_is_explained(tmp_path: Path) -> None:
    """A home that cannot be written is reported at once, with what to do."""
    file = tmp_path / "file"
    file.write_text("no folder")
    ran = nightshift(file / "home", "retrain", "mnist-sample")
    assert ran.returncode == 1
    assert "point NIGHTSHIFT_HOME at a folder" in ran.stderr


def test_own_dataset_is_known_everywhere(tmp_path: Path) -> None:
    """A dataset that was added is listed, and removing it makes it unknown again."""
    folder = write_idx_folder(tmp_path / "mine", height=9, width=12, n_classes=3)
    added = nightshift(tmp_path / "home", "datasets", "add", "mine", str(folder), "--classes", "a", "b", "c")
    assert added.returncode == 0, added.stderr
    assert "9 × 12 pixels, grey" in added.stdout
    assert "3 classes; added" in added.stdout
    listed = json.loads(nightshift(tmp_path / "home", "datasets", "--json").stdout)
    assert [row["class_names"] for row in listed if row["name"] == "mine"] == [["a", "b", "c"]]
    assert nightshift(tmp_path / "home", "datasets", "remove", "mine").returncode == 0
    assert nightshift(tmp_path / "home", "datasets", "remove", "mine").returncode == 2


def test_an_empty_home_says_what_to_do(tmp_path: Path) -> None:
    """Before the first night every command succeeds or says what to do."""
    for question in (("models",), ("history", "mnist"), ("champion", "mnist")):
        ran = nightshift(tmp_path, *question)
        assert "nightshift retrain" in ran.stdout
    assert nightshift(tmp_path, "verify").returncode == 0
    assert nightshift(tmp_path, "show", "mnist/1").returncode == 2
    assert nightshift(tmp_path, "champion", "mnist", "--at", "yesterday").returncode == 2


def test_repair_continues_after_a_dataset_that_cannot_be_repaired(tmp_path: Path) -> None:
    """A pointer written by newer code is reported and left as it is; another dataset's damaged one is rebuilt."""
    home = Store(tmp_path)
    nights.night(home, "good")
    whole = home.champion("mnist").read_bytes()
    home.champion("mnist").write_bytes(b"{}")
    newer = home.champion("fashion-mnist")
    newer.parent.mkdir(parents=True)
    newer.write_text('{"schema": 2}')
    ran = nightshift(tmp_path, "verify", "--repair")
    assert ran.returncode == 1
    assert "fashion-mnist cannot be repaired" in ran.stdout
    assert "mnist/1 is champion" in ran.stdout
    assert home.champion("mnist").read_bytes() == whole
    assert newer.read_text() == '{"schema": 2}'
