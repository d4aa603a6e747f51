"""The layout of the repository: documented as it is, in packages of a readable size, with imports that stay light."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import readme

ROOT = Path(__file__).parents[1]
TOP = ("flows", "tasks", "data", "artifacts")
MOST = 10  # modules in a package; more than that is a list, not a table of contents
FEWEST = 2
GROWING = "artifacts/recipes"  # a file per recipe: as many as there are recipes

HISTORY = ("log.md", "CHANGELOG.md")  # may name what was
DOCUMENTS = tuple(path for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]) if path.name not in HISTORY)


def modules(*tops: str) -> Iterator[Path]:
    """Yield every Python file below these folders, relative to the repository's root."""
    for top in tops:
        yield from (path.relative_to(ROOT) for path in sorted((ROOT / top).rglob("*.py")))


PACKAGES = tuple(path.parent.as_posix() for path in modules(*TOP, "benchmarks") if path.name == "__init__.py")
SUBPACKAGES = tuple(name for name in PACKAGES if "/" in name)


def docstring(path: Path) -> str:
    """Return the docstring of a module, or nothing."""
    return ast.get_docstring(ast.parse((ROOT / path).read_text())) or ""


def difference(where: str, expected: set[str], found: set[str]) -> str:
    """Return which lines a document lacks and which it has too many, so that they can be copied; "" if none."""
    lines = [f"add to {where}:", *sorted(expected - found)] if expected - found else []
    lines += [f"remove from {where}:", *sorted(found - expected)] if found - expected else []
    return "\n".join(lines)


# -- what the documents say -------------------------------------------------------------------------------------------


def test_readme_describes_every_package() -> None:
    """The README has a row for every package, with the sentence of its `__init__`, and no other row."""
    expected = {f"| `{name}/` | {docstring(Path(name, '__init__.py'))} |" for name in PACKAGES}
    found = set(re.findall(r"^\| `(?:flows|tasks|data|artifacts|benchmarks)/.*$", readme.README.read_text(), re.M))
    wrong = difference("README.md", expected, found)
    assert not wrong, wrong


def test_architecture_lists_every_module() -> None:
    """The tree in docs/architecture.md has one line per module, and no line for a module that does not exist."""
    tree = re.search(r"```tree\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    assert tree is not None
    listed, folder = [], ""
    for line in tree[1].splitlines():
        name = line.split()[0] if line.split() else ""
        if name.endswith("/"):
            folder = name
        elif name.endswith(".py"):
            assert "#" in line, f"docs/architecture.md does not say what {folder}{name} is for"
            listed.append(folder + name)
    assert [name for name, times in Counter(listed).items() if times > 1] == []
    existing = {path.as_posix() for path in modules(*TOP, "benchmarks") if path.name != "__init__.py"}
    wrong = difference("docs/architecture.md", existing, set(listed))
    hints = [f"{name}: {docstring(Path(name)).partition(chr(10))[0]}" for name in sorted(existing - set(listed))]
    assert not wrong, "\n".join((wrong, "their docstrings:", *hints))


def test_decisions_are_indexed() -> None:
    """Every decision has one line in the index, and its title is `# NNNN Title` with the number of its file."""
    folder = ROOT / "docs" / "decisions"
    files = {path.name for path in folder.glob("[0-9]*.md")}
    indexed = set(re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text()))
    wrong = difference("docs/decisions/README.md", files, indexed)
    assert not wrong, wrong
    for name in sorted(files):
        first = (folder / name).read_text().partition("\n")[0]
        assert re.fullmatch(rf"# {name[:4]} [A-Z].*[^.]", first), (
            f"{name}: title {first!r}, expected '# {name[:4]} ...'"
        )


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_files_that_exist(page: Path) -> None:
    """The path of a module in a document, or its name behind `-m`, is that of a file."""
    text = page.read_text()
    named = set(re.findall(rf"\b(?:{'|'.join((*TOP, 'benchmarks', 'tests'))})(?:/\w+)+\.py\b", text))
    run = re.findall(r"-m ((?:flows|artifacts|benchmarks)[\w.]*\w)", text)
    named |= {f"{name.replace('.', '/')}.py" for name in run}
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", readme.PAGES, ids=lambda path: path.name)
def test_pages_have_the_figures_that_were_measured(page: Path) -> None:
    """What a page says about training is what the figures' file has; another figure would give another page."""
    figures = json.loads(readme.FIGURES.read_text())
    text = page.read_text()
    assert readme.replaced(page, text, figures) == text, "run: python -m benchmarks.readme"
    name = "mlp-128, batch 32, against model.fit"
    changed = {**figures, name: {**figures[name], "ratio": 2 * figures[name]["ratio"]}}
    assert readme.replaced(page, text, changed) != text


# -- how the packages are built ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", SUBPACKAGES)
def test_subpackages_have_a_readable_size(package: str) -> None:
    """A subpackage has 2 to 10 modules; the recipes may have more, a file for each."""
    size = sum(path.name != "__init__.py" for path in (ROOT / package).glob("*.py"))
    most = size if package.startswith(GROWING) else MOST
    assert FEWEST <= size <= most, f"{package} has {size} modules: split it, or move what belongs elsewhere"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_what_belongs_there_and_export_nothing(package: str) -> None:
    """An `__init__` is a docstring of one line, and nothing else."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    assert len(tree.body) == 1, f"{package}/__init__.py holds more than its docstring"
    text = ast.get_docstring(tree) or ""
    assert re.fullmatch(r"[A-Z][^\n]*\.", text), f"{package}/__init__.py: expected one line that ends in a full stop"


def test_packages_are_two_levels_deep_at_most() -> None:
    """Nothing lies more than two folders below a top-level package."""
    assert [name for name in PACKAGES if name.count("/") > 2] == []


@pytest.mark.parametrize("top", TOP)
def test_module_names_are_unique(top: str) -> None:
    """No two modules of a top-level package share a name, so that a name alone says which file is meant."""
    stems = Counter(path.stem for path in modules(top) if path.name != "__init__.py")
    shared = {stem for stem, times in stems.items() if times > 1}
    assert [path.as_posix() for path in modules(top) if path.stem in shared] == []


@pytest.mark.parametrize(
    "module", ["flows.retrain", "flows.commands.main", "artifacts.registry.champions", "artifacts.recipes.catalogue"]
)
def test_imports_stay_light(module: str) -> None:
    """A fresh interpreter that imports this module has loaded neither TensorFlow, Keras nor Great Expectations."""
    heavy = ("tensorflow", "keras", "great_expectations")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_locks_name_no_registry() -> None:
    """The locked requirements have a hash for every package and the address of no registry."""
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text()
        assert "://" not in text, path.name
        pinned = re.findall(r"^[a-z0-9][^\n]*==", text, re.MULTILINE | re.IGNORECASE)
        assert pinned, path.name
        assert text.count("--hash=sha256:") >= len(pinned), path.name
