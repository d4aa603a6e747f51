"""Every dataset by name: the built-in rows, and those that users add under their own names."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import about as about_dataset
from data.builtin import DATASETS
from data.dataset import Dataset, Origin, RawData, Reference
from data.errors import BadInput, Corrupt, UnknownName
from data.home.files import storage_errors
from data.home.layout import NAME
from data.home.store import Store
from data.importing.options import ImportOptions
from data.values import canonical_json, digest_of, from_json

if TYPE_CHECKING:
    from data.importing.importer import Imported
    from data.inspection.findings import Finding

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
        notes: what was found and decided by looking, one sentence each: kind of source, sizes, splits, files left out.
        findings: what is questionable about the images, none of which refuses them.
        sheet: the contact sheet, a PNG with some images per class.
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
    """Read a source once, write four IDX files of one geometry, and pin their hashes and statistics.

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
    _check_name(name)
    about = {"title": title or name, "licence": licence, "citation": citation, "mirror_symmetric": mirror_symmetric}
    return _imported(store, name, str(source), options, about, expected, replace=replace, progress=progress)


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
    row = get(store, name)
    if row.origin is None:
        raise BadInput(
            f"{name!r} is built in" if name in DATASETS else f"where {name!r} was read from is not known",
            "only datasets that were added can be updated"
            if name in DATASETS
            else f"add it again: nightshift datasets remove {name}, then nightshift datasets add {name} SOURCE",
        )
    options = ImportOptions.from_given(row.origin.options)
    fixed = dataclasses.replace(options.fixed(row.geometry), classes=row.class_names)
    about = {key: getattr(row, key) for key in ("title", "licence", "citation", "mirror_symmetric")}
    return _imported(
        store, name, row.origin.location, fixed, about, None, replace=True, progress=progress, origin=row.origin
    )


def rename(store: Store, name: str, new: str) -> Dataset:
    """Give a user's dataset another name; what is registered under the old one stays there.

    The new row is complete before the old one is removed: after a crash in between, there are both.

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
    _check_name(new)
    with store.lock("datasets"):
        if new in names(store):
            raise BadInput(f"there is a dataset {new!r} already", "choose another name")
        old = get(store, name)
        row = dataclasses.replace(old, name=new, title=new if old.title == name else old.title)
        _share_files(store, old, row)
        if store.about(name).is_dir():
            shutil.rmtree(store.about(new), ignore_errors=True)
            store.place(store.about(name), store.about(new))
        _write(store, row)
        (store.dataset_rows() / f"{name}.json").unlink(missing_ok=True)
        shutil.rmtree(store.raw(name, "x").parent, ignore_errors=True)
    return row


def remove(store: Store, name: str, *, files: bool = False) -> None:
    """Remove a user's dataset from the catalogue; its models stay where they are, and its files unless asked.

    Args:
        store: where the row and the files are kept.
        name: of a dataset that was added.
        files: remove the imported images too; registered models do not need them.

    Raises:
        BadInput: it is a built-in one.
        UnknownName: there is no such dataset.
    """
    require_own(store, name, "removed")
    with store.lock("datasets"):
        (store.dataset_rows() / f"{name}.json").unlink(missing_ok=True)
        about_dataset.remove(store, name)
        if files:
            shutil.rmtree(store.raw(name, "x").parent, ignore_errors=True)


def _imported(
    store: Store,
    name: str,
    source: str,
    options: ImportOptions,
    about: dict[str, Any],
    expected: Reference | None,
    *,
    replace: bool,
    progress: Progress | None,
    origin: Origin | None = None,
) -> Added:
    from data.importing.importer import read_source  # inside: numpy and pyarrow stay out of `nightshift --help`

    location = _absolute(source)
    scratch = store.scratch()
    with storage_errors(scratch):
        scratch.mkdir()
    try:
        imported = read_source(location, options, scratch, progress or _silent, store.preflight)
        row = Dataset(
            name=name,
            mirrors=(),
            files=imported.files,
            height=imported.geometry.height,
            width=imported.geometry.width,
            channels=imported.geometry.channels,
            fit=imported.geometry.fit,
            ground=imported.geometry.ground,
            n_train=imported.n_train,
            n_test=imported.n_test,
            class_names=imported.class_names,
            reference=expected,
            origin=origin or Origin(location, _located(options).given()),
            **about,
        )
        row, found = _judged(row, imported, expected)
        _place(store, row, imported.paths, replace=replace)
        return Added(row, imported.notes, found, about_dataset.keep(store, row, imported.notes, found).sheet)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _judged(row: Dataset, imported: "Imported", expected: Reference | None) -> "tuple[Dataset, tuple[Finding, ...]]":
    """Return the row with the statistics of its images, and what is questionable about them.

    Raises:
        BadInput: a finding refuses the images.
    """
    from data.inspection.findings import findings
    from data.sources.idx import map_idx
    from data.statistics.summary import reference_of, summarise

    arrays = {role: map_idx(path) for role, path in imported.paths.items()}
    raw = RawData(**{role: a if role.endswith("images") else a.astype("int64") for role, a in arrays.items()})
    table = summarise(raw, row.ground)
    row = dataclasses.replace(row, reference=expected or reference_of(table, row.n_classes))
    found = findings(row, raw, table)
    refusing = [finding for finding in found if finding.refuses]
    if refusing:
        rest = "".join(f"\n    {finding.sentence}" for finding in refusing[1:])
        raise BadInput(refusing[0].sentence + rest, refusing[0].remedy)
    return row, found


def _place(store: Store, row: Dataset, paths: dict[str, Path], *, replace: bool) -> None:
    """Move the files into the home, then write the row, then remove the files that it does not name any more."""
    with store.lock("datasets"):
        if not replace and row.name in names(store) and not _equal(get(store, row.name), row):
            raise BadInput(
                f"there is a dataset {row.name!r} already, and it is not the same",
                f"choose another name, or remove it first: nightshift datasets remove {row.name}",
            )
        for role, path in paths.items():
            store.place(path, store.raw(row.name, row.files[role].name))
        _write(store, row)
        kept = {file.name for file in row.files.values()}
        for path in store.raw(row.name, "x").parent.iterdir():
            if path.name not in kept and path.is_file():
                path.unlink(missing_ok=True)


def _write(store: Store, row: Dataset) -> None:
    content = asdict(row)
    line = {"row": content, "digest": digest_of(content)}
    store.write_bytes(store.dataset_rows() / f"{row.name}.json", canonical_json(line))


def _share_files(store: Store, row: Dataset, new: Dataset) -> None:
    """Make a dataset's files known under another name too, without copying where the disk can do that."""
    for file in row.files.values():
        old, link = store.raw(row.name, file.name), store.raw(new.name, file.name)
        with storage_errors(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            if old.is_file():  # not if a night has yet to download it
                try:
                    link.hardlink_to(old)
                except OSError:
                    shutil.copy2(old, link)


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


def _equal(old: Dataset, new: Dataset) -> bool:
    """Whether two rows have the same content, wherever it was read from and however its files are packed."""
    contents = [{role: file.raw_sha256 for role, file in row.files.items()} for row in (old, new)]
    return contents[0] == contents[1] and dataclasses.replace(old, files=new.files, origin=new.origin) == new


def _absolute(location: str) -> str:
    return location if "://" in location else str(Path(location).expanduser().absolute())


def _located(options: ImportOptions) -> ImportOptions:
    """Return the options as an update needs them, which may run in another folder."""
    return dataclasses.replace(options, test=_absolute(options.test)) if options.test else options


def _silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def _check_name(name: str) -> None:
    if name in DATASETS:
        raise BadInput(f"{name!r} is a built-in dataset", "choose another name")
    if len(name) > MAX_NAME or not NAME.fullmatch(name) or name.endswith("."):
        raise BadInput(
            f"{name!r} cannot be the name of a dataset",
            f"use up to {MAX_NAME} lower-case letters, digits, dots, dashes and underscores, a letter or digit first",
        )
