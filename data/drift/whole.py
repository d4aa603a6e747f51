"""Rules on the whole set: tonight's images and labels against the last accepted snapshot."""

from collections.abc import Iterator, Mapping

import numpy as np

from data.drift.night import SIDES, Night
from data.drift.shift import ACCEPT, Shift, by_chance, listing, name_of, share_text, shares

LEAST = 10  # images or labels: what concerns fewer is no accident, and too few to tell a person about
REMOVED = (0.05, 0.25)  # share of a split that is gone: told above, stopped above
SHRUNK = (0.3, 0.9)  # share of a class's images that is gone
RELABELLED = (0.01, 0.05)  # 1 - Cohen's kappa; 0.1 if a tenth of the labels was permuted, however many classes
RENUMBERED = (0.3, 0.8)  # share of a class's images that has one other label
MIX = 0.1  # total variation between the class shares of the two snapshots, beyond chance
FEW = 50  # images added or removed: fewer do not shift the shares of all
BOTH = 0.001  # copies of known images on the other side, as a share of the test images


def whole_rules(night: Night, counts: Mapping[str, int]) -> Iterator[Shift]:
    """Yield what every rule on the whole set found, what explains others first.

    Args:
        night: both snapshots.
        counts: what the snapshot counted while it was taken; used is "on_both_sides", if it is there.
    """
    yield class_names(night)
    yield moved(night)
    yield renumbered(night)
    yield relabelled(night)
    yield shrunk(night)
    yield from removed(night)
    yield class_mix(night)
    yield on_both_sides(night, counts)


def class_names(night: Night) -> Shift:
    """Compare what the labels mean; new classes come after the old ones."""
    old, new = night.old_names, night.new_names
    other = [label for label, name in enumerate(old) if label >= len(new) or new[label] != name]
    renumbered = [label for label in other if old[label] in new or label >= len(new) or new[label] in old]
    told = [f"label {label} was {old[label]}, is {name_of(new, label)}" for label in other]
    return Shift(
        "class names",
        "accident",
        1.0 if renumbered else len(other) / max(len(old), 1) / 2,
        "share of names that changed, halved; 1 if a name has another label",
        0.0,
        0.5,
        f"{len(other)} of {len(old)} labels mean something else than in the last snapshot: {listing(told)}",
        f"give the classes in the order of before, new ones at the end; {ACCEPT}",
    )


def moved(night: Night) -> Shift:
    """Count images that were on the other side of the test split."""
    test = SIDES.index("test")
    crossed = int(((night.old_sides[night.kept_old] == test) != (night.sides[night.kept] == test)).sum())
    return Shift(
        "images moved between splits",
        "accident",
        crossed / max(len(night.kept), 1),
        "share of known images",
        0.0,
        0.0,
        f"{share_text(crossed, len(night.kept))} known images moved between training and test",
        "an image stays in its split for ever: put it back where it was, or remove it from the source",
    )


def removed(night: Night) -> Iterator[Shift]:
    """Yield the share of each split that is gone."""
    for number, side in enumerate(SIDES):
        n, gone = int((night.old_sides == number).sum()), int((night.old_sides[night.removed] == number).sum())
        added = int((night.sides[night.added] == number).sum())
        yield Shift(
            f"{side} images gone",
            "accident",
            gone / max(n, 1) if gone >= LEAST else 0.0,
            f"share of the {side} images",
            *REMOVED,
            f"{share_text(gone, n)} {side} images of the last snapshot are gone; {added:,} are new",
            f"check that the whole source is there, and that its images were not edited or converted; {ACCEPT}",
        )


def shrunk(night: Night) -> Shift:
    """Find classes that lost many of their images, by removal or by other labels."""
    before, now = (np.bincount(labels, minlength=night.n_classes) for labels in (night.old_labels, night.labels))
    lost = np.where(before >= LEAST, 1 - now / np.maximum(before, 1), 0)
    worst = [int(label) for label in np.argsort(-lost, kind="stable") if lost[label] > SHRUNK[0]]
    told = [f"{name_of(night.old_names, label)} ({before[label]:,} images, now {now[label]:,})" for label in worst]
    return Shift(
        "classes shrunk",
        "accident",
        max(float(lost.max(initial=0)), 0.0),
        "share of a class's images",
        *SHRUNK,
        f"{len(worst)} classes lost many of their images: {listing(told)}",
        f"check that no folder or file of these classes is missing, renamed or empty; {ACCEPT}",
    )


def _moves(night: Night) -> np.ndarray:
    """Return how many known images of each class have which label tonight, int64 of shape (n_classes, n_classes)."""
    pairs = night.old_labels[night.kept_old] * night.n_classes + night.labels[night.kept]
    return np.bincount(pairs, minlength=night.n_classes**2).reshape(night.n_classes, night.n_classes)


def renumbered(night: Night) -> Shift:
    """Find classes whose images have one other label: renumbered, swapped or merged."""
    moves = _moves(night)
    n = moves.sum(axis=1)
    np.fill_diagonal(moves, 0)
    goal, most = moves.argmax(axis=1), moves.max(axis=1)
    part = np.where((n >= LEAST) & (most >= LEAST), most / np.maximum(n, 1), 0)
    order = [int(label) for label in np.argsort(-part, kind="stable") if part[label] > RENUMBERED[0]]
    told = [
        f"{name_of(night.old_names, one)} is now {name_of(night.new_names, goal[one])} ({most[one]:,} of {n[one]:,})"
        for one in order
    ]
    return Shift(
        "classes renumbered",
        "accident",
        float(part.max(initial=0)),
        "share of a class's images with one other label",
        *RENUMBERED,
        f"{len(order)} classes have another label than in the last snapshot: {listing(told)}",
        f"check the order of the classes, and whether two folders or names were swapped; {ACCEPT}",
    )


def relabelled(night: Night) -> Shift:
    """Compare the labels of the images that both snapshots have."""
    old, new = night.old_labels[night.kept_old], night.labels[night.kept]
    changed, n = int((old != new).sum()), len(old)
    by_chance = float(shares(old, night.n_classes) @ shares(new, night.n_classes))
    effect = changed / max(n, 1) / max(1 - by_chance, 1e-9)
    return Shift(
        "labels changed",
        "accident",
        min(effect, 1.0) if changed >= LEAST else 0.0,
        "1 - Cohen's kappa",
        *RELABELLED,
        f"{share_text(changed, n)} known images have another label than in the last snapshot, as if "
        f"{min(effect, 1):.1%} of all labels had been drawn anew",
        f"check that labels were not shifted against the images, or sorted in another way; {ACCEPT}",
    )


def class_mix(night: Night) -> Shift:
    """Compare the class shares of all images with those of the last snapshot."""
    old, new = shares(night.old_labels, night.n_classes), shares(night.labels, night.n_classes)
    most, changes = int(np.abs(new - old).argmax()), len(night.added) + len(night.removed)
    limit = MIX + float(by_chance(old, changes)) * min(changes / max(len(night.new), 1), 1.0)
    return Shift(
        "class shares of all images",
        "shift",
        float(np.abs(new - old).sum() / 2) if changes >= FEW and len(night.old) else 0.0,
        "total variation",
        limit,
        limit,
        f"class shares of all images moved overnight; most {name_of(night.new_names, most)}, "
        f"from {old[most]:.1%} to {new[most]:.1%}",
        "check whether classes were added or removed in bulk",
    )


def on_both_sides(night: Night, counts: Mapping[str, int]) -> Shift:
    """Report exact copies across the splits, which the snapshot left out."""
    n, tests = int(counts.get("on_both_sides", 0)), int((night.sides == SIDES.index("test")).sum())
    return Shift(
        "exact copies across splits",
        "accident",
        n / max(tests, 1) if n > 1 else 0.0,
        "share of the test images",
        BOTH,
        None,
        f"{n:,} images lie in the training and in the test part of the source; each counts where it was first seen",
        "remove them from one of the two",
    )
