"""Whether a growing dataset has changed enough since the last training for another one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from artifacts.models.provenance import code_digest
from artifacts.recipes.candidate import Candidate
from data.dataset import Dataset
from data.home import journal
from data.home.journal import Record
from data.home.store import Store
from data.values import digest_of


def asked_for(candidates: Sequence[Candidate], changes: Mapping[str, Any]) -> str:
    """Return the digest of what a night is asked for: asked for the same, it gives another model only on other data.

    Args:
        candidates: what is to be trained.
        changes: what the night's policy has that differs from the dataset's own, which follows the data.
    """
    return digest_of({"candidates": [one.spec for one in candidates], "changes": dict(changes), "code": code_digest()})


def last_training(store: Store, dataset: str, asked: str) -> Record | None:
    """Return the newest night that judged models of the same request; None if there is none.

    Args:
        store: the home.
        dataset: name of a dataset that grows.
        asked: as `asked_for` returned it.
    """
    nights = [one for one in journal.read(store) if one.kind == "retrain" and one.dataset == dataset]
    trained = [one for one in nights if one.state == "finished" and one.result.get("asked") == asked]
    return trained[-1] if trained else None


def waits(store: Store, row: Dataset, asked: str) -> str:
    """Return why there is no need to train on the newest snapshot yet; "" if there is.

    Args:
        store: the home.
        row: of a dataset that grows, with its newest snapshot.
        asked: as `asked_for` returned it.
    """
    from data.snapshots.changes import changes
    from data.snapshots.snapshot import SnapshotRef

    last = last_training(store, row.name, asked)
    if last is None or row.growth is None:
        return ""
    then = SnapshotRef(row.name, last.result["snapshot"])
    changed = changes(store, then, SnapshotRef(row.name, row.snapshot)).total
    days = (datetime.now(UTC) - datetime.fromisoformat(last.began)).total_seconds() / 86_400
    return row.growth.waits(changed, row.n_train + row.n_test, days)
