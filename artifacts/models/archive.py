"""A look into a model file before Keras sees it: which members, how large, and no more weights than its bytes hold.

A `.keras` file is a zip archive of a JSON description and an HDF5 file of weights. What Keras does with a description
that is not ours costs memory and time, whatever comes of it; so what cannot be one of ours is refused by its sizes.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

from data.errors import Corrupt

LIMITS = {"metadata.json": 1 << 20, "config.json": 16 << 20, "model.weights.h5": 2 << 30}  # bytes when unpacked
ASSETS = "assets/"  # vocabularies and the like, of layers that a recipe may use
ASSETS_LIMIT = 256 << 20
MOST_MEMBERS = 1000
PACKED = 100  # nothing that is learned can be packed more tightly than to a hundredth
DEEPEST = 100  # dictionaries and lists inside each other; our deepest network has 20
# layers that hold Python bytecode, or load programs from another place, when they are built from a description
CODE = {"__lambda__", "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
HINT = "it was not written by a training: do not load it; train again"


def check_archive(path: Path) -> None:
    """Refuse a model file that Keras cannot have written, or that takes much more memory than it has bytes.

    At most the description is read; it may have 16 MiB.

    Raises:
        Corrupt: it is no zip archive, a member is missing, too large or foreign, or the weights claim more numbers
            than they hold.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            depth, classes = _described(json.loads(archive.read("config.json")))
            if depth > DEEPEST:
                raise _refused(path, f"its description is nested {depth} deep")
            if code := CODE & classes:
                raise _refused(path, f"its description has a {min(code)}, which is code or loads it")
            with archive.open("model.weights.h5") as weights:
                _check_weights(path, weights)
    except Corrupt:
        raise
    except RecursionError:
        raise _refused(path, "its description is nested without end") from None
    except Exception as error:  # zipfile and h5py raise many kinds, none of them documented
        raise _refused(path, f"it cannot be unpacked ({str(error)[:100]})") from error


def _refused(path: Path, problem: str) -> Corrupt:
    return Corrupt(f"{path} is not a model file: {problem}", HINT)


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if len(names) > MOST_MEMBERS or len(set(names)) < len(names):
        raise _refused(path, f"it has {len(names)} members, or one of them twice")
    if missing := LIMITS.keys() - set(names):
        raise _refused(path, f"it has no {', '.join(sorted(missing))}")
    for member in members:
        asset = member.filename.startswith(ASSETS) and ".." not in member.filename
        limit = LIMITS.get(member.filename, ASSETS_LIMIT if asset else -1)
        if limit < 0:
            raise _refused(path, f"it has a member {member.filename[:50]!r}")
        if member.file_size > min(limit, PACKED * member.compress_size + (1 << 16)):
            raise _refused(path, f"its {member.filename[:50]} unpacks to {member.file_size:,} bytes")


def _described(value: Any) -> tuple[int, set[str]]:
    """Return how deep dictionaries and lists are inside each other, and every class that is named; no recursion."""
    depth, level, classes = 0, [value], set[str]()
    while level:
        depth += 1
        classes |= {str(one.get("class_name")) for one in level if isinstance(one, dict)}
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [item for items in inner for item in items]
    return depth, classes


def _check_weights(path: Path, weights: Any) -> None:
    """Refuse weights whose shapes claim much more than the file holds, or that lie in another file."""
    import h5py

    size = weights.seek(0, 2)
    claimed = 0

    def look(_name: str, item: Any) -> None:
        nonlocal claimed
        if isinstance(item, h5py.Dataset):
            claimed += item.nbytes
            if item.external or item.is_virtual:
                raise _refused(path, "its weights lie in another file")
        elif any(isinstance(item.get(name, getlink=True), h5py.ExternalLink) for name in item):
            raise _refused(path, "its weights are links to another file")

    with h5py.File(weights, "r") as file:
        look("", file)
        file.visititems(look)
    if claimed > PACKED * size:
        raise _refused(path, f"its weights claim {claimed:,} bytes in a file of {size:,}")
