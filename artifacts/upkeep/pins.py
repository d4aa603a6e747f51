"""Versions that are to stay usable whatever their age: what they were made from is never removed."""

import json
from typing import Any

from artifacts.registry import pointer
from artifacts.registry.versions import find
from data.errors import BadInput, Corrupt
from data.home.plain_files import read_plain
from data.home.store import SCHEMA, Store
from data.values import canonical_json, plain


def pinned(store: Store, dataset: str) -> dict[int, dict[str, str]]:
    """Return who pinned which version of a dataset, and why, by number.

    Raises:
        Corrupt: the file cannot be read; nothing may be removed then.
    """
    path = store.pins(dataset)
    try:
        value = json.loads(read_plain(path))
        if value["schema"] != SCHEMA:
            raise Corrupt(
                f"{path} has schema {value['schema']}, this code reads {SCHEMA}", "use the code that wrote it"
            )
        return {int(number): dict(one) for number, one in value["versions"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(f"{path} cannot be read as a list of pins ({error})", "move it away, and pin again") from error


def pin(store: Store, name: str, *, who: str, why: str) -> None:
    """Keep what a version was made from; pinning it again replaces who and why.

    Raises:
        UnknownName: there is no such version.
        Corrupt: the list of pins cannot be read.
        StorageFailed: the home cannot be written; nothing has changed.
    """
    version = find(store, name)
    with pointer.locked(store, version.dataset):
        _write(store, version.dataset, pinned(store, version.dataset) | {version.number: {"who": who, "why": why}})


def unpin(store: Store, name: str) -> None:
    """Let what a version was made from be removed some day.

    Raises:
        UnknownName: there is no such version.
        BadInput: it is not pinned.
        Corrupt: the list of pins cannot be read.
        StorageFailed: the home cannot be written; nothing has changed.
    """
    version = find(store, name)
    with pointer.locked(store, version.dataset):
        pins = pinned(store, version.dataset)
        if version.number not in pins:
            listed = ", ".join(f"{version.dataset}/{number}" for number in sorted(pins)) or "none"
            raise BadInput(f"{name} is not pinned", f"pinned are: {listed}")
        _write(store, version.dataset, {number: one for number, one in pins.items() if number != version.number})


def _write(store: Store, dataset: str, pins: dict[int, dict[str, str]]) -> None:
    value: dict[str, Any] = {"schema": SCHEMA, "versions": {str(number): plain(one) for number, one in pins.items()}}
    store.write_bytes(store.pins(dataset), canonical_json(value))
