"""What labels mean: the names of the classes, in the order of their numbers, by stated rules."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from data.errors import BadInput
from data.importing.batches import Label
from data.importing.options import MAX_CLASSES, ImportOptions

MAX_NAME = 60  # characters
AS_NAMES = "make each label a class of its own with --labels-are-names"


def numbered(
    labels: Sequence[Label], source_names: Sequence[str], options: ImportOptions
) -> tuple[tuple[str, ...], dict[Label, int]]:
    """Return the names of all classes, and the number of the class of each label.

    Whole numbers count from `first_label`; texts are names, sorted. If one label is a text, all are names.

    Args:
        labels: the different labels that occur.
        source_names: what the source calls the classes 0, 1, 2..., if it says so.
        options: `classes`, `first_label`, `labels_are_names`.

    Raises:
        BadInput: the labels do not fit the names, leave gaps, or cannot be classes.
    """
    if options.labels_are_names or any(isinstance(label, str) for label in labels):
        return _named(labels, options)
    return _counted(sorted(int(label) for label in labels if label is not None), source_names, options)


def _named(labels: Sequence[Label], options: ImportOptions) -> tuple[tuple[str, ...], dict[Label, int]]:
    texts = {label: unicodedata.normalize("NFC", str(label)) for label in labels}  # macOS spells é with two characters
    found = sorted(set(texts.values()), key=_natural)
    names = options.classes or tuple(found)
    strangers = [name for name in found if name not in names]
    if strangers:
        raise BadInput(
            f"no class is called {_some(strangers)}; the classes are {_some(names)}",
            "correct --classes, or leave these images out with --ignore-labels",
        )
    _check(names)
    return names, {label: names.index(text) for label, text in texts.items()}


def _natural(text: str) -> tuple[int, int, str]:
    return (0, int(text), "") if text.lstrip("-").isdecimal() else (1, 0, text)


def _counted(
    values: list[int], source_names: Sequence[str], options: ImportOptions
) -> tuple[tuple[str, ...], dict[Label, int]]:
    first, names = options.first_label, options.classes or tuple(source_names)
    lowest, highest = values[0], values[-1]
    shown = _some([str(value) for value in values])
    if lowest < first:
        raise BadInput(
            f"labels start at {lowest}, expected {first} or more ({len(values)} different ones: {shown})",
            f"--first-label {lowest} if this is the first class; --ignore-labels {lowest} leaves these images out",
        )
    if highest - first >= MAX_CLASSES:
        raise BadInput(
            f"expected labels below {first + MAX_CLASSES}, got {highest} ({len(values)} different ones: {shown})",
            f"leave images out with --ignore-labels {highest}, or {AS_NAMES}",
        )
    if names and highest - first >= len(names):
        _refuse_names(values, names, options)
    if not names:
        _check_gaps(values, first)
        names = tuple(str(label) for label in range(first, highest + 1))
    _check(names)
    return names, {value: value - first for value in values}


def _refuse_names(values: list[int], names: Sequence[str], options: ImportOptions) -> None:
    lowest, highest = values[0], values[-1]
    if highest - lowest < len(names) and lowest != options.first_label:
        hint = f"--first-label {lowest} if the first name belongs to label {lowest}"
    else:
        hint = f"give {highest - options.first_label + 1} names, or leave images out with --ignore-labels {highest}"
    raise BadInput(f"labels run from {lowest} to {highest}, but there are {len(names)} classes", hint)


def _check_gaps(values: list[int], first: int) -> None:
    """Refuse numbers between which others are missing: is a label wrong, or a class empty?"""
    lowest, highest = values[0], values[-1]
    if lowest == first + 1 and len(values) == highest - lowest + 1:
        raise BadInput(
            f"no image has label {first}; {len(values)} classes from {lowest} to {highest}",
            f"use --first-label {lowest}; or name all {highest - first + 1} classes with --classes, the empty one too",
        )
    missing = highest - first + 1 - len(values)
    if missing:
        labels, verb = ("label", "has") if missing == 1 else ("labels", "have")
        raise BadInput(
            f"labels are {_some([str(value) for value in values])}: {missing} {labels} between them {verb} no image",
            f"if {highest} means 'unlabelled', add --ignore-labels {highest}; or {AS_NAMES}; "
            "or name all classes with --classes, the empty ones too",
        )


def _check(names: Sequence[str]) -> None:
    if not 2 <= len(names) <= MAX_CLASSES:
        many = (
            "is --label-column the right one?"
            if len(names) > MAX_CLASSES
            else "a classifier needs two classes at least"
        )
        raise BadInput(f"expected 2 to {MAX_CLASSES} classes, got {len(names)} ({_some(names)})", many)
    bad = [name for name in names if not _is_name(name)]
    if bad or len(set(names)) < len(names):
        raise BadInput(
            f"{bad[0]!r} cannot be the name of a class" if bad else "two classes have the same name",
            f"use different names of up to {MAX_NAME} printable characters",
        )


def _some(texts: Sequence[str]) -> str:
    shown = [text if text.isprintable() else repr(text) for text in texts]
    return ", ".join(shown) if len(shown) <= 8 else f"{', '.join(shown[:6])}, ... {shown[-1]}"


@dataclass(frozen=True)
class Numbered:
    """What the labels of a source mean.

    Args:
        names: of all classes, by number.
        numbers: the number of the class of each label that has one.
        refused: why each of the other labels is that of no class.
    """

    names: tuple[str, ...]
    numbers: dict[Label, int]
    refused: dict[Label, str]


def extended(
    labels: Sequence[Label], known: tuple[str, ...], source_names: Sequence[str], options: ImportOptions
) -> Numbered:
    """Return what labels mean in a dataset that has classes already: new classes are appended, none is renumbered.

    With `classes` no class is ever new. Texts are names. Whole numbers count from `first_label`, and the one after the
    last is a new class; they are names, too, where some label is the name of a class or where `labels_are_names`.

    Args:
        labels: the different labels that occur.
        known: the names of the classes so far.
        source_names: what the source calls the classes 0, 1, 2..., if it says so.
        options: `classes`, `first_label`, `labels_are_names`.
    """
    texts = {label: unicodedata.normalize("NFC", str(label)) for label in labels}
    plain = known == tuple(str(options.first_label + place) for place in range(len(known)))
    counts = bool(options.classes or source_names or plain) and not options.labels_are_names
    counts = counts and not any(isinstance(label, str) and texts[label] in known for label in labels)
    names, numbers, refused = list(known), dict[Label, int](), dict[Label, str]()
    for label in sorted(labels, key=lambda label: _natural(texts[label])):
        place = int(label) - options.first_label if counts and isinstance(label, int) else None
        name = texts[label] if place is None else _counted_name(place, label, names, source_names)
        why = "" if name in names else _why_not(name, place, names, options)
        if why:
            refused[label] = why
            continue
        if name not in names:
            names.append(name)
        numbers[label] = names.index(name)
    return Numbered(tuple(names), numbers, refused)


def _counted_name(place: int, label: Label, names: Sequence[str], source_names: Sequence[str]) -> str:
    if 0 <= place < len(names):
        return names[place]
    return source_names[place] if 0 <= place < len(source_names) else str(label)


def _why_not(name: str, place: int | None, names: Sequence[str], options: ImportOptions) -> str:
    """Return why a label cannot be that of a new class; "" if it can."""
    called = repr(name) if not name.isprintable() else name
    if options.classes:
        return f"no class is called {called}, and --classes names them all"
    if place is not None and place != len(names):
        return f"label {called} is none of the {len(names)} classes, and not the next one"
    if len(names) >= MAX_CLASSES:
        return f"there are {MAX_CLASSES} classes already, so {called} cannot be another one"
    return "" if _is_name(name) else f"{called[: 2 * MAX_NAME]} cannot be the name of a class"


def _is_name(name: str) -> bool:
    return name.isprintable() and bool(name.strip()) and len(name) <= MAX_NAME
