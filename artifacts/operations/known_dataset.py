"""What is known about a dataset, and what refers to it by its name."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from artifacts.gate.policy import policy_for
from artifacts.gate.resolution import in_words
from artifacts.registry import champions, versions
from data import about, catalogue
from data.about import About
from data.dataset import Dataset
from data.home import journal
from data.home.store import Store

if TYPE_CHECKING:
    from data.snapshots.nights import Night as DataNight

SHOWN = 5  # nights of a dataset that grows


@dataclass(frozen=True)
class References:
    """What refers to a dataset by its name.

    Args:
        versions: the registered versions, in order.
        champion: one of them, or None.
        nights: how many were recorded.
        last: the last of them: when, how it ended and its verdict; "" without one.
        active: nights that are waiting or running.
    """

    versions: tuple[str, ...]
    champion: str | None
    nights: int
    last: str
    active: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """All that is known about a dataset.

    Args:
        row: of the catalogue.
        about: what was found when it was added.
        policy: what a model needs to be promoted, in words; "" if the numbers of images per class are not known.
        refers: what refers to it.
        schedules: the deployments that train it by themselves, each with its times.
        counts: class name, training images and test images of each class; nothing if they were never counted.
        nights: what the last nights found in the source of a dataset that grows, the newest last.
    """

    row: Dataset
    about: About
    policy: str
    refers: References
    schedules: tuple[str, ...]
    counts: tuple[tuple[str, int, int], ...] = ()
    nights: "tuple[DataNight, ...]" = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        row = self.row
        keys = ("name", "title", "n_train", "n_test", "height", "width", "channels", "fit", "ground", "licence")
        return {
            **{key: getattr(row, key) for key in (*keys, "citation", "mirror_symmetric")},
            "classes": [{"name": name, "train": train, "test": test} for name, train, test in self.counts],
            "class_names": row.class_names,
            "origin": {"location": row.origin.location, "options": row.origin.options} if row.origin else None,
            "findings": list(self.about.findings),
            "contact_sheet": str(self.about.sheet) if self.about.sheet else None,
            "policy": self.policy,
            "growth": asdict(row.growth) if row.growth else None,
            "snapshot": row.snapshot or None,
            "nights": [asdict(night) for night in self.nights],
            "referred_to_by": {**vars(self.refers), "schedules": list(self.schedules)},
        }


def known(store: Store, name: str, schedules: tuple[str, ...] = ()) -> Known:
    """Return what is known about a dataset.

    Args:
        store: the home.
        name: of the dataset.
        schedules: the deployments that train it by themselves, which the server's files know.

    Raises:
        UnknownName: there is no such dataset.
    """
    row = catalogue.get(store, name)
    counts = _counts(store, row)
    policy = in_words(row.n_test, policy_for(name, [test for _, _, test in counts])) if row.n_test else ""
    newest = _newest_nights(store, row) if row.growth else ()
    return Known(row, about.read(store, name), policy, references(store, name), schedules, counts, newest)


def _newest_nights(store: Store, row: Dataset) -> "tuple[DataNight, ...]":
    from data.snapshots.nights import nights

    return tuple(nights(store, row.name)[-SHOWN:])


def _counts(store: Store, row: Dataset) -> tuple[tuple[str, int, int], ...]:
    if row.snapshot:
        return _counts_of_snapshot(store, row)
    if row.reference is None:
        return ()
    return tuple(zip(row.class_names, row.reference.train_counts, row.reference.test_counts, strict=False))


def _counts_of_snapshot(store: Store, row: Dataset) -> tuple[tuple[str, int, int], ...]:
    import numpy as np
    import pyarrow.compute as pc

    from data.snapshots.items import items
    from data.snapshots.snapshot import SnapshotRef

    table = items(store, SnapshotRef(row.name, row.snapshot), ["label", "split"])
    labels, test = table["label"].to_numpy(), pc.equal(table["split"].cast("string"), "test").to_numpy()
    in_train, in_test = (np.bincount(labels[mask], minlength=row.n_classes) for mask in (~test, test))
    return tuple((name, int(train), int(n)) for name, train, n in zip(row.class_names, in_train, in_test, strict=True))


def references(store: Store, name: str) -> References:
    """Return what refers to a dataset by its name, whether the catalogue knows it or not."""
    nights = [one for one in journal.read(store) if one.kind == "retrain" and one.dataset == name]
    last = nights[-1] if nights else None
    return References(
        versions=tuple(f"{name}/{number}" for number in versions.numbers(store, name)),
        champion=champions.champion_id(store, name),
        nights=len(nights),
        last=f"{last.began[:16].replace('T', ' ')} UTC, {last.state} {last.verdict}".strip() if last else "",
        active=tuple(one.run for one in nights if one.active and not one.lost),
    )
