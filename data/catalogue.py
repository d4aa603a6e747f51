"""Every dataset by name: the built-in rows, and those that users added under their own names."""

import dataclasses
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from data.builtin import DATASETS
from data.dataset import Dataset
from data.errors import BadInput, Corrupt, UnknownName
from data.home.files import storage_errors
from data.home.layout import NAME
from data.home.store import Store
from data.values import canonical_json, digest_of, from_json

MAX_NAME = 40  # leaves room for what the store puts around it


def names(store: Store) -> tuple[str, ...]:
    """Return the names of all datasets: the built-in ones, then those that users added, sorted."""
    added = (path.stem for path in store.dataset_rows().glob("*.json"))
    return (*DATASETS, *sorted(name for name in added if NAME.fullmatch(name) and name not in DATASETS))


def get(store: Store, name: str) -> Dataset:
    """Return the row of a dataset.

    Raises:
        UnknownName: there is no such dataset; the message lists the known ones.
        Corrupt: the row is unreadable, or was changed since a user added it.
    """
    if name in DATASETS:
        return DATASETS[name]
    if name not in names(store):
        raise UnknownName.among("dataset", name, names(store), "add your own with 'nightshift datasets add'")
    path = store.dataset_rows() / f"{name}.json"
    try:
        content = json.loads(path.read_bytes())
        row = from_json(Dataset, content["row"])
        intact = content["digest"] == digest_of(content["row"]) and row.name == name
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Corrupt(
            f"{path} cannot be read as a dataset ({error})", "remove it, and add the dataset again"
        ) from error
    if not intact:
        raise Corrupt(f"{path} was changed since the dataset was added", "remove it, and add the dataset again")
    return row


def rename(store: Store, name: str, new: str) -> Dataset:
    """Give a user's dataset another name; what is registered under the old one stays there.

    The new row is complete before the old one is removed: after a crash in between, there are both, and the same call
    again goes on.

    Args:
        store: where the row and the files are kept.
        name: of a dataset that was added.
        new: a name that no dataset has.

    Returns:
        The row under its new name; a title that was the name has changed with it.

    Raises:
        BadInput: it is built in; or the new name is taken or cannot be one.
        UnknownName: there is no such dataset.
        StorageFailed: the home cannot be written.
    """
    require_own(store, name, "renamed")
    check_name(new)
    with store.lock("datasets"):
        old = get(store, name)
        row = dataclasses.replace(old, name=new, title=new if old.title == name else old.title)
        if new in names(store) and get(store, new) != row:  # the same row: an interrupted renaming goes on
            raise BadInput(f"there is a dataset {new!r} already", "choose another name")
        _share_files(store, old, row)
        for kept, target in ((store.about(name), store.about(new)), (_growing(store, name), _growing(store, new))):
            if kept.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                store.place(kept, target)
        write(store, row)
        before = store.dataset_rows() / f"{name}.json"
        with storage_errors(before):
            if (files := store.raw(name, "x").parent).is_dir():
                shutil.rmtree(files)
            before.unlink(missing_ok=True)
    return row


def remove(store: Store, name: str, *, files: bool = False) -> None:
    """Remove a user's dataset from the catalogue; its models stay where they are, and its files unless asked.

    The row goes first, and with it the dataset; after a crash in between, the same call again removes the rest.

    Args:
        store: where the row and the files are kept.
        name: of a dataset that was added.
        files: remove the imported images too; registered models do not need them.

    Raises:
        BadInput: it is a built-in one.
        UnknownName: there is no such dataset, and nothing is left of one.
        StorageFailed: the home cannot be written; give the call again.
    """
    require_removable(store, name, files=files)
    row = store.dataset_rows() / f"{name}.json"
    with store.lock("datasets"), storage_errors(row):
        row.unlink(missing_ok=True)
        for folder in _parts(store, name, files=files):  # nothing later by this name is compared with them
            if folder.is_dir():
                shutil.rmtree(folder)


def require_removable(store: Store, name: str, *, files: bool) -> None:
    """Refuse what is built in, and a name of which nothing is there; arguments and errors as for `remove`."""
    if name in DATASETS or not NAME.fullmatch(name) or not any(map(Path.is_dir, _parts(store, name, files=files))):
        require_own(store, name, "removed")


def _parts(store: Store, name: str, *, files: bool) -> list[Path]:
    """Return the folders of a dataset."""
    return [store.about(name), _growing(store, name), *([store.raw(name, "x").parent] if files else [])]


def _growing(store: Store, name: str) -> Path:
    """Return the folder with what is known about the source of a dataset that grows."""
    return store.growing(name, "x").parent


def write(store: Store, row: Dataset) -> None:
    """Write the row of a dataset that a user added, in place of an earlier one."""
    content = asdict(row)
    line = {"row": content, "digest": digest_of(content)}
    store.write_bytes(store.dataset_rows() / f"{row.name}.json", canonical_json(line))


def require_own(store: Store, name: str, done: str) -> None:
    """Refuse a dataset that is built in, or that there is not.

    Args:
        store: the home.
        name: of the dataset.
        done: what is to be done to it, such as "removed".

    Raises:
        BadInput: it is built in.
        UnknownName: there is no such dataset.
    """
    if name in DATASETS:
        raise BadInput(f"{name!r} is built in and cannot be {done}", f"only datasets that were added can be {done}")
    if name not in names(store):
        raise UnknownName.among("dataset", name, names(store))


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a new dataset.

    Raises:
        BadInput: it is a built-in one's, too long, or has characters that file names should not have.
    """
    if name in DATASETS:
        raise BadInput(f"{name!r} is a built-in dataset", "choose another name")
    if len(name) > MAX_NAME or not NAME.fullmatch(name) or name.endswith("."):
        raise BadInput(
            f"{name!r} cannot be the name of a dataset",
            f"use up to {MAX_NAME} lower-case letters, digits, dots, dashes and underscores, a letter or digit first",
        )


def _share_files(store: Store, row: Dataset, new: Dataset) -> None:
    """Make a dataset's files known under another name too, without copying where the disk can do that."""
    for file in row.files.values():
        old, link = store.raw(row.name, file.name), store.raw(new.name, file.name)
        with storage_errors(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            if old.is_file():  # not if a night has yet to download it, or an interrupted renaming was further
                link.unlink(missing_ok=True)
                try:
                    link.hardlink_to(old)
                except OSError:
                    shutil.copy2(old, link)
