"""What a model was made from: everything that one would have to hold still to get it again."""

import contextlib
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data.errors import Corrupt
from data.store import digest_of, file_sha256

SCHEMA = 1
REPOSITORY = Path(__file__).parents[1]
LIBRARIES = ("keras", "tensorflow", "jax", "numpy", "pyarrow")
# What the code digest leaves out, because no weight depends on it. New files count until they are named here.
WITHOUT_INFLUENCE = frozenset(
    {"artifacts/" + name for name in ("bundle.py", "canvas.py", "charts.py", "gate.py", "ledger.py", "pictures.py")}
    | {"artifacts/" + name for name in ("audit.py", "pointer.py", "provenance.py", "registry.py", "report.py")}
    | {"artifacts/serving_check.py", "data/errors.py", "data/expectations.py", "data/source.py", "data/store.py"}
)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a trained model comes from.

    Args:
        run_id: the Prefect run, or what the caller calls it.
        dataset: name.
        raw_digest: the four source files.
        prepared_digest: the Parquet files.
        test_digest: the test split; the ledger counts looks by it.
        recipe: name.
        parameters: resolved, defaults included.
        seed: of initialisation, shuffling and augmentation.
        weights_digest: of the trained weights; the identity of the model, whatever file holds them.
        code_digest: the source files that influence a training.
        git_commit: 40 hexadecimal digits; None outside a checkout.
        git_dirty: there were changes that no commit has; None outside a checkout.
        lock_digest: the locked requirements; None without such files.
        python: version.
        libraries: versions of what computes, by name.
        platform: operating system and processor type.
        device: what it was trained on.
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
                f"expected provenance of schema {SCHEMA}, came schema {value.get('schema')} with the fields "
                f"{', '.join(sorted(value.keys() ^ {'schema', *names}))} missing or too many",
                "use the code that wrote it",
            )
        return cls(**{name: value[name] for name in names})


def collect(root: Path = REPOSITORY, **known: Any) -> Provenance:
    """Add what this process and this checkout know to what the caller knows.

    Args:
        root: the checkout.
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
        libraries=library_versions(),
        platform=f"{platform.system()} {platform.machine()}",
    )


def git_state(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit and whether anything differs from it; (None, None) if `root` is not itself a checkout."""
    top = _git(root, "rev-parse", "--show-toplevel")
    # An installed package may lie inside somebody else's checkout, whose commit says nothing about it.
    if top is None or Path(top).resolve() != root.resolve():
        return None, None
    commit, status = _git(root, "rev-parse", "--verify", "HEAD"), _git(root, "status", "--porcelain")
    return commit, None if status is None else bool(status)


def code_digest(root: Path = REPOSITORY) -> str:
    """Return one digest over the source files of data/ and artifacts/ that influence a training."""
    files = [path for package in ("data", "artifacts") for path in sorted((root / package).rglob("*.py"))]
    names = {path.relative_to(root).as_posix(): path for path in files}
    return digest_of({name: file_sha256(path) for name, path in names.items() if name not in WITHOUT_INFLUENCE})


def lock_digest(root: Path = REPOSITORY) -> str | None:
    """Return one digest over the locked requirements, requirements*.txt and requirements/*.txt; None without any."""
    files = sorted((*root.glob("requirements*.txt"), *root.glob("requirements/*.txt")))
    return digest_of({path.relative_to(root).as_posix(): file_sha256(path) for path in files}) if files else None


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that compute; nothing is imported for it."""
    from importlib import metadata  # pulls in the e-mail package, which the registry's readers can do without

    versions = {}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git on this machine, or a hanging file system: provenance says "unknown"
    return done.stdout.strip() if done.returncode == 0 else None
