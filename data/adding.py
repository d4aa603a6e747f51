"""Adds datasets of users, and reads their sources again."""

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import about as about_dataset
from data import catalogue
from data.builtin import DATASETS
from data.dataset import Dataset, Geometry, Origin, RawData, Reference
from data.errors import BadInput
from data.growth import Growth
from data.home.files import storage_errors
from data.home.store import Store
from data.importing.options import ImportOptions

if TYPE_CHECKING:
    from data.importing.importer import Imported
    from data.inspection.findings import Finding
    from data.snapshots.take import Taken

Progress = Callable[[str, int, int], None]
DEFAULTS = ImportOptions()


@dataclass(frozen=True)
class Added:
    """What `add` and `update` did.

    Args:
        row: the dataset's row, as it is in the catalogue now.
        notes: what was found and decided by looking, one sentence each: kind of source, sizes, splits, files left out.
        findings: what is questionable about the images, none of which refuses them.
        sheet: the contact sheet, a PNG with some images per class.
        taken: the snapshot, of a dataset that grows.
    """

    row: Dataset
    notes: tuple[str, ...] = ()
    findings: "tuple[Finding, ...]" = ()
    sheet: Path | None = None
    taken: "Taken | None" = None


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
    growth: Growth | None = None,
    progress: Progress | None = None,
) -> Added:
    """Read a source once, write four IDX files of one geometry, and pin their hashes and statistics.

    The source may be deleted afterwards. Adding the same source again restores damaged copies. A dataset that grows
    has snapshots instead, and keeps reading the source; adding it again changes nothing.

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
        growth: how it follows the source; None for images that stay as they are.
        progress: called with what is being done, the number done and the number expected (0 if unknown).

    Raises:
        BadInput: the name is taken or cannot be one; the classes do not fit the labels; a finding refuses the images.
        BadFile: a file is missing, damaged, or not what its name says.
        SourceUnavailable: a URL cannot be read.
        StorageFailed: the home cannot be written.
    """
    catalogue.check_name(name)
    about = {"title": title or name, "licence": licence, "citation": citation, "mirror_symmetric": mirror_symmetric}
    if growth:
        return _first_snapshot(store, name, _absolute(str(source)), options, about, growth, progress=progress)
    return _imported(store, name, str(source), options, about, expected, replace=replace, progress=progress)


def update(
    store: Store,
    name: str,
    *,
    growth: dict[str, Any] | None = None,
    reread: bool = False,
    progress: Progress | None = None,
) -> Added:
    """Read a dataset's source again, as it was read when it was added, and replace its row and files.

    Geometry and classes stay as they are; a dataset that grows takes a snapshot, and may gain classes.

    Args:
        store: where the row and the files are kept.
        name: of a dataset that was added.
        growth: settings of `Growth` that change; not None makes a dataset grow that did not.
        reread: of a dataset that grows: read all files, also those that look unchanged.
        progress: see `add`.

    Raises:
        BadInput: it is built in, or its origin is not known; or as `add`.
        UnknownName: there is no such dataset.
    """
    row = catalogue.get(store, name)
    if row.origin is None:
        raise BadInput(
            f"{name!r} is built in" if name in DATASETS else f"where {name!r} was read from is not known",
            "only datasets that were added can be updated"
            if name in DATASETS
            else f"add it again: nightshift datasets remove {name}, then nightshift datasets add {name} SOURCE",
        )
    if growth is not None or row.growth:
        growing = dataclasses.replace(row, growth=(row.growth or Growth()).changed(growth or {}))
        return follow(store, growing, reread=reread, progress=progress)
    options = ImportOptions.from_given(row.origin.options)
    fixed = dataclasses.replace(options.fixed(row.geometry), classes=row.class_names)
    about = {key: getattr(row, key) for key in ("title", "licence", "citation", "mirror_symmetric")}
    return _imported(
        store, name, row.origin.location, fixed, about, None, replace=True, progress=progress, origin=row.origin
    )


def follow(store: Store, row: Dataset, *, reread: bool = False, progress: Progress | None = None) -> Added:
    """Take a snapshot of the source of a dataset that grows, and write the row that names it.

    Args:
        store: where row, shards and snapshot are kept.
        row: its row; it has `growth` and `origin`.
        reread: read all files, also those that look unchanged.
        progress: see `add`.

    Raises:
        BadFile, SourceUnavailable: the source cannot be read.
        DataRefused: too much of it cannot be used.
        StorageFailed: the home cannot be written.
    """
    followed, taken = _taken(store, row, reread=reread, progress=progress)
    with store.lock("datasets"):
        catalogue.write(store, followed)
    shutil.rmtree(store.raw(row.name, "x").parent, ignore_errors=True)  # of a dataset that begins to grow
    return Added(followed, taken.notes, taken=taken)


def _taken(store: Store, row: Dataset, *, reread: bool, progress: Progress | None) -> "tuple[Dataset, Taken]":
    """Take a snapshot, and return the row that names it."""
    from data.snapshots.take import take

    assert row.origin, "only datasets that were added grow"
    options = ImportOptions.from_given(row.origin.options).fixed(row.geometry)
    taken = take(store, row, options, reread=reread, progress=progress or _silent, now=datetime.now(UTC))
    followed = dataclasses.replace(
        row,
        files={},
        reference=None,
        snapshot=taken.ref.digest,
        n_train=taken.n_train,
        n_test=taken.n_test,
        class_names=taken.class_names,
    )
    return followed, taken


def _first_snapshot(
    store: Store,
    name: str,
    location: str,
    options: ImportOptions,
    about: dict[str, Any],
    growth: Growth,
    *,
    progress: Progress | None,
) -> Added:
    """Find the geometry by looking at the source, take the first snapshot, and judge its images."""
    from data.importing.importer import surveyed
    from data.inspection.findings import findings
    from data.validation.snapshots import material

    origin = Origin(location, _located(options).given())
    if name in catalogue.names(store):
        old = catalogue.get(store, name)
        if (old.origin, old.growth) == (origin, growth):  # the same command again, as after a crash
            kept = about_dataset.read(store, name)
            return Added(old, kept.notes, sheet=kept.sheet)
        raise BadInput(
            f"there is a dataset {name!r} already",
            f"'nightshift datasets update {name} --grows' makes it follow its source; or choose another name",
        )
    shutil.rmtree(store.growing(name, "x").parent, ignore_errors=True)  # of one that was removed, or not quite added
    geometry, notes = surveyed(store.scratch(), location, options, progress or _silent)
    new = _row(name, geometry, about, files={}, n_train=0, n_test=0, class_names=(), origin=origin, growth=growth)
    try:
        row, taken = _taken(store, new, reread=False, progress=progress)
        shown, raw, table = material(store, row, taken.ref).sample
        found = _none_refuses(findings(shown, raw, table))
        notes = tuple(dict.fromkeys((*notes, *taken.notes)))
        sheet = about_dataset.keep(store, shown, raw, notes, found).sheet
    except BaseException:
        shutil.rmtree(store.growing(name, "x").parent, ignore_errors=True)
        about_dataset.remove(store, name)
        raise
    with store.lock("datasets"):  # the row last: with it the dataset is there, whole
        catalogue.write(store, row)
    return Added(row, notes, found, sheet, taken)


def _row(name: str, geometry: Geometry, about: dict[str, Any], **more: Any) -> Dataset:
    return Dataset(
        name=name,
        mirrors=(),
        height=geometry.height,
        width=geometry.width,
        channels=geometry.channels,
        fit=geometry.fit,
        ground=geometry.ground,
        reference=None,
        **about,
        **more,
    )


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
        row = _row(
            name,
            imported.geometry,
            about,
            files=imported.files,
            n_train=imported.n_train,
            n_test=imported.n_test,
            class_names=imported.class_names,
            origin=origin or Origin(location, _located(options).given()),
        )
        row, raw, found = _judged(row, imported, expected)
        _place(store, row, imported.paths, replace=replace)
        return Added(row, imported.notes, found, about_dataset.keep(store, row, raw, imported.notes, found).sheet)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _judged(
    row: Dataset, imported: "Imported", expected: Reference | None
) -> "tuple[Dataset, RawData, tuple[Finding, ...]]":
    """Return the row with the statistics of its images, the images, and what is questionable about them.

    Raises:
        BadInput: a finding refuses the images.
    """
    from data.inspection.findings import findings
    from data.sources.idx import map_idx
    from data.statistics.summary import reference_of, summarise

    arrays = {role: map_idx(path) for role, path in imported.paths.items()}  # stay mapped when the files are moved
    raw = RawData(**{role: a if role.endswith("images") else a.astype("int64") for role, a in arrays.items()})
    scratch = imported.paths["train_images"].parent
    with storage_errors(scratch):
        table = summarise(raw, row.ground, scratch)  # in memory it would grow by 110 bytes per image
    row = dataclasses.replace(row, reference=expected or reference_of(table, row.n_classes))
    return row, raw, _none_refuses(findings(row, raw, table))


def _none_refuses(found: "tuple[Finding, ...]") -> "tuple[Finding, ...]":
    """Return the findings if none of them refuses the images.

    Raises:
        BadInput: one does.
    """
    refusing = [finding for finding in found if finding.refuses]
    if refusing:
        rest = "".join(f"\n    {finding.sentence}" for finding in refusing[1:])
        raise BadInput(refusing[0].sentence + rest, refusing[0].remedy)
    return found


def _place(store: Store, row: Dataset, paths: dict[str, Path], *, replace: bool) -> None:
    """Move the files into the home, then write the row, then remove the files that it does not name any more."""
    with store.lock("datasets"):
        if not replace and row.name in catalogue.names(store) and not _equal(catalogue.get(store, row.name), row):
            raise BadInput(
                f"there is a dataset {row.name!r} already, and it is not the same",
                f"choose another name, or remove it first: nightshift datasets remove {row.name}",
            )
        for role, path in paths.items():
            store.place(path, store.raw(row.name, row.files[role].name))
        catalogue.write(store, row)
        kept = {file.name for file in row.files.values()}
        for path in store.raw(row.name, "x").parent.iterdir():
            if path.name not in kept and path.is_file():
                path.unlink(missing_ok=True)


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
