"""Which accidents do the drift rules catch, and what do they say of nights in which nothing happened?

python -m benchmarks.drift_catch [--nights N] [--mirrors FOLDER]
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data.dataset import RawData
from data.sources.idx import read_idx
from data.statistics.summary import summarise_images

FIRST_NIGHT = np.datetime64("2026-01-01T02:00:00")


@dataclass(frozen=True)
class Pool:
    """Images from which nights are drawn, each once.

    Args:
        name: of the dataset.
        images: uint8.
        table: a row per image, with `side`.
        names: of the classes.
        ground: of the images.
    """

    name: str
    images: np.ndarray
    table: pa.Table
    names: tuple[str, ...]
    ground: tuple[int, ...] = (0,)

    @property
    def labels(self) -> np.ndarray:
        """The labels, int64."""
        labels: np.ndarray = self.table["label"].to_numpy()
        return labels


def pool(name: str, raw: RawData, ground: tuple[int, ...] = (0,)) -> Pool:
    """Return the different images of a dataset; validation images are chosen by their hashes."""
    images = np.concatenate([raw.train_images, raw.test_images])
    labels = np.concatenate([raw.train_labels, raw.test_labels])
    table = summarise_images("train", images, labels, ground)
    hashes = np.frombuffer(b"".join(table["sha256"].to_pylist()), np.uint64).reshape(-1, 4)
    once = np.sort(np.unique(hashes[:, 0], return_index=True)[1])
    test = once >= len(raw.train_images)
    validation = hashes[once, 1] < np.uint64(2**64 // 12)
    side = np.where(test, "test", np.where(validation, "validation", "train"))
    table = table.take(once).set_column(0, "split", pa.array(np.where(test, "test", "train")))
    names = tuple(str(label) for label in range(int(labels.max()) + 1))
    return Pool(name, images[once], table.append_column("side", pa.array(side)), names, ground)


@dataclass(frozen=True)
class Some:
    """Images of a base, in another order.

    Args:
        base: uint8 images.
        rows: int64: which of them.
    """

    base: np.ndarray
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of images, then the shape of one."""
        return (len(self.rows), *self.base.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, wanted: Any) -> np.ndarray:
        found: np.ndarray = self.base[self.rows[wanted]]
        return found


@dataclass(frozen=True)
class State:
    """A snapshot of a pool.

    Args:
        rows: int64: which images of the pool are in it.
        labels: int64: their labels.
        nights: int64: when each was first seen.
    """

    rows: np.ndarray
    labels: np.ndarray
    nights: np.ndarray

    def table(self, source: Pool) -> pa.Table:
        """Return the snapshot's table."""
        table = source.table.take(self.rows)
        seen = np.datetime_as_string(FIRST_NIGHT + self.nights.astype("timedelta64[D]"))
        table = table.set_column(table.schema.get_field_index("label"), "label", pa.array(self.labels))
        return table.append_column("first_seen", pa.array(seen))


HABITS = ("mixed", "sorted", "now and then sorted", "in file order")


def growth(source: Pool, habit: str, first: int, sizes: np.ndarray, rng: np.random.Generator) -> Iterator[State]:
    """Yield a snapshot per night: a first import, then growth in which nothing goes wrong.

    Each night also corrects up to five labels and removes up to five images.

    Args:
        source: the images.
        habit: in which order new images come.
        first: images of the first import.
        sizes: of the nights after it.
        rng: draws everything.
    """
    n = len(source.images)
    begin = rng.choice(n, first, replace=False)
    rest = np.setdiff1d(np.arange(n), begin)
    if habit != "in file order":
        rest = rng.permutation(rest)
    state = State(np.sort(begin), source.labels[np.sort(begin)], np.zeros(first, np.int64))
    yield state
    for night, size in enumerate(sizes, 1):
        if habit == "sorted" or (habit == "now and then sorted" and rng.random() < 0.3):
            rest = rest[np.argsort(source.labels[rest] != source.labels[rest[0]], kind="stable")]
        new, rest = rest[:size], rest[size:]
        state = State(
            np.concatenate([state.rows, new]),
            np.concatenate([state.labels, source.labels[new]]),
            np.concatenate([state.nights, np.full(len(new), night)]),
        )
        state = _edited(state, len(source.names), rng)
        yield state


def _edited(state: State, n_classes: int, rng: np.random.Generator) -> State:
    labels, kept = state.labels.copy(), np.ones(len(state.rows), bool)
    some = rng.choice(len(labels), rng.integers(0, 6), replace=False)
    labels[some] = (labels[some] + rng.integers(1, n_classes, len(some))) % n_classes
    kept[rng.choice(len(labels), rng.integers(0, 6), replace=False)] = False
    return State(state.rows[kept], labels[kept], state.nights[kept])


def pools(mirrors: Path | None) -> list[Pool]:
    """Return the pools: of downloaded datasets if there is a folder of mirrors, and of what libraries ship."""
    real = import_module("tests.real_data")  # by its name: the tests are not type-checked
    found = [pool(name, _downloaded(mirrors, name)) for name in ("mnist", "fashion-mnist") if mirrors is not None]
    for name, raw in (("digits", real.digits()), ("textures", real.textures()), ("photographs", real.photographs())):
        found.append(pool(name, raw, real.geometry_of(raw).ground))
    return found


def _downloaded(mirrors: Path, name: str) -> RawData:
    def read(file: str) -> np.ndarray:
        content = gzip.decompress((mirrors / name / f"{file}-ubyte.gz").read_bytes())
        return read_idx(content, file)

    train, test = ((read(f"{split}-images-idx3"), read(f"{split}-labels-idx1")) for split in ("train", "t10k"))
    return RawData(train[0], train[1].astype(np.int64), test[0], test[1].astype(np.int64))
