"""Every dataset by name: the built-in rows, and those that users add under their own names."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.builtin import DATASETS
from data.dataset import Dataset, Reference
from data.errors import BadInput, Corrupt, UnknownName
from data.layout import NAME
from data.importing.options import ImportOptions
from data.store import Store
from data.values import canonical_json, digest_of, from_json

if TYPE_CHECKING:
    from data.findings import Finding

Progress = Callable[[str, int, int], None]
DEFAULTS = ImportOptions()
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


@dataclass(frozen=True)
class Added:
    """What `add` and `update` did.

    Args:
        row: the dataset's row, as it is in the catalogue now.
        notes: what was found and decided by looking, one sentence each: kind of source, sizes, classes, splits, files left out.
        findings: what is questionable about the images, none of which refuses them.
        sheet: the contact sheet, a PNG with some images per class; None if it could not be drawn.
    """

    row: Dataset
    notes: tuple[str, ...] = ()
    findings: "tuple[Finding, ...]" = ()
    sheet: Path | None = None


def add(
    store: Store,
    name: str,
    source: str | Path,
    options: ImportOptions = DEFAULTS,
    *,
    title: str = "",
    licence: str = "",
    citation: str = "",
    mirror_symmetric: bool = False,
    expected: Reference | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Added:
    """Read a source once, write its images and labels as four IDX files of one geometry, and pin their hashes and statistics.

    The source may be deleted afterwards. Adding the same source again restores damaged copies.

    Args:
        store: where the row and the files are kept.
        name: a new name: lower-case letters, digits, dots, dashes, underscores.
        source: a path or URL: a folder, a table, arrays, IDX files, an archive; see docs/your-own-data.md.
        options: how it is read.
        title: for people; the name if empty.
        licence: of the images.
        citation: the publication to cite.
        mirror_symmetric: whether an image flipped left to right still belongs to its class.
        expected: statistics that the images must have in every run; those of these images if not given.
        replace: replace a dataset of this name that is not the same.
        progress: called with what is being done, the number done and the number expected (0 if unknown).

    Raises:
        BadInput: the name is taken or cannot be one; the classes do not fit the labels; a finding refuses the images.
        BadFile: a file is missing, damaged, or not what its name says.
        SourceUnavailable: a URL cannot be read.
        StorageFailed: the home cannot be written.
    """
    raise NotImplementedError


def update(store: Store, name: str, *, progress: Progress | None = None) -> Added:
    """Read a dataset's source again, as it was read when it was added, and replace its row and files.

    Geometry and classes stay as they are.

    Args:
        store: where the row and the files are kept.
        name: of a dataset that was added.
        progress: see `add`.

    Raises:
        BadInput: it is built in, or its origin is not known; or as `add`.
        UnknownName: there is no such dataset.
    """
    raise NotImplementedError


def remove(store: Store, name: str) -> None:
    """Remove a user's dataset from the catalogue; its files and models stay where they are.

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
