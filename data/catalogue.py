"""Every dataset by name: the built-in rows, and those that users add under their own names."""

import json
from collections.abc import Sequence
from pathlib import Path

from data.builtin import DATASETS
from data.dataset import Dataset, Reference, from_json, to_json
from data.errors import BadInput, Corrupt, UnknownName
from data.layout import NAME
from data.store import Store
from data.values import canonical_json, digest_of

MAX_NAME = 40  # leaves room for what the store puts around it


def names(store: Store) -> tuple[str, ...]:
    """Return what can be asked for: the built-in datasets, then the ones users brought, by name."""
    brought = (path.stem for path in store.dataset_rows().glob("*.json"))
    return (*DATASETS, *sorted(name for name in brought if NAME.fullmatch(name) and name not in DATASETS))


def get(store: Store, name: str) -> Dataset:
    """Return a row.

    Raises:
        UnknownName: there is no such dataset; the message lists those that there are.
        Corrupt: the row that a user added was changed since.
    """
    if name in DATASETS:
        return DATASETS[name]
    if name not in names(store):
        raise UnknownName.among("dataset", name, names(store), "add your own with 'nightshift datasets add'")
    path = store.dataset_rows() / f"{name}.json"
    try:
        content = json.loads(path.read_bytes())
        row = from_json(content["row"])
        intact = content["digest"] == digest_of(content["row"]) and row.name == name
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Corrupt(
            f"{path} cannot be read as a dataset ({error})", "remove it, and add the dataset again"
        ) from error
    if not intact:
        raise Corrupt(f"{path} was changed since the dataset was added", "remove it, and add the dataset again")
    return row


def add(
    store: Store,
    name: str,
    folder: Path,
    class_names: Sequence[str] = (),
    *,
    title: str = "",
    licence: str = "",
    citation: str = "",
    mirror_symmetric: bool = False,
    expected: Reference | None = None,
) -> Dataset:
    """Make the four IDX files in a folder a dataset under its own name; hashes and statistics are pinned now.

    The files are copied into the store, so the folder may disappear afterwards. Adding the same thing again restores
    damaged copies.

    Args:
        store: where it is kept.
        name: a new name: lower-case letters, digits, dots, dashes, underscores.
        folder: holds the images and labels of training and test set, compressed or not, under a usual name.
        class_names: what the labels 0, 1, 2... mean; without it "0", "1"... up to the largest label.
        title: what people call it; the name if empty.
        licence: of the images.
        citation: whom to name.
        mirror_symmetric: whether an image flipped left to right still belongs to its class.
        expected: statistics that the images must show each night; without it their own.

    Raises:
        BadInput: the name is taken or cannot be one; a class name cannot be one; the classes do not fit the labels.
        BadFile: a file is missing, damaged, or not what its name says.
        StorageFailed: the home cannot be written.
    """
    from data.import_folder import read_folder  # inside: numpy and pyarrow stay out of `nightshift --help`

    _check_name(name)
    brought = read_folder(folder, tuple(class_names))
    row = Dataset(
        name=name,
        title=title or name,
        mirrors=(),
        files=brought.files,
        height=brought.height,
        width=brought.width,
        n_train=brought.n_train,
        n_test=brought.n_test,
        class_names=brought.class_names,
        licence=licence,
        citation=citation,
        mirror_symmetric=mirror_symmetric,
        reference=expected or brought.reference,
    )
    with store.lock("datasets"):
        if name in names(store) and get(store, name) != row:
            raise BadInput(
                f"there is a dataset {name!r} already, and it is not the same",
                f"choose another name, or remove it first: nightshift datasets remove {name}",
            )
        for role, content in brought.contents.items():
            store.write_bytes(store.raw(name, row.files[role].name), content)
        content_of_row = to_json(row)
        line = {"row": content_of_row, "digest": digest_of(content_of_row)}
        store.write_bytes(store.dataset_rows() / f"{name}.json", canonical_json(line))
    return row


def remove(store: Store, name: str) -> None:
    """Forget a dataset that a user brought; its files and models stay where they are.

    Raises:
        BadInput: it is a built-in one.
        UnknownName: there is no such dataset.
    """
    if name in DATASETS:
        raise BadInput(f"{name!r} is built in and cannot be removed", "only datasets that were added can be removed")
    if name not in names(store):
        raise UnknownName.among("dataset", name, names(store))
    with store.lock("datasets"):
        (store.dataset_rows() / f"{name}.json").unlink(missing_ok=True)


def _check_name(name: str) -> None:
    if name in DATASETS:
        raise BadInput(f"{name!r} is a built-in dataset", "choose another name")
    if len(name) > MAX_NAME or not NAME.fullmatch(name) or name.endswith("."):
        raise BadInput(
            f"{name!r} cannot be the name of a dataset",
            f"use up to {MAX_NAME} lower-case letters, digits, dots, dashes and underscores, a letter or digit first",
        )
