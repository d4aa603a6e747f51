"""Export a version: convert, prove that it answers alike, describe, and only then make it visible.

DIR/mnist/3/                the layout of TensorFlow Serving: a base path, a model's name, a number
saved_model.pb, ...     savedmodel
model.onnx, ...         the other formats: TensorFlow Serving does not look at them
class_names.json        the names of the classes, in the order of the probabilities
export.json             what was exported, from what, and what was measured
README.md               what it takes and gives, and how to load it
"""

import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from artifacts.exporting import about, convert, formats, parity
from artifacts.exporting.formats import Format
from artifacts.exporting.parity import Parity
from artifacts.recipes import catalogue
from artifacts.registry.versions import Version
from data.child_process import ChildFailed, ChildProcess
from data.errors import BadInput, Broken
from data.home.files import fsync_tree, storage_errors

CONVERT_S = 1800.0


@dataclass(frozen=True)
class Export:
    """A finished export.

    Args:
        folder: where it lies: DIR/NAME/NUMBER.
        measured: one per format.
        sizes: bytes of each format's files, by its name.
    """

    folder: Path
    measured: tuple[Parity, ...]
    sizes: dict[str, int]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was measured, and the bytes of its files, per format."""
        return [{**asdict(one), "bytes": self.sizes[one.format]} for one in self.measured]


def export(version: Version, names: Sequence[str], target: Path, say: Callable[[str], None] = lambda _: None) -> Export:
    """Write a version into a folder, in one or several formats; all of them, or nothing.

    Args:
        version: with its files verified.
        names: of formats.
        target: the folder DIR; made if it is not there.
        say: called with one line per step.

    Raises:
        BadInput: a format cannot be made here or of this model, or DIR/NAME/NUMBER exists.
        Broken: a converter failed, or an export does not answer as recorded.
        UnknownName: there is no such format.
        StorageFailed: DIR cannot be written.
    """
    chosen = formats.chosen(names)
    final = target.absolute() / version.dataset / str(version.number)
    if final.exists():
        raise BadInput(f"{final} exists already", "remove it, or name another folder")
    with _draft(final) as draft:
        _convert(version, chosen, draft, say)
        say("asking the exported model the recorded requests, in a process without Nightshift's code")
        measured = parity.measure(draft, version.folder, chosen)
        if wrong := list(parity.problems(measured)):
            raise Broken(f"not exported: {'; '.join(wrong)}", "leave out what failed; the version itself is unchanged")
        sizes = {row.name: sum(_size(draft / name) for name in row.files) for row in chosen}
        about.write(draft, version, chosen, measured)
        fsync_tree(draft)
        draft.rename(final)
    return Export(final, measured, sizes)


def _convert(version: Version, chosen: Sequence[Format], draft: Path, say: Callable[[str], None]) -> None:
    request = {
        "version": str(version.folder.absolute()),
        "folder": str(draft),
        "formats": [row.name for row in chosen],
        "recipes": list(catalogue.searched()),
    }
    try:
        with ChildProcess("artifacts.exporting.convert", convert.ENVIRONMENT, sys.executable) as child:
            child.ask(request, lambda now: say(f"converted to {now['done']}"), CONVERT_S)
    except ChildFailed as failed:
        raise Broken(f"the process that converts {failed.how}; its last output:\n{failed.output[-2000:]}") from None
    except OSError as error:
        raise Broken(f"cannot start {sys.executable}: {error.strerror}", "check the installation") from error


@contextmanager
def _draft(final: Path) -> Iterator[Path]:
    """Make a folder beside the final one, whose name TensorFlow Serving ignores; whatever is left of it is removed."""
    made = [folder for folder in (final.parent, *final.parent.parents) if not folder.exists()]
    draft = final.with_name(f".{final.name}-{uuid.uuid4().hex[:12]}")
    with storage_errors(final):
        try:
            draft.mkdir(parents=True)
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            with suppress(OSError):  # one that is not empty stays
                for folder in made:
                    folder.rmdir()


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
