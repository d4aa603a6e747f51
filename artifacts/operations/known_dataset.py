"""What is known about a dataset, and what refers to it by its name."""

from dataclasses import dataclass
from typing import Any

from artifacts.gate.policy import policy_for
from artifacts.gate.resolution import in_words
from artifacts.registry import champions, versions
from data import about, catalogue
from data.about import About
from data.dataset import Dataset
from data.home import journal
from data.home.store import Store


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
    """

    row: Dataset
    about: About
    policy: str
    refers: References
    schedules: tuple[str, ...]

    @property
    def counts(self) -> list[tuple[str, int, int]]:
        """Class name, training images and test images of each class; nothing if they were never counted."""
        reference = self.row.reference
        if reference is None:
            return []
        return list(zip(self.row.class_names, reference.train_counts, reference.test_counts, strict=False))

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
    counts = row.reference.test_counts if row.reference else ()
    policy = in_words(row.n_test, policy_for(name, counts)) if row.n_test else ""
    return Known(row, about.read(store, name), policy, references(store, name), schedules)


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
