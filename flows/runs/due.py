"""What earlier nights did that tonight need not do again: a training, or loading the champion to hear its answers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from platform import machine, node, python_version
from typing import Any

from artifacts.models.provenance import code_digest, library_versions
from artifacts.recipes.candidate import Candidate
from data.dataset import Dataset
from data.home import journal
from data.home.journal import Record
from data.home.store import Store
from data.values import digest_of
from flows.settings import keras_backend

ANSWERS_HOLD = timedelta(hours=20)  # less than a day: every nightly run asks the champion again


def candidates(recipes: Sequence[str], seed: int, seeds: int) -> list[Candidate]:
    """Return every recipe with every seed, counted from `seed`."""
    return [Candidate.parse(recipe, seed + k) for recipe in recipes for k in range(seeds)]


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
        dataset: its name.
        asked: as `asked_for` returned it.
    """
    nights = [one for one in journal.read(store) if one.kind == "retrain" and one.dataset == dataset]
    trained = [one for one in nights if one.state == "finished" and one.result.get("asked") == asked]
    return trained[-1] if trained else None


def done_before(store: Store, dataset: Dataset, asked: str) -> bool:
    """Whether an earlier night was asked for the same and its data stay as they are: its results are most likely there.

    A guess, by which slow libraries are loaded early or not at all; nothing is reused because of it.

    Args:
        store: the home.
        dataset: what is trained on.
        asked: as `asked_for` returned it.
    """
    return dataset.growth is None and last_training(store, dataset.name, asked) is not None


def answered(champion: str) -> dict[str, str]:
    """Return what a night records when a champion has been loaded and gave the recorded answers."""
    parts = {"host": node(), "machine": machine(), "python": python_version(), "code": code_digest()}
    return {"champion": champion, "by": digest_of({**parts, "libraries": library_versions(keras_backend())})}


def answered_lately(store: Store, dataset: str, champion: str) -> bool:
    """Whether a night of this dataset on this machine, with these libraries, recently loaded the champion.

    Args:
        store: the home.
        dataset: its name.
        champion: id of the version that is champion; "" for none.
    """
    now, wanted = datetime.now(UTC), answered(champion)
    return any(
        one.result.get("answered") == wanted and timedelta(0) <= now - datetime.fromisoformat(one.ended) < ANSWERS_HOLD
        for one in journal.read(store)
        if one.kind == "retrain" and one.dataset == dataset and one.state == "finished"
    )


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
