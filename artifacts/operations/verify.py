"""The daily integrity check: hash every file again, and report what is wrong and what to do about it.

`find_problems` writes nothing and continues after every problem. `repair` restores what the ledger has a record of: a
lost pointer, a missing or torn last line. It restores nothing else: a damaged file is restored from a backup or
produced again, by a person.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from artifacts.registry import ledger, pointer, versions
from artifacts.registry.ledger import Entry
from artifacts.registry.pointer import Pointer, PointerLost
from data.errors import Corrupt, NightshiftError
from data.home.layout import NAME
from data.home.store import Store
from data.snapshots import snapshot
from data.snapshots.snapshot import SnapshotRef
from data.values import canonical_json


@dataclass(frozen=True)
class Finding:
    """One problem.

    Args:
        subject: what is affected: "mnist/3", "the champion of mnist", a path below the home.
        problem: what was expected and what was found.
        hint: what to do.
        serious: whether it needs action; false for leftovers of crashed runs, which the next run removes.
    """

    subject: str
    problem: str
    hint: str
    serious: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


def find_problems(store: Store) -> list[Finding]:
    """Hash every version and every published folder again, and check pointers, ledgers and leftovers.

    Returns:
        The problems; empty if all files match their recorded hashes.
    """
    findings = [found for dataset in _names(store.models()) for found in _dataset(store, dataset)]
    for folder in _published(store):
        findings += _checked(str(folder.relative_to(store.root)), partial(store.verify, folder))
    findings += _missing_shards(store)
    findings += [
        Finding(
            str(path.relative_to(store.root)), "left behind by a crashed run", "the next run removes it", serious=False
        )
        for path in store.debris()
    ]
    return findings


def repair(store: Store, dataset: str) -> list[str]:
    """Finish what a crash interrupted and rebuild a lost pointer from the ledger.

    A rebuilt pointer names the version that the ledger names, even if its files are damaged: `find_problems` reports
    those, and a rollback replaces it.

    Returns:
        What was done, one sentence each; empty when there was nothing to do.

    Raises:
        Corrupt: the ledger itself is broken, or has lost lines before the pointer's.
        StorageFailed: the home cannot be written.
    """
    done = []
    with pointer.locked(store, dataset):
        if ledger.recover(store, dataset):
            done.append(f"removed the torn last line of {store.ledger(dataset)}")
        try:
            before = pointer.state(store, dataset)
        except PointerLost as error:
            done += [error.problem, _rebuild(store, dataset, ledger.read(store, dataset))]
        else:
            if before.pending:
                pointer.settle(store, dataset)
                done.append(f"wrote line {before.entries[-1].seq}, which only the pointer had, into the ledger")
    return done


def _rebuild(store: Store, dataset: str, entries: tuple[Entry, ...]) -> str:
    path, moves = store.champion(dataset), [entry for entry in entries if entry.action in ledger.MOVES]
    if path.exists() or path.is_symlink():
        store.place(path, store.quarantine(dataset, path.name))
    if not moves:
        return f"the ledger of {dataset} has no promotion: there is no champion"
    event = moves[-1]
    number = int(str(event.to_version).rpartition("/")[2])
    rebuilt = Pointer(dataset, number, event.generation or 0, event)
    store.write_bytes(path, canonical_json(rebuilt.to_json()))
    return f"rebuilt the pointer from line {event.seq} of the ledger: {event.to_version} is champion"


def _dataset(store: Store, dataset: str) -> Iterator[Finding]:
    """Yield the problems of one dataset's pointer, ledger and versions."""
    if not NAME.fullmatch(dataset):
        yield Finding(f"models/{dataset}", "not a valid name of a dataset", "move it away")
        return
    entries: tuple[Entry, ...] = ()
    problems = _checked(f"the champion of {dataset}", lambda: pointer.state(store, dataset))
    if not problems:
        state = pointer.state(store, dataset)
        entries = state.entries
        if state.pending:
            hint = "the next command, or 'nightshift verify --repair', writes it"
            yield Finding(f"the ledger of {dataset}", "the champion's line is missing", hint, serious=False)
        if state.pointer and state.pointer.event.digests["weights"] in ledger.barred(entries):
            yield Finding(f"the champion of {dataset}", "it is barred", "roll back, or lift the bar")
    yield from problems
    broken = ledger.check(store, dataset)
    if broken:
        yield Finding(f"the ledger of {dataset}", broken, "restore it from a backup")
    elif ledger.torn(store, dataset):
        problem = f"it ends in {ledger.torn(store, dataset)} bytes of an unfinished line"
        yield Finding(f"the ledger of {dataset}", problem, "the next write removes them", serious=False)
    yield from _versions(store, dataset, entries)


def _versions(store: Store, dataset: str, entries: tuple[Entry, ...]) -> Iterator[Finding]:
    folder = store.versions(dataset)
    for name in _names(folder):
        path = folder / name
        if not re.fullmatch("[1-9][0-9]{0,8}", name) or path.is_symlink() or not store.is_complete(path):
            yield Finding(
                f"{dataset}/{name}",
                "expected a complete version, found a folder without a manifest of its own",
                "move it away by hand",
            )
            continue
        yield from _checked(f"{dataset}/{name}", partial(_version, store, dataset, int(name), entries))
    known = {f"{dataset}/{name}" for name in _names(folder)}
    moved = {entry.to_version for entry in entries if entry.action in ledger.MOVES and entry.to_version}
    for name in sorted(moved - known):
        yield Finding(name, "the ledger has its promotion, but its folder is missing", "restore it from a backup")


def _version(store: Store, dataset: str, number: int, entries: tuple[Entry, ...]) -> None:
    versions.verify_version(store, versions.load(store, dataset, number), entries)


def _published(store: Store) -> Iterator[Path]:
    """Yield the published folders that are addressed by content; versions are checked with their ledger."""
    for kind in ("validations", "shards", "snapshots", "prepared", "trained"):
        for name in _names(store.root / kind):
            yield store.root / kind / name


def _missing_shards(store: Store) -> Iterator[Finding]:
    """Yield the shards that snapshots name and the home does not have, each once."""
    missing: dict[str, str] = {}
    for name in _names(store.root / "snapshots"):
        with contextlib.suppress(Corrupt):  # found already, when its files were hashed
            for shard in snapshot.read(store, SnapshotRef("", name)).shards:
                missing.setdefault(shard.digest, name)
    for digest, name in missing.items():
        if not store.is_complete(store.shard(digest)):
            problem = f"snapshot {name[:12]} and perhaps later ones need it, but it is not there"
            yield Finding(f"shards/{digest}", problem, "restore it from a backup")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _checked(subject: str, check: Callable[[], object]) -> list[Finding]:
    try:
        check()
    except NightshiftError as error:
        return [Finding(subject, error.problem, error.hint)]
    except OSError as error:
        return [Finding(subject, f"cannot be read: {error}", "check the disk and the permissions")]
    return []
