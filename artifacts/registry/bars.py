"""Weights that may not be promoted: barred and freed by hand. A rollback bars what it leaves, see champions.py."""

from datetime import datetime
from typing import Any

from artifacts.registry import ledger, pointer, signing
from artifacts.registry.ledger import Entry
from artifacts.registry.versions import Version, find
from data.errors import BadInput
from data.home.store import Store


def bar(store: Store, name: str, *, who: str, why: str, when: datetime | None = None) -> Entry:
    """Refuse to promote a version's weights until the bar is lifted.

    Returns:
        The ledger line, or the earlier one if they are barred already.

    Raises:
        UnknownName: there is no such version.
        BadInput: it is the champion.
    """
    version = find(store, name)
    with pointer.writing(store, version.dataset) as now:
        known = ledger.barred(now.entries).get(version.weights_digest)
        if known:
            return known
        if now.champion_weights == version.weights_digest:
            raise BadInput(f"{name} is champion", "roll back, which also bars it")
        return _record(store, version, now, action="bar", who=who, why=why, when=when, digest="barred")


def lift(store: Store, name: str, *, who: str, why: str, when: datetime | None = None) -> Entry:
    """Allow the promotion of weights that `bar` or a rollback has barred.

    Raises:
        UnknownName: there is no such version.
        BadInput: it is not barred.
    """
    version = find(store, name)
    with pointer.writing(store, version.dataset) as now:
        if version.weights_digest not in ledger.barred(now.entries):
            raise BadInput(f"{name} is not barred", "nothing to lift")
        return _record(store, version, now, action="lift", who=who, why=why, when=when, digest="lifted")


def _record(store: Store, version: Version, now: pointer.State, digest: str, **event: Any) -> Entry:
    digests = {digest: version.weights_digest}
    entry = signing.following(store, version.dataset, now.entries, to_version=version.id, digests=digests, **event)
    ledger.append(store, version.dataset, entry)
    return entry
