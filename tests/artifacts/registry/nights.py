"""Small candidates and decisions for the registry's tests: real files in a real store, no Keras.

Run as a script it is one night, rollback or approval in a process of its own, which the crash tests interrupt wherever
they can: `python -m tests.artifacts.registry.nights HOME night LABEL GENERATION`, `... HOME wait LABEL GENERATION`,
`... HOME rollback VERSION GENERATION`, `... HOME approve VERSION GENERATION`.
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from artifacts.models.bundle import REQUIRED
from artifacts.models.provenance import Provenance
from artifacts.registry import champions, versions, waiting
from artifacts.registry.ledger import Entry
from artifacts.registry.versions import Version
from artifacts.serving.check import InfraResult
from data.home.store import Store
from data.values import canonical_json, digest_of

DATASET = "mnist"
BY_ME: dict[str, Any] = {"who": "me", "why": "a test"}
# Where many small homes are made and thrown away; waiting for a real disk would be most of the time.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def weights(label: str) -> str:
    """The weights digest of the model that a test calls `label`."""
    return digest_of(["weights", label])


def candidate(store: Store, label: str, run: str) -> Path:
    """Publish a candidate with a few small files, and return its folder."""
    folder = store.trained(digest_of(["candidate", run, label]))
    if store.is_complete(folder):
        return folder
    with store.publish(folder) as draft:
        for name in REQUIRED:
            (draft.path / name).write_bytes(f"{name} of {label}\n".encode() * 20)
        (draft.path / "training.json").write_bytes(canonical_json({"weights_digest": weights(label)}))
        (draft.path / "metrics.json").write_bytes(canonical_json({"splits": {"test": digest_of("test")}}))
    return folder


def provenance(label: str, run: str, **changes: Any) -> Provenance:
    """Where the model called `label` comes from."""
    values: dict[str, Any] = {
        "run_id": run,
        "dataset": DATASET,
        "raw_digest": digest_of("raw"),
        "prepared_digest": digest_of("prepared"),
        "test_digest": digest_of("test"),
        "recipe": "tiny",
        "parameters": {"epochs": 1},
        "seed": 0,
        "weights_digest": weights(label),
        "code_digest": digest_of("code"),
        "git_commit": None,
        "git_dirty": None,
        "lock_digest": None,
        "python": "3.11.2",
        "libraries": {"keras": "3.15.1"},
        "platform": "Linux x86_64",
        "device": "cpu",
    }
    return Provenance(**values | changes)


def decision(verdict: str = "PROMOTE", rule: str = "better", **more: Any) -> dict[str, Any]:
    """The gate's decision, as much of it as the registry reads."""
    return {"verdict": verdict, "rule": rule, "reason": "5 more right than wrong", **more}


def infra(store: Store, folder: Path) -> InfraResult:
    """A fresh process that found nothing wrong."""
    return InfraResult(True, "reproduced 64 recorded answers", store.files(folder)["model.keras"]["sha256"])


def register(store: Store, label: str, run: str | None = None, **changes: Any) -> Version:
    """Train, judge and register, in so far as the registry can see it."""
    run = run or f"run-{label}"
    folder = candidate(store, label, run)
    return versions.register(
        store,
        DATASET,
        folder,
        decision=changes.get("decision", decision()),
        provenance=changes.get("provenance", provenance(label, run)),
        infra=changes.get("infra", infra(store, folder)),
    )


def promote(store: Store, version: Version, **changes: Any) -> Entry:
    """Promote with the newest generation."""
    values: dict[str, Any] = {"generation": champions.generation(store, DATASET), "who": "schedule", "why": "better"}
    return champions.promote(store, version, **values | changes)


def night(store: Store, label: str, **changes: Any) -> Version:
    """A whole night that promotes."""
    version = register(store, label)
    promote(store, version, **changes)
    return version


def waits(store: Store, label: str, **changes: Any) -> Version:
    """A whole night whose model waits for a person."""
    version = register(store, label, decision=changes.pop("decision", decision()))
    token = champions.generation(store, DATASET)
    waiting.wait(store, version, **{"recipe": "a recipe", "generation": token, **BY_ME, **changes})
    return version


def tree(root: Path) -> dict[str, str]:
    """The SHA-256 of every file under a folder."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def champion_id(store: Store) -> str | None:
    """The champion's name, with every file of it hashed again."""
    champion = champions.champion(store, DATASET)
    return champion.id if champion else None


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, read-only or not."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def main(home: str, action: str, label: str, token: str) -> None:
    """Register and promote the candidate called `label`, which is published already, or roll back to a version."""
    store = Store(Path(home))
    if action == "rollback":
        champions.rollback(store, DATASET, who="me", why="it is bad", to=label, generation=int(token))
    elif action == "approve":
        version = versions.find(store, label)
        waiting.approve(store, version, decision=decision(), generation=int(token), **BY_ME)
    elif action == "wait":
        waiting.wait(store, register(store, label), recipe="a recipe", generation=int(token), **BY_ME)
    else:
        promote(store, register(store, label), generation=int(token))


if __name__ == "__main__":
    main(*sys.argv[1:])
