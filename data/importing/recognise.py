"""Which kind of source is this? Found by looking at the names of the files, unless the user says so."""

from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath

from data.dataset import ROLES
from data.errors import BadFile
from data.importing.batches import Source
from data.importing.options import ImportOptions, Kind
from data.importing.places.archives import archive, is_archive
from data.importing.places.local import OneFile
from data.importing.places.place import File, Place
from data.importing.readers import arrays, folders, idx_files, shards, tables
from data.importing.readers.table_columns import is_metadata, is_table
from data.sources.idx import GZIP_MAGIC

CALLED: dict[Kind, str] = {
    "folder": "a folder of images",
    "table": "a table",
    "arrays": "NumPy arrays",
    "idx": "IDX files",
    "tar": "WebDataset shards",
}
CONTAINERS: dict[Kind, Callable[[File], bool]] = {"table": is_table, "tar": shards.is_shard}
READERS = {
    "folder": folders.open_folder,
    "table": tables.open_tables,
    "arrays": arrays.open_arrays,
    "idx": idx_files.open_idx,
    "tar": shards.open_shards,
}


def recognised(place: Place, options: ImportOptions, known: Callable[[File], bool] | None = None) -> Source:
    """Return a place as a source of the kind that the options name, or that it looks like; the first note says which.

    Args:
        place: where the files are.
        options: how they are read.
        known: whether a table or a shard need not be read: the source is then made of the others.

    Raises:
        BadFile: it looks like nothing that can be read; or as its reader says.
    """
    place = _opened(place, options)
    kind = options.kind if options.kind != "auto" else kind_of(place)
    metadata = [file for file in place.files if kind == "table" and is_metadata(file)]
    if known and kind in CONTAINERS and not metadata and _left_without(place, CONTAINERS[kind], known):
        return Source(kind, 0, lambda: iter(()), notes=[f"read as {CALLED[kind]}"])
    source = tables.open_tables(place, options, metadata) if metadata else READERS[kind](place, options)
    hidden = [f"{place.left_out:,} hidden or system files are left out"] if place.left_out else []
    source.notes[:] = [f"read as {CALLED[kind]}", *source.notes, *hidden]
    return source


def _left_without(place: Place, holds_images: Callable[[File], bool], known: Callable[[File], bool]) -> bool:
    """Leave files out that are known; return whether no others are left that could hold images."""
    place.files = [file for file in place.files if not (holds_images(file) and known(file))]
    return not any(map(holds_images, place.files))


def kind_of(place: Place) -> Kind:
    """Return what a place looks like.

    Raises:
        BadFile: nothing that can be read.
    """
    files = place.files
    pictures = any(folders.is_image(file) for file in files)
    rows = any(is_table(file) for file in files)
    looks: dict[Kind, Callable[[], bool]] = {  # the first that is true; there may be a million files
        "idx": lambda: any(set(found) >= set(ROLES) for found in idx_files.sets_of(place).values()),
        "folder": lambda: (
            pictures and not (rows and any(map(is_metadata, files))) and (not rows or _in_class_folders(place))
        ),
        "table": lambda: rows,
        "tar": lambda: any(map(shards.is_shard, files)),
        "arrays": lambda: any(file.suffix in (".npz", ".npy") for file in files),
    }
    found = next((kind for kind, so in looks.items() if so()), None)
    if found:
        return found
    if any(idx_files.role_of(file.name)[1] for file in files):  # some of the four: their reader says what is missing
        return "idx"
    raise BadFile(_unknown(place), "see docs/your-own-data.md for what can be read; name the kind with --kind")


def _in_class_folders(place: Place) -> bool:
    """Whether images lie in folders of their own, rather than in one beside a table that lists them."""
    above = Counter(PurePosixPath(file.name).parent for file in place.files if folders.is_image(file))
    return len(above) > 2 or (
        len({len(folder.parts) for folder in above}) == 1
        and len(above) > 1
        and not any(word in ("train", "test", "images") for folder in above for word in folder.parts[-1:])
    )


def _opened(place: Place, options: ImportOptions) -> Place:
    """Look into a single archive, unless it is a shard, which its own reader opens."""
    if len(place.files) != 1 or not is_archive(place.files[0].name):
        return place
    inside = archive(place.files[0])
    if shards.is_shard(place.files[0]) and (shards.has_labels(inside) or options.kind == "tar"):
        return place
    return inside


def _unknown(place: Place) -> str:
    if not place.files:
        return f"{place.location} holds no files"
    if isinstance(place, OneFile):
        with place.stream(place.files[0]) as stream:
            head = stream.read(4)
        of = " (IDX or gzip: name the folder that holds all four files)" if head[:2] in (b"\0\0", GZIP_MAGIC) else ""
        return f"{place.location} is no table, array or archive{of}"
    names = Counter(file.suffix or PurePosixPath(file.name).name for file in place.files)
    found = ", ".join(f"{count:,} {name}" for name, count in names.most_common(6))
    return f"{place.location} looks like nothing that can be read; it holds {found}"
