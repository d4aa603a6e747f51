"""Folders of tiny images that grow, and what a take makes of them."""

import dataclasses
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from data.dataset import Dataset, Geometry, Origin
from data.growth import Growth
from data.home.store import Store
from data.importing.options import ImportOptions
from data.snapshots.items import items
from data.snapshots.snapshot import read
from data.snapshots.take import Taken, take
from tests.data.importing.made import images, png

SHAPE = (4, 4)
START = datetime(2026, 11, 1, 2, tzinfo=UTC)
OLD_NS = 1_700_000_000_000_000_000  # files were changed in 2023: none counts as just being written


class Source:
    """A folder of images, a home, and the dataset's row as a night would rewrite it."""

    def __init__(self, root: Path, geometry: Geometry | None = None, **options: object) -> None:
        self.folder, self.store = root / "source", Store(root / "home")
        self.options = ImportOptions(**options)  # type: ignore[arg-type]
        self.row = new_row(str(self.folder), geometry or Geometry(*SHAPE))
        self.night, self.clock = START, OLD_NS

    def put(self, name: str, image: np.ndarray | bytes) -> Path:
        """Write one image file, as changed at a time of its own."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image if isinstance(image, bytes) else png(image))
        self.settle(path)
        return path

    def settle(self, path: Path) -> None:
        """Say that a file was changed long ago, but after all others."""
        self.clock += 1_000_000_000
        os.utime(path, ns=(self.clock, self.clock))

    def fill(self, n: int, classes: str = "ab", *, seed: int = 0, start: int = 0) -> np.ndarray:
        """Write n images into class folders by turns; return them."""
        pixels = images(n, seed=seed, shape=SHAPE)
        for i, image in enumerate(pixels, start):
            self.put(f"{classes[i % len(classes)]}/{i:04}.png", image)
        return pixels

    def take(self, *, reread: bool = False) -> Taken:
        """Take tonight's snapshot, and keep what a night keeps in the row."""
        self.night += timedelta(days=1)
        taken = take(self.store, self.row, self.options, reread=reread, now=self.night)
        self.row = dataclasses.replace(self.row, snapshot=taken.ref.digest, class_names=taken.class_names)
        return taken

    def forget(self) -> None:
        """Lose the index."""
        self.store.growing(self.row.name, "index.parquet").unlink(missing_ok=True)

    def content(self, taken: Taken) -> dict[bytes, tuple[str, str]]:
        """Return class name and side of every image of a snapshot, by its hash."""
        table = items(self.store, taken.ref, ["sha256", "label", "split"]).to_pylist()
        names = read(self.store, taken.ref).class_names
        return {row["sha256"]: (names[row["label"]], row["split"]) for row in table}


def new_row(location: str, geometry: Geometry, growth: Growth | None = None) -> Dataset:
    """A dataset of which no snapshot was taken yet."""
    return Dataset(
        name="grown",
        title="Grown",
        mirrors=(),
        files={},
        height=geometry.height,
        width=geometry.width,
        channels=geometry.channels,
        n_train=0,
        n_test=0,
        class_names=(),
        licence="",
        citation="",
        mirror_symmetric=False,
        reference=None,
        origin=Origin(location),
        growth=growth or Growth(),
    )
