"""Checks of pointers, ledgers and versions."""

import re
from collections.abc import Iterator
from functools import partial

from artifacts.registry import ledger, pointer, signing, traces, versions, waiting
from artifacts.registry.ledger import Entry
from artifacts.upkeep.findings import Finding, Subject
from data.errors import NightshiftError
from data.home.layout import NAME
from data.home.store import Store

BACKUP = "restore it from a backup"
ADVICE = f"{BACKUP}; if it is champion, roll back until then"


def registries(store: Store) -> Iterator[Subject]:
    """Yield the pointer and the ledger of every dataset."""
    for name in names(store, "models"):
        if NAME.fullmatch(name):
            yield Subject(f"the champion of {name}", partial(_champion, store, name))
            yield Subject(f"the ledger of {name}", partial(_ledger, store, name))
        else:
            yield Subject(f"models/{name}", partial(_invalid, f"models/{name}"))


def registered(store: Store) -> Iterator[Subject]:
    """Yield every version, complete or not."""
    for dataset in names(store, "models"):
        if not NAME.fullmatch(dataset):
            continue
        entries = _entries(store, dataset)
        for name in names(store, "models", dataset, "versions"):
            yield Subject(f"{dataset}/{name}", partial(_version, store, dataset, name, entries), ADVICE)


def names(store: Store, *parts: str) -> list[str]:
    """Return the names in a folder below the root, sorted; none if it is not there."""
    folder = store.root.joinpath(*parts)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _invalid(where: str) -> Iterator[Finding]:
    yield Finding(where, "not a valid name of a dataset", "move it away")


def _champion(store: Store, dataset: str) -> Iterator[Finding]:
    subject = f"the champion of {dataset}"
    state = pointer.state(store, dataset)
    if state.pending:
        hint = "the next command, or 'nightshift verify --repair', writes it"
        yield Finding(f"the ledger of {dataset}", "the champion's line is missing", hint, serious=False)
    if state.champion_weights in ledger.barred(state.entries):
        yield Finding(subject, "it is barred", "roll back, or lift the bar")
    there = {f"{dataset}/{name}" for name in names(store, "models", dataset, "versions")}
    moved = {str(entry.to_version) for entry in state.entries if entry.action in ledger.MOVES}
    for name in sorted(moved - there):
        yield Finding(name, "the ledger has its promotion, but its folder is missing", BACKUP)


def _ledger(store: Store, dataset: str) -> Iterator[Finding]:
    subject = f"the ledger of {dataset}"
    broken = ledger.check(store, dataset)
    if broken:
        yield Finding(subject, broken, BACKUP)
        return
    entries = _entries(store, dataset)
    if untidy := ledger.untidy(store, dataset):
        hint = "'nightshift verify --repair', or the next write, mends it and keeps the file as it was in quarantine/"
        # what was cut off a line may have been acknowledged, unless it is the line that the pointer holds
        pending = len(entries) > len(ledger.read(store, dataset))
        harmless = pending and ledger.begins(store, dataset, entries[-1])
        yield Finding(subject, untidy, hint, serious=not harmless)
    yield from _cut_off(store, dataset, entries)
    if unvouched := signing.unvouched(store, dataset, entries):
        hint = f"compare it with a backup; if it is as it should be: nightshift keys seal {dataset} --reason WHY"
        yield Finding(subject, unvouched, hint)
    waits = waiting.current(entries)
    if waits and waits.version not in {f"{dataset}/{name}" for name in names(store, "models", dataset, "versions")}:
        hint = f"{BACKUP}, or: nightshift decline {waits.version} --reason WHY"
        yield Finding(waits.version, "it waits for a person's approval, but its folder is missing", hint)


def _cut_off(store: Store, dataset: str, entries: tuple[Entry, ...]) -> Iterator[Finding]:
    """Yield that lines are missing which the ledger had when a version was registered."""
    have = {ledger.newest(entries[:count]) for count in range(len(entries) + 1)}
    begun = max((int(entry.digests.get(traces.RESTARTED, "0")) for entry in entries), default=0)
    for version in versions.versions(store, dataset):
        recorded = store.meta(version.folder).get(traces.LEDGER, "")
        if version.number > begun and recorded not in have:
            count = recorded.split()[0]
            problem = f"when {version.id} was registered it had {count} lines, which are not there any more"
            yield Finding(f"the ledger of {dataset}", problem, BACKUP)
            return


def _entries(store: Store, dataset: str) -> tuple[Entry, ...]:
    """Return the ledger with the pointer's line, or as much as can be read; what is wrong is reported elsewhere."""
    try:
        return pointer.state(store, dataset).entries
    except (NightshiftError, OSError):
        pass
    try:
        return ledger.read(store, dataset)
    except (NightshiftError, OSError):
        return ()


def _version(store: Store, dataset: str, name: str, entries: tuple[Entry, ...]) -> Iterator[Finding]:
    path = store.versions(dataset) / name
    if not re.fullmatch("[1-9][0-9]{0,8}", name) or path.is_symlink() or not store.is_complete(path):
        problem = "expected a complete version, found a folder without a manifest of its own"
        yield Finding(f"{dataset}/{name}", problem, "move it away by hand")
        return
    version = versions.load(store, dataset, int(name))
    versions.verify_version(store, version, entries)
    version.provenance()
