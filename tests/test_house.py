"""The walls of the house: what the README says lies where, and what an import may drag in."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import readme

ROOT = Path(__file__).parents[1]
PACKAGES = ("flows", "tasks", "data", "artifacts", "benchmarks")


def tracked(*patterns: str) -> set[str]:
    """Return the files git tracks below the repository's root."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def test_readme_tree_lists_every_module() -> None:
    """The README's tree has one line per module, and no line for a module that is not there."""
    tree = re.search(r"```tree\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert tree is not None
    told, folder = set(), ""
    for line in tree[1].splitlines():
        name = line.split("#")[0].split()[0] if line.split("#")[0].split() else ""
        if name.endswith("/") and not line.startswith(" "):
            folder = name
        elif name.endswith(".py"):
            told.add(folder + name)
    there = {name for name in tracked("*.py") if name.split("/")[0] in PACKAGES and not name.endswith("__init__.py")}
    assert told == there


def test_readme_has_the_figures_that_were_measured() -> None:
    """The section on training is what the figures' file gives; another figure would give another section."""
    figures = json.loads(readme.FIGURES.read_text())
    text = readme.README.read_text()
    assert readme.replaced(text, figures) == text
    name, row = next((name, row) for name, row in figures.items() if "baseline" in row)
    assert readme.replaced(text, {**figures, name: {**row, "ours": 2 * row["ours"]}}) != text


@pytest.mark.parametrize(
    "module", ["flows.retrain", "flows.commands.main", "artifacts.registry.champions", "artifacts.recipes.catalogue"]
)
def test_imports_stay_light(module: str) -> None:
    """A fresh interpreter that imports this module has loaded neither TensorFlow nor Great Expectations."""
    code = (
        f"import sys, {module}; print([m for m in ('tensorflow', 'keras', 'great_expectations') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_only_the_settings_read_the_environment() -> None:
    """`os.environ` and `os.getenv` appear in flows/settings.py alone."""
    readers = {
        name
        for name in tracked("*.py")
        if name.split("/")[0] in PACKAGES and re.search(r"os\.(environ|getenv|putenv)", (ROOT / name).read_text())
    }
    assert readers == {"flows/settings.py"}


def test_locks_name_no_registry() -> None:
    """The locked requirements have a hash for every package and the address of none."""
    for name in sorted(tracked("requirements/*.txt")):
        text = (ROOT / name).read_text()
        assert "://" not in text, name
        pinned = re.findall(r"^[a-z0-9][^\n]*==", text, re.MULTILINE | re.IGNORECASE)
        assert pinned, name
        assert text.count("--hash=sha256:") >= len(pinned), name
