"""Everything that lies in a home, kind by kind, and how each is checked."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from artifacts.upkeep import registries
from artifacts.upkeep.findings import Finding, Subject
from artifacts.upkeep.registries import names
from data.errors import BadFile, NightshiftError
from data.home import journal
from data.home.layout import NAME
from data.home.plain_files import read_plain
from data.home.store import Store

if TYPE_CHECKING:  # the checks of a registry need nothing but Python
    from data.dataset import Dataset, SourceFile

REPAIR = "'nightshift verify --repair' moves it to quarantine/"
ANEW = f"{REPAIR}, and the next night that needs it makes it anew"
BACKUP = "restore it from a backup"
# folders of published folders, and what to do about a damaged one
PUBLISHED = {
    "validations": ANEW,
    "shards": BACKUP,
    "snapshots": BACKUP,
    "prepared": ANEW,
    "trained": ANEW,
    "runs": f"{BACKUP}, or remove the folder: it holds a report, and nothing is decided by it",
}
MADE_ANEW = tuple(kind for kind, advice in PUBLISHED.items() if advice == ANEW)
NOTHING_TO_CHECK = ("locks", "tmp", ".writable", "home.json")


@dataclass(frozen=True)
class Kind:
    """One kind of thing in a home.

    Args:
        name: in the plural, for a count: "versions".
        folder: where it lies, below the root.
        subjects: each of them.
    """

    name: str
    folder: str
    subjects: Callable[[Store], Iterable[Subject]]


def _published(kind: str, store: Store) -> Iterator[Subject]:
    for name in names(store, kind):
        where, path = f"{kind}/{name}", store.root / kind / name
        if NAME.fullmatch(name) and path.is_dir():
            yield Subject(where, partial(store.verify, path), PUBLISHED[kind])
        else:
            yield Subject(where, partial(_stray, where))


def _stray(where: str) -> Iterator[Finding]:
    yield Finding(where, "nothing of this name belongs there", "move it away", serious=False)


def _raw(store: Store) -> Iterator[Subject]:
    from data import catalogue

    for name in names(store, "raw"):
        try:
            row = catalogue.get(store, name)
        except NightshiftError:
            yield Subject(f"raw/{name}", partial(_unknown, f"raw/{name}"))
            continue
        for file in row.files.values():
            yield Subject(f"raw/{name}/{file.name}", partial(_raw_file, store, row, file))


def _unknown(where: str) -> Iterator[Finding]:
    hint = "if the dataset was removed, remove the folder"
    yield Finding(where, "it belongs to no known dataset, so its files were not checked", hint, serious=False)


def _raw_file(store: Store, row: "Dataset", file: "SourceFile") -> Iterator[Finding]:
    from data.builtin import DATASETS
    from data.sources.source import identify

    path, own = store.raw(row.name, file.name), row.name not in DATASETS
    anew = f"add it again: nightshift datasets update {row.name}" if own else f"{REPAIR}; the next night fetches it"
    try:
        if path.exists() or own:
            identify(path, file, str(path))
    except (BadFile, FileNotFoundError) as error:
        problem = error.problem if isinstance(error, BadFile) else f"{path} is missing"
        yield Finding(f"raw/{row.name}/{file.name}", problem, anew)


def _rows(store: Store) -> Iterator[Subject]:
    from data import catalogue

    for name in names(store, "datasets"):
        stem = name.removesuffix(".json")
        known = name.endswith(".json") and NAME.fullmatch(stem)
        check = partial(catalogue.get, store, stem) if known else partial(_stray, f"datasets/{name}")
        yield Subject(f"datasets/{name}", check)


def _documents(folder: str, advice: str, store: Store) -> Iterator[Subject]:
    for name in names(store, folder):
        path = store.root / folder / name
        yield Subject(f"{folder}/{name}", partial(_document, path), advice)


def _document(path: Path) -> None:
    if not isinstance(json.loads(read_plain(path)), dict):
        raise BadFile(f"{path} is not a JSON object")


def _journal(store: Store) -> Iterator[Subject]:
    advice = "'nightshift verify --repair' moves it to quarantine/; the run that it was about is not known any more"
    for name in names(store, "journal"):
        where, stem = f"journal/{name}", name.removesuffix(".json")
        known = name.endswith(".json") and NAME.fullmatch(stem)
        yield Subject(where, partial(_record, store, stem) if known else partial(_stray, where), advice)


def _record(store: Store, id: str) -> None:
    _document(store.journal(id))
    journal.find(store, id)


def _named_shards(store: Store) -> Iterator[Subject]:
    for name in names(store, "snapshots"):
        yield Subject(f"snapshots/{name}", partial(_missing_shards, store, name), BACKUP)


def _missing_shards(store: Store, name: str) -> Iterator[Finding]:
    """Yield the shards that a snapshot names and the home does not have."""
    from data.snapshots.snapshot import SnapshotRef, read

    try:
        named = read(store, SnapshotRef("", name)).shards
    except NightshiftError:
        return  # found already, when its files were hashed
    for shard in named:
        if not store.is_complete(store.shard(shard.digest)):
            yield Finding(f"shards/{shard.digest}", f"snapshot {name[:12]} needs it, but it is not there", BACKUP)


KINDS = (
    Kind("registries", "models", registries.registries),
    Kind("versions", "models", registries.registered),
    Kind("raw files", "raw", _raw),
    Kind("datasets", "datasets", _rows),
    Kind("schedules", "schedules", partial(_documents, "schedules", "remove it, and schedule the dataset again")),
    *(Kind(kind, kind, partial(_published, kind)) for kind in PUBLISHED),
    Kind("lists of shards", "snapshots", _named_shards),
    Kind("journal records", "journal", _journal),
)


def unchecked(store: Store) -> list[str]:
    """Return the names directly under the root that no kind covers, sorted."""
    covered = {*(kind.folder for kind in KINDS), *NOTHING_TO_CHECK}
    return [name for name in names(store) if name not in covered]
