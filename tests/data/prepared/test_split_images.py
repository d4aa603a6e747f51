"""A prepared split looks like an array of bytes, and only what is asked for is read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.builtin import DATASETS
from data.dataset import RawData
from data.errors import Corrupt, UnknownName
from data.home.store import Store
from data.prepared.parquet import PreparedRef, read_labels, write_splits
from data.prepared.split_images import SplitImages, slices

REF = PreparedRef("any", "a" * 64)


@pytest.fixture(scope="module", params=[(5, 4), (96, 96, 3)], ids=["grey", "colour"])
def prepared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, np.ndarray, np.ndarray]:
    """A home with a test split of two row groups and more, and the images and labels in it. Not to be written to."""
    n = 9000 if len(request.param) == 2 else 700
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (n, *request.param), np.uint8), np.arange(n) % 3
    store = Store(tmp_path_factory.mktemp("split") / "home")
    raw = RawData(images[:20], labels[:20], images, labels)
    with store.publish(store.prepared(REF.digest)) as draft:
        row = replace(DATASETS["mnist-sample"], channels=3 if len(request.param) == 3 else 1)
        draft.meta.update(write_splits(draft.path, row, raw, "b" * 64))
    return store, images, labels


def test_it_reads_like_the_array(prepared: tuple[Store, np.ndarray, np.ndarray]) -> None:
    """Numbers, slices, positions in any order, masks and the whole give what NumPy gives."""
    store, images, labels = prepared
    split = SplitImages(store, REF, "test")
    assert (split.shape, split.dtype, split.ndim, len(split)) == (images.shape, images.dtype, images.ndim, len(images))
    mask = labels == 1
    for which in (0, -1, np.int64(500), slice(300, 690), slice(0, 0), np.array([699, 3, 3, 400]), np.array([-1]), mask):
        assert (split[which] == images[which]).all()
    assert (np.asarray(split) == images).all()
    assert (read_labels(store, REF, "test") == labels).all()
    with pytest.raises(IndexError):
        split[len(images)]
    with pytest.raises(IndexError):
        split[np.array([0, len(images)])]


def test_slices_cover_everything_once(prepared: tuple[Store, np.ndarray, np.ndarray]) -> None:
    """In order, without gaps, and never more than 64 MiB of float32 pixels at a time."""
    _, images, _ = prepared
    parts = list(slices(images))
    assert [*np.concatenate([np.arange(len(images))[part] for part in parts])] == list(range(len(images)))
    assert max(images[part].size for part in parts) * 4 <= 64 << 20
    assert len(parts) > 1


def test_a_damaged_file_or_an_unknown_split_is_refused(
    prepared: tuple[Store, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """The file is hashed before anything is read from it."""
    import shutil

    store = Store(tmp_path / "home")
    shutil.copytree(prepared[0].root, store.root)
    path = store.prepared(REF.digest) / "test.parquet"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=r"test\.parquet has changed"):
        SplitImages(store, REF, "test")
    with pytest.raises(UnknownName, match="split"):
        SplitImages(store, REF, "tests")
