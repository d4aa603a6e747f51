"""Which accidents do the drift rules catch, and what do they say of nights in which nothing happened?

python -m benchmarks.drift_catch [--nights N] [--mirrors FOLDER]
"""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.dataset import RawData
from data.drift.looks import Looks, Samples, look, sampled
from data.drift.night import Night
from data.sources.idx import read_idx
from data.statistics.summary import summarise_images

MOST = 30_000  # images of a pool
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
        seen: looks at them, so that each is looked at once in all nights.
    """

    name: str
    images: np.ndarray
    table: pa.Table
    names: tuple[str, ...]
    ground: tuple[int, ...]
    seen: Looks

    @property
    def labels(self) -> np.ndarray:
        """The labels, int64."""
        labels: np.ndarray = self.table["label"].to_numpy()
        return labels


def pool(name: str, raw: RawData, ground: tuple[int, ...] = (0,)) -> Pool:
    """Return the different images of a dataset, at most `MOST`; validation images are chosen by their hashes."""
    raw = _some(raw)
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
    seen = look(images, labels, once)
    return Pool(name, images[once], table.append_column("side", pa.array(side)), names, ground, seen)


def _some(raw: RawData) -> RawData:
    share = min(MOST / (len(raw.train_images) + len(raw.test_images)), 1.0)
    train, test = (round(share * len(images)) for images in (raw.train_images, raw.test_images))
    return RawData(raw.train_images[:train], raw.train_labels[:train], raw.test_images[:test], raw.test_labels[:test])


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

    def samples(self, source: Pool, both: Night) -> Samples:
        """Return the looks that `data.drift.looks.samples` takes of this snapshot."""
        return Samples(
            *(
                replace(source.seen.where(self.rows[rows]), rows=rows, labels=self.labels[rows])
                for rows in sampled(both, len(self.rows))
            )
        )


DOWNLOADED = ("mnist", "fashion-mnist")
NAMES = (*DOWNLOADED, "digits", "textures", "photographs")
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


def pools(mirrors: Path | None, names: Sequence[str] = NAMES) -> list[Pool]:
    """Return some pools: of downloaded datasets if there is a folder of mirrors, and of what libraries ship."""
    real = import_module("tests.real_data")  # by its name: the tests are not type-checked
    found = []
    for name in names:
        if name not in DOWNLOADED:
            raw = getattr(real, name)()
            found.append(pool(name, raw, real.geometry_of(raw).ground))
        elif mirrors is not None:
            found.append(pool(name, _downloaded(mirrors, name)))
    return found


def _downloaded(mirrors: Path, name: str) -> RawData:
    def read(file: str) -> np.ndarray:
        content = gzip.decompress((mirrors / name / f"{file}-ubyte.gz").read_bytes())
        return read_idx(content, file)

    train, test = ((read(f"{split}-images-idx3"), read(f"{split}-labels-idx1")) for split in ("train", "t10k"))
    return RawData(train[0], train[1].astype(np.int64), test[0], test[1].astype(np.int64))
