"""What is known about a dataset, and what refers to it: as values, as JSON, and as a screen."""

from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.text import Text

from data.about import About
from data.dataset import Dataset
from data.store import Store
from flows.commands.tables import table

MANY = 40  # classes on a screen


@dataclass(frozen=True)
class References:
    """What refers to a dataset by its name.

    Args:
        versions: the registered versions, in order.
        champion: one of them, or None.
        schedules: the deployments that train it by themselves, each with its times.
        nights: how many were recorded.
        last: the last of them: when, how it ended and its verdict; "" without one.
        active: nights that are waiting or running.
    """

    versions: tuple[str, ...]
    champion: str | None
    schedules: tuple[str, ...]
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
    """

    row: Dataset
    about: About
    policy: str
    refers: References

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
            "referred_to_by": vars(self.refers),
        }


def known(store: Store, name: str) -> Known:
    """Return what is known about a dataset.

    Raises:
        UnknownName: there is no such dataset.
    """
    from artifacts.gate.policy import policy_for
    from artifacts.gate.resolution import in_words
    from data import about, catalogue

    row = catalogue.get(store, name)
    counts = row.reference.test_counts if row.reference else ()
    policy = in_words(row.n_test, policy_for(name, counts)) if row.n_test else ""
    return Known(row, about.read(store, name), policy, references(store, name))


def references(store: Store, name: str) -> References:
    """Return what refers to a dataset by its name, whether the catalogue knows it or not."""
    from artifacts.registry import champions, versions
    from data import journal

    nights = [one for one in journal.read(store) if one.kind == "retrain" and one.dataset == name]
    last = nights[-1] if nights else None
    return References(
        versions=tuple(f"{name}/{number}" for number in versions.numbers(store, name)),
        champion=champions.champion_id(store, name),
        schedules=_schedules(store, name),
        nights=len(nights),
        last=f"{last.began[:16].replace('T', ' ')} UTC, {last.state} {last.verdict}".strip() if last else "",
        active=tuple(one.run for one in nights if one.active and not one.lost),
    )


def _schedules(store: Store, name: str) -> tuple[str, ...]:
    from flows.server import deployments

    return tuple(
        f"{one.full_name} at '{when.cron}' {when.timezone}"
        for one in deployments.whole_plan(store).deployments
        for when in one.schedules
        if one.parameters.get("dataset") == name
    )


# -- screens ----------------------------------------------------------------------------------------------------------


def screen(known: Known) -> Group:
    """Return the screen of `nightshift datasets show`."""
    row, refers = known.row, known.refers
    facts = [
        ("title", row.title),
        ("images", f"{row.n_train:,} for training, {row.n_test:,} for testing"),
        ("size", geometry(row)),
        ("licence", row.licence),
        ("cite", row.citation),
        ("read from", _origin(row)),
        ("contact sheet", known.about.sheet),
        ("promotion", known.policy),
        ("schedule", "; ".join(refers.schedules)),
        ("champion", refers.champion),
        ("registered", _versions(refers)),
        ("nights", f"{refers.nights:,}, the last {refers.last}" if refers.nights else ""),
    ]
    parts: list[Any] = [Text(row.name, style="bold"), table(("", ""), [fact for fact in facts if fact[1]])]
    if known.counts:
        parts.append(_classes(known))
    return Group(*parts, *_findings(known))


def added_screen(known: Known, notes: tuple[str, ...], what: str) -> Group:
    """Return the screen after a dataset was added or updated: what was found, and what it means."""
    row = known.row
    head = f"{row.name}: {row.n_train:,} + {row.n_test:,} images of {geometry(row)}, {row.n_classes} classes; {what}"
    lines = [Text(head, style="bold"), *(Text(f"  {note}") for note in notes)]
    lines.append(_classes(known))
    lines += _findings(known)
    if known.about.sheet:
        lines.append(Text(f"look at it: {known.about.sheet}"))
    return Group(*lines, Text(f"promotion: {known.policy}"))


def geometry(row: Dataset) -> str:
    """Return size, colour, fit and ground in words."""
    ground = ", ".join(map(str, row.ground))
    return f"{row.geometry}, others {row.fit}{'ped' if row.fit == 'crop' else 'ded' if row.fit == 'pad' else 'ed'}" + (
        f" on ground {ground}"
    )


def _origin(row: Dataset) -> str:
    if row.origin is None:
        return ""
    from data.importing.options import flag

    options = [
        flag(name) if value is True else f"{flag(name)} {_value(value)}" for name, value in row.origin.options.items()
    ]
    return " ".join([row.origin.location, *options])


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _versions(refers: References) -> str:
    if not refers.versions:
        return ""
    first, last = refers.versions[0], refers.versions[-1]
    return first if first == last else f"{len(refers.versions)} versions, {first} to {last}"


def _classes(known: Known) -> Any:
    counts = known.counts
    shown: list[tuple[Any, ...]] = [(name, f"{train:,}", f"{test:,}") for name, train, test in counts[:MANY]]
    if len(counts) > MANY:
        shown.append((f"and {len(counts) - MANY:,} more", "", ""))
    return table(("class", "training", "test"), shown)


def _findings(known: Known) -> list[Text]:
    lines = []
    for finding in known.about.findings:
        lines.append(Text(f"note: {finding['sentence']}", style="yellow"))
        lines.append(Text(f"  -> {finding['remedy']}"))
    return lines
