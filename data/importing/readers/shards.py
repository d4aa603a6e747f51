"""WebDataset's shards: tar archives in which `key.png` and `key.cls` belong together."""

import json
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from data.errors import BadFile
from data.importing.batches import BATCH, Batch, Label, Source, Split, split_of
from data.importing.options import ImportOptions
from data.importing.places.archives import archive
from data.importing.places.place import File, Place
from data.importing.readers.tables import label_of
from data.sources.images import ENDINGS

LABELS = (".cls", ".label", ".txt", ".json")  # the first that is there wins
TARS = (".tar", ".tgz", ".tar.gz")


def is_shard(file: File) -> bool:
    """Whether a file's name is that of a tar archive."""
    return file.name.lower().endswith(TARS)


def has_labels(place: Place) -> bool:
    """Whether an archive holds labels beside its images, as WebDataset's shards do."""
    return any(file.name.lower().endswith(".cls") for file in place.files)


def open_shards(place: Place, options: ImportOptions) -> Source:
    """Look through the shards in a place; each is read in place, one after the other.

    Raises:
        BadFile: there are none, or they hold no images with labels.
    """
    shards = [file for file in place.files if is_shard(file)]
    if not shards:
        raise BadFile(f"{place.location} holds no .tar files", "name a .tar file, or a folder of them")

    def batches() -> Iterator[Batch]:
        for shard in shards:
            yield from _batches(shard, archive(shard), options)

    first = next(batches(), None)
    if first is None:
        raise BadFile(
            f"{shards[0].where}: expected images and labels of one key, such as 0001.png and 0001.cls, found none",
            "write each image with its class as key.png and key.cls",
        )
    return Source("tar", 0, batches, notes=[f"{len(shards):,} shards"] if len(shards) > 1 else [])


def _batches(shard: File, place: Place, options: ImportOptions) -> Iterator[Batch]:
    split = split_of(shard.name)
    keys: dict[str, dict[str, File]] = {}
    for file in place.files:
        path = PurePosixPath(file.name)
        name, dot, ending = path.name.partition(".")
        keys.setdefault((path.parent / name).as_posix(), {})[(dot + ending).lower()] = file
    samples = [(key, parts) for key, parts in keys.items() if any(_is_picture(ending) for ending in parts)]
    for at in range(0, len(samples), BATCH):
        some = samples[at : at + BATCH]
        pictures = [next(file for ending, file in parts.items() if _is_picture(ending)) for _, parts in some]
        labels = [_label(parts, options) for _, parts in some]
        splits: list[Split] = [split or split_of(key.rpartition("/")[0]) for key, _ in some]
        yield Batch(pictures, labels, splits, _where(pictures), shard)


def _where(pictures: list[File]) -> Callable[[int], str]:
    return lambda i: pictures[i].where


def _is_picture(ending: str) -> bool:
    return f".{ending.rpartition('.')[2]}" in ENDINGS


def _label(parts: dict[str, File], options: ImportOptions) -> Label:
    file = next((parts[ending] for ending in LABELS if ending in parts), None)
    if file is None:
        return None
    try:
        text = file.read()[: 1 << 16].decode().strip()
        if file.name.lower().endswith(".json"):
            return label_of(json.loads(text).get(options.label_column or "label"))
        return label_of(text)
    except (UnicodeDecodeError, ValueError, AttributeError):
        return None
