"""Small real things to train on: the bundled sample as Parquet, and images distinguished by where they are lit."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from artifacts.optimization.feed import Examples, dataset_info
from artifacts.recipes.recipe import DatasetInfo
from data import catalogue
from data.dataset import Geometry
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from data.sources import source


@dataclass(frozen=True)
class Images:
    """What training asks for."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def blobs(n: int, height: int = 12, width: int = 10, n_classes: int = 3, seed: int = 0) -> Images:
    """Return n images whose class decides which row band is lit; multiples of 1/255, border columns always dark."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    pixels = rng.integers(0, 60, (n, height, width))
    bands = np.array_split(np.arange(height), n_classes) if n_classes <= height else [[i % height] for i in labels]
    for index, label in enumerate(labels):
        pixels[index, bands[label % len(bands)]] += 150
    pixels[:, :, 0] = pixels[:, :, -1] = 0
    return Images(np.asarray(pixels / np.float32(255), np.float32), labels.astype(np.int64))


def info(examples: Examples, n_classes: int = 3, mirror_symmetric: bool = False) -> DatasetInfo:
    """Return what a recipe may know about these images."""
    _, height, width = examples.images.shape
    return dataset_info(examples, Geometry(height, width), n_classes, mirror_symmetric)


def prepare(store: Store, name: str = "mnist-sample") -> PreparedRef:
    """Publish the bundled sample as prepared Parquet files, without the validation that is tested elsewhere."""
    dataset = catalogue.get(store, name)
    raw = source.download(store, dataset)
    ref = PreparedRef(name, raw.digest)
    with store.publish(store.prepared(ref.digest)) as draft:
        draft.meta.update(parquet.write_splits(draft.path, dataset, source.read_raw(store, dataset, raw), raw.digest))
    return ref
