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
from data.files import file_sha256
from data.values import digest_of

SCHEMA = 1
CHECKOUT = Path(__file__).parents[2]
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
        """Return the fields as a JSON object; the inverse of `from_json`."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Provenance":
        """Read what `to_json` gave.

        Raises:
            Corrupt: another schema, or a field is missing or too many.
        """
        names = {field.name for field in fields(cls)}
        if value.get("schema") != SCHEMA or value.keys() != {"schema", *names}:
            raise Corrupt(
                f"expected provenance of schema {SCHEMA}, got schema {value.get('schema')} with the fields "
                f"{', '.join(sorted(value.keys() ^ {'schema', *names}))} missing or too many",
                "use the version of Nightshift that wrote it",
            )
        return cls(**{name: value[name] for name in names})


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
    """Return one digest over the source files of data/ and artifacts/ that training and evaluating run through."""
    return digest_of({path.relative_to(root).as_posix(): file_sha256(path) for path in sources(root)})


def sources(root: Path = CHECKOUT) -> list[Path]:
    """Return ORIGINS and what they import from data/ and artifacts/, at any depth and inside functions, too."""
    todo, found = [path for pattern in ORIGINS for path in root.glob(pattern)], set()
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += [root / name for name in _imported(path) if (root / name).is_file()]
    return sorted(found)


def _imported(path: Path) -> Iterator[str]:
    """Yield the files that a source file may import, whether or not they exist."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            modules = [str(node.module), *(f"{node.module}.{name}" for name in modules)]
        for module in modules:
            if module.partition(".")[0] in ("data", "artifacts"):
                yield f"{module.replace('.', '/')}.py"


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
