"""The console script as a person uses it: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from data.store import Store
from tests.artifacts.registry import nights
from tests.samples import write_idx_folder

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
    "verify",
    "why",
    "diff",
    "replay",
    "bar",
    "lift",
    "status",
    "deploy",
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
    said = nightshift(tmp_path, command, "--help")
    assert said.returncode == 0
    assert f"Usage: nightshift {command}" in said.stdout
    if command not in ("datasets", "models"):
        assert "Example: " in said.stdout
        assert f"nightshift {command}" in said.stdout.partition("Example: ")[2]


def test_misspelt_dataset_is_refused_with_a_guess(tmp_path: Path) -> None:
    """A misspelt dataset costs no server start, names the nearest one, and leaves no home behind."""
    said = nightshift(tmp_path / "home", "retrain", "fashon-mnist")
    assert said.returncode == 2
    assert "did you mean 'fashion-mnist'?" in said.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("cnnn", "did you mean 'cnn'"),
        ("mlp:epochs=zero", "epochs expected a whole number in 1.."),
        ("mlp:epoch=3", "'epochs'"),
    ],
)
def test_misspelt_recipe_or_parameter_is_refused(recipe: str, told: str, tmp_path: Path) -> None:
    """A recipe, a parameter or a value that cannot be is refused before anything starts."""
    said = nightshift(tmp_path / "home", "retrain", "mnist-sample", "--recipe", recipe)
    assert said.returncode == 2
    assert told in said.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--min-accuracy", "1.2", "policy: min_accuracy expected a number in 0..1, got 1.2"),
        ("--margin", "0", "policy: margin expected a number in 0.0001..0.2, got 0.0"),
        ("--max-lost", "much", "unable to convert"),
        ("--promote-when", "always", 'Invalid value "always" for --promote-when'),
    ],
)
def test_a_policy_that_cannot_be_is_refused(flag: str, value: str, told: str, tmp_path: Path) -> None:
    """A requirement out of its bounds is refused with its bounds before anything starts."""
    said = nightshift(tmp_path / "home", "retrain", "mnist-sample", flag, value)
    assert said.returncode == 2
    assert told in said.stdout + said.stderr
    assert not (tmp_path / "home").exists()


def test_unknown_option_is_refused(tmp_path: Path) -> None:
    """What the command line cannot parse has the exit code of bad input."""
    assert nightshift(tmp_path, "retrain", "--datset", "mnist").returncode == 2


def test_read_only_home_is_explained(tmp_path: Path) -> None:
    """A home that cannot be written is said at once, with what to do."""
    file = tmp_path / "file"
    file.write_text("no folder")
    said = nightshift(file / "home", "retrain", "mnist-sample")
    assert said.returncode == 1
    assert "point NIGHTSHIFT_HOME at a folder" in said.stderr


def test_own_dataset_is_known_everywhere(tmp_path: Path) -> None:
    """A dataset that was added is listed, and removing it makes it unknown again."""
    folder = write_idx_folder(tmp_path / "mine", height=9, width=12, n_classes=3)
    added = nightshift(tmp_path / "home", "datasets", "add", "mine", str(folder), "--classes", "a", "b", "c")
    assert added.returncode == 0, added.stderr
    assert "9×12, 3 classes" in added.stdout
    listed = json.loads(nightshift(tmp_path / "home", "datasets", "--json").stdout)
    assert [row["class_names"] for row in listed if row["name"] == "mine"] == [["a", "b", "c"]]
    assert nightshift(tmp_path / "home", "datasets", "remove", "mine").returncode == 0
    assert nightshift(tmp_path / "home", "datasets", "remove", "mine").returncode == 2


def test_an_empty_home_answers_politely(tmp_path: Path) -> None:
    """Before the first night every question has an answer that says what to do."""
    for question in (("models",), ("history", "mnist"), ("champion", "mnist")):
        said = nightshift(tmp_path, *question)
        assert "nightshift retrain" in said.stdout
    assert nightshift(tmp_path, "verify").returncode == 0
    assert nightshift(tmp_path, "show", "mnist/1").returncode == 2
    assert nightshift(tmp_path, "champion", "mnist", "--at", "yesterday").returncode == 2


def test_repair_goes_on_behind_what_cannot_be_repaired(tmp_path: Path) -> None:
    """A pointer written by newer code is left alone and told of; another dataset's damaged one is written anew."""
    home = Store(tmp_path)
    nights.night(home, "good")
    whole = home.champion("mnist").read_bytes()
    home.champion("mnist").write_bytes(b"{}")
    newer = home.champion("fashion-mnist")
    newer.parent.mkdir(parents=True)
    newer.write_text('{"schema": 2}')
    said = nightshift(tmp_path, "verify", "--repair")
    assert said.returncode == 1
    assert "fashion-mnist cannot be repaired" in said.stdout
    assert "mnist/1 is champion" in said.stdout
    assert home.champion("mnist").read_bytes() == whole
    assert newer.read_text() == '{"schema": 2}'
