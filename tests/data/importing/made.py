"""Tiny sources of every kind, and what an import makes of them."""

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from data.importing.importer import Imported, read_source
from data.importing.options import ImportOptions
from data.sources.idx import map_idx


@dataclass(frozen=True)
class Got:
    """An import, with its arrays."""

    imported: Imported

    def __getattr__(self, role: str) -> np.ndarray:
        return np.array(map_idx(self.imported.paths[role]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.imported.class_names

    @property
    def notes(self) -> str:
        """What was said, a line each."""
        return "\n".join(self.imported.notes)


def read(source: Path | str, scratch: Path, **options: object) -> Got:
    """Import a source; `scratch` must not be inside it."""
    scratch.mkdir(parents=True, exist_ok=True)
    given = ImportOptions(**options)  # type: ignore[arg-type]
    return Got(read_source(str(source), given, scratch, lambda *_: None, lambda _: None))


def images(n: int, *, seed: int = 0, shape: tuple[int, ...] = (6, 5)) -> np.ndarray:
    """Noise, uint8 of shape (n, *shape), on a black border."""
    pixels = np.zeros((n, *shape), np.uint8)
    inner = np.random.default_rng(seed).integers(30, 256, (n, shape[0] - 2, shape[1] - 2, *shape[2:]), np.uint8)
    pixels[:, 1:-1, 1:-1] = inner
    return pixels


def png(image: np.ndarray, form: str = "PNG") -> bytes:
    """An image file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, form)
    return stream.getvalue()


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    """Write files by their relative path."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def tar(path: Path, members: Iterable[tuple[str, bytes]], mode: str = "w") -> Path:
    """Write a tar archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
