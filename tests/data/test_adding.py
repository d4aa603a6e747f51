"""A dataset that grows is added, renamed and removed as a whole, and judged before it is there."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import adding, catalogue
from data.builtin import DATASETS
from data.errors import BadInput
from data.growth import Growth
from data.home.store import Store
from data.snapshots import nights


def _drawings(folder: Path, n: int = 120, *, seed: int = 0, sides: dict[str, str] | None = None) -> Path:
    """Dark squares on white paper in two places: a folder per class, within folders for the splits if given."""
    for split, kinds in (sides or {"": "lr"}).items():
        for i in range(n):
            image = np.full((8, 8), 255, np.uint8)
            image[2:4, 2:4] = np.random.default_rng([seed, i, len(split)]).integers(0, 90, (2, 2))
            kind = kinds[i % len(kinds)]
            path = folder / split / kind / f"{seed}-{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image if kind == "l" else image[:, ::-1]).save(path)
            os.utime(path, (1e9, 1e9))  # a file that was just written would be read again
    return folder


def test_its_first_images_are_judged(store: Store, tmp_path: Path) -> None:
    """What was found is kept with a contact sheet, as for a dataset that stays as it is."""
    added = adding.add(store, "forms", _drawings(tmp_path / "forms"), growth=Growth())
    assert added.sheet is not None
    assert added.sheet.read_bytes().startswith(b"\x89PNG")
    assert added.taken is not None
    assert catalogue.get(store, "forms").snapshot == added.taken.ref.digest


def test_one_that_is_refused_leaves_its_name_free(store: Store, tmp_path: Path) -> None:
    """Nothing is known of it afterwards; mended, it is added under the same name."""
    folder = _drawings(tmp_path / "forms", sides={"train": "lr", "test": "x"})
    with pytest.raises(BadInput, match="class"):
        adding.add(store, "forms", folder, growth=Growth())
    assert catalogue.names(store) == tuple(DATASETS)
    assert not store.growing("forms", "x").parent.exists()
    assert not store.about("forms").exists()
    shutil.rmtree(folder)
    adding.add(store, "forms", _drawings(folder), growth=Growth())


def test_removed_and_added_again_it_starts_afresh(store: Store, tmp_path: Path) -> None:
    """The first night of the new one has no base."""
    adding.add(store, "forms", _drawings(tmp_path / "old"), growth=Growth())
    catalogue.remove(store, "forms")
    added = adding.add(store, "forms", _drawings(tmp_path / "new", seed=1), growth=Growth())
    assert added.taken is not None
    assert (added.taken.night.base, added.taken.night.n_added) == ("", 120)
    assert nights.nights(store, "forms") == [added.taken.night]


def test_renamed_it_goes_on(store: Store, tmp_path: Path) -> None:
    """Nothing is read twice, and its nights are still known."""
    added = adding.add(store, "forms", _drawings(tmp_path / "forms"), growth=Growth())
    catalogue.rename(store, "forms", "shapes")
    again = adding.update(store, "shapes")
    assert added.taken is not None
    assert again.taken is not None
    assert (again.taken.decoded, again.taken.night.base) == (0, added.taken.ref.digest)
    assert nights.nights(store, "shapes") == [added.taken.night, again.taken.night]
    assert not store.growing("forms", "x").parent.exists()


def test_one_that_begins_to_grow_keeps_no_second_copy(store: Store, tmp_path: Path) -> None:
    """Its images are in the shards from then on."""
    adding.add(store, "forms", _drawings(tmp_path / "forms"))
    copies = store.raw("forms", "x").parent
    assert copies.is_dir()
    adding.update(store, "forms", growth={})
    assert not copies.exists()
