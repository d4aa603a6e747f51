"""What a model was made from: everything that has to be the same to get the same model again."""

import ast
import contextlib
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data.errors import Corrupt
from data.home.files import file_sha256
from data.values import digest_of

SCHEMA = 1
CHECKOUT = Path(__file__).parents[2]
OPTIONAL = {"parent", "parent_weights"}  # fields that are not written where they are empty
LIBRARIES = ("keras", "numpy", "pyarrow")
BACKENDS = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib")}
# Where a candidate comes from; whatever these import, at any depth, counts as code that made it.
ORIGINS = ("artifacts/training/train.py", "artifacts/evaluation/evaluate.py", "artifacts/recipes/**/*.py")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a trained model comes from.

    Args:
        run_id: id of the run.
        dataset: name of the dataset.
        raw_digest: digest of the four source files.
        prepared_digest: digest of the Parquet files.
        test_digest: digest of the test split; the ledger counts by it how often a test set was used.
        recipe: name of the recipe.
        parameters: all parameters of the recipe, defaults included.
        seed: of initialisation, shuffling and augmentation.
        weights_digest: digest of the trained weights; identifies the model, whichever file holds them.
        code_digest: digest of the source files that influence a training.
        git_commit: 40 hexadecimal digits; None outside a checkout.
        git_dirty: whether there were uncommitted changes; None outside a checkout.
        lock_digest: digest of the locked requirements; None without such files.
        python: version of Python.
        libraries: versions of the libraries that compute, by name.
        platform: operating system and processor type.
        device: what it was trained on, for people.
        parent: the version whose weights the training began with, as "mnist/3"; empty if it began with new ones.
        parent_weights: the digest of these weights; empty likewise.
    """

    run_id: str
    dataset: str
    raw_digest: str
    prepared_digest: str
    test_digest: str
    recipe: str
    parameters: Mapping[str, Any]
    seed: int
    weights_digest: str
    code_digest: str
    git_commit: str | None
    git_dirty: bool | None
    lock_digest: str | None
    python: str
    libraries: Mapping[str, str]
    platform: str
    device: str
    parent: str = ""
    parent_weights: str = ""

    @property
    def digests(self) -> dict[str, str]:
        """The digests that the ledger records."""
        return {
            "weights": self.weights_digest,
            "raw": self.raw_digest,
            "prepared": self.prepared_digest,
            "test": self.test_digest,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object, without a parent that there is not; the inverse of `from_json`."""
        values = {name: value for name, value in asdict(self).items() if value or name not in OPTIONAL}
        return {"schema": SCHEMA, **values}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Provenance":
        """Read what `to_json` gave.

        Raises:
            Corrupt: another schema, or a field is missing or too many.
        """
        names = {field.name for field in fields(cls)}
        wrong = (value.keys() ^ {"schema", *names}) - (OPTIONAL - value.keys())
        if value.get("schema") != SCHEMA or wrong:
            raise Corrupt(
                f"expected provenance of schema {SCHEMA}, got schema {value.get('schema')} with the fields "
                f"{', '.join(sorted(wrong))} missing or too many",
                "use the version of Nightshift that wrote it",
            )
        return cls(**{name: value[name] for name in names & value.keys()})


def collect(root: Path = CHECKOUT, *, backend: str, **known: Any) -> Provenance:
    """Return the provenance: the given fields, and those that this process and this checkout determine.

    Args:
        root: the checkout.
        backend: what Keras ran on, `tensorflow` or `jax`.
        known: the fields of Provenance up to `weights_digest`, and `device`.
    """
    commit, dirty = git_state(root)
    return Provenance(
        **known,
        code_digest=code_digest(root),
        git_commit=commit,
        git_dirty=dirty,
        lock_digest=lock_digest(root),
        python=platform.python_version(),
        libraries=library_versions(backend),
        platform=f"{platform.system()} {platform.machine()}",
    )


def git_state(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit and whether anything differs from it; (None, None) if `root` is not itself a checkout."""
    top = _git(root, "rev-parse", "--show-toplevel")
    # An installed package may lie inside the checkout of another project, whose commit says nothing about it.
    if top is None or Path(top).resolve() != root.resolve():
        return None, None
    commit, status = _git(root, "rev-parse", "--verify", "HEAD"), _git(root, "status", "--porcelain")
    return commit, None if status is None else bool(status)


def code_digest(root: Path = CHECKOUT) -> str:
    """Return one digest over the source files that training and evaluating run through: see `sources`."""
    return digest_of({name: file_sha256(path) for name, path in sources(root).items()})


def sources(root: Path = CHECKOUT) -> dict[str, Path]:
    """Return the source files that decide how a candidate is trained and evaluated, by name.

    These are ORIGINS and what they import from data/ and artifacts/, at any depth and inside functions, too; and the
    modules of NIGHTSHIFT_RECIPES with what they import from there and from their own top-level packages.

    Returns:
        Paths by names such as `artifacts/recipes/cnn.py` and `my_team/recipes/net.py`.
    """
    from artifacts.recipes import catalogue  # imports pydantic, which the registry's readers can do without

    folders = {"data": root, "artifacts": root, **catalogue.folders()}
    todo = [path.relative_to(root).as_posix() for pattern in ORIGINS for path in root.glob(pattern)]
    todo += [name for module in catalogue.searched() for name in _files(module, folders)]
    found: dict[str, Path] = {}
    while todo:
        name = todo.pop()
        path = folders[name.removesuffix(".py").partition("/")[0]] / name
        if name not in found and path.is_file():
            found[name] = path
            todo += [file for file in _imported(name, path) if file.removesuffix(".py").partition("/")[0] in folders]
    return dict(sorted(found.items()))


def _files(module: str, folders: Mapping[str, Path]) -> Iterator[str]:
    """Yield the file of a module of NIGHTSHIFT_RECIPES, or all files of a package; and those of the packages above."""
    folder = folders.get(module.partition(".")[0])
    if folder is not None:
        yield from _paths(module)
        inside = folder / module.replace(".", "/")
        yield from (file.relative_to(folder).as_posix() for file in inside.rglob("*.py"))


def _paths(module: str) -> Iterator[str]:
    """Yield the files that importing a module runs, whether or not they exist: a package has one, a module another."""
    parts = module.split(".")
    yield f"{'/'.join(parts)}.py"
    yield from (f"{'/'.join(parts[:depth])}/__init__.py" for depth in range(1, len(parts) + 1))


def _imported(name: str, path: Path) -> Iterator[str]:
    """Yield the files that a source file may import, whether or not they exist; those of packages included."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # it cannot be imported either: `catalogue.unusable` reports it
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            above = name.split("/")[: -node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            modules = [origin, *(f"{origin}.{one}" for one in modules)]
        for module in modules:
            yield from _paths(module)


def lock_digest(root: Path = CHECKOUT) -> str | None:
    """Return one digest over the locked requirements, requirements*.txt and requirements/*.txt; None without any."""
    files = sorted((*root.glob("requirements*.txt"), *root.glob("requirements/*.txt")))
    return digest_of({path.relative_to(root).as_posix(): file_sha256(path) for path in files}) if files else None


def library_versions(backend: str) -> dict[str, str]:
    """Return the versions of the libraries that compute; nothing is imported for it.

    Args:
        backend: what Keras runs on. Other backends that are installed are left out: they have no part in the training,
            and a training on one backend must not be mistaken for one on another.
    """
    from importlib import metadata  # imports the email package, which readers of the registry do not need

    versions = {}
    for name in (*LIBRARIES, *BACKENDS.get(backend, (backend,))):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git on this machine, or a hanging file system
    return done.stdout.strip() if done.returncode == 0 else None
