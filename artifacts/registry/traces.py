"""Traces of a champion outside of pointer and ledger: do they show that both were lost?

Without pointer and ledger, versions look like those of a first night that was killed before its promotion. Only if
nothing here shows that there was a champion may the next night count as the first.
"""

import json
import re
from pathlib import Path
from typing import Any

from data.errors import Corrupt
from data.home.plain_files import read_plain
from data.home.store import MANIFEST, Store

RESTARTED = "restarted"  # in the digests of the line that begins anew: the highest version number there was
LEDGER = "ledger"  # in a version's manifest: number and hash of the ledger's newest line at its registration


def of_a_champion(store: Store, dataset: str) -> str:
    """Return what shows that a dataset had a champion or a ledger, in one clause; "" if nothing does.

    Args:
        store: the home.
        dataset: one whose pointer is missing, and whose ledger has no promotion.
    """
    for folder in _folders(store.versions(dataset)):
        name = f"{dataset}/{folder.name}"
        recorded = _value(folder / MANIFEST).get("meta", {}).get(LEDGER)
        if recorded is not None and not store.ledger(dataset).exists():
            return f"{name} was registered, which never happens without a ledger"
        if recorded and recorded not in _newest_lines(store, dataset):
            return f"when {name} was registered, the ledger had {recorded.split()[0]} lines"
        champion = _value(folder / "decision.json").get("champion")
        if isinstance(champion, dict):
            return f"{name} was compared with a champion, {champion.get('name')}"
    return _promoted(store, dataset)


def _promoted(store: Store, dataset: str) -> str:
    """Return that a run of the dataset was recorded as promoting, if there are versions that it can have promoted."""
    if not _folders(store.versions(dataset)):
        return ""
    for path in sorted(store.journals().glob("*.json")):
        record = _value(path)
        if record.get("dataset") == dataset and record.get("promoted") is True:
            return f"the run {record.get('run')} promoted a model"
    return ""


def _newest_lines(store: Store, dataset: str) -> set[str]:
    """Return what `ledger.newest` has given so far, as far as the ledger still has these lines."""
    lines = (_parsed(line) for line in read_plain(store.ledger(dataset)).splitlines())
    return {f"{line.get('seq')} {line.get('hash')}" for line in lines}


def _folders(versions: Path) -> list[Path]:
    found = versions.iterdir() if versions.is_dir() else ()
    numbered = [path for path in found if re.fullmatch("[1-9][0-9]{0,8}", path.name)]
    return sorted(numbered, key=lambda path: int(path.name))


def _value(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one for whatever cannot be read, which `nightshift verify` reports."""
    try:
        return _parsed(read_plain(path))
    except (OSError, Corrupt):
        return {}


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
