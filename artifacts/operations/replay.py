"""Train a registered version again from its provenance, and check whether the weights are the same, bit by bit."""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from artifacts.models.provenance import Provenance, code_digest, library_versions, lock_digest
from artifacts.models.warm_start import Parent
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.catalogue import get
from artifacts.registry import versions
from artifacts.registry.versions import Version
from artifacts.training.history import Progress
from artifacts.training.train import TrainingResult, train
from data import catalogue
from data.dataset import Dataset, RawRef
from data.errors import BadInput, UnknownName
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef


@dataclass(frozen=True)
class Replayed:
    """The result of training a version again.

    Args:
        version: the version's name, as "mnist/3".
        recorded: weights digest of the version.
        found: weights digest of the new training.
        differing: the inputs of the training that have changed, by name: (then, now).
        seconds: how long the new training took.
    """

    version: str
    recorded: str
    found: str
    differing: Mapping[str, tuple[Any, Any]]
    seconds: float

    @property
    def same(self) -> bool:
        """Whether the weights are the same, bit by bit."""
        return self.recorded == self.found

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        names = ", ".join(self.differing)
        if self.same:
            despite = f", although these inputs differ: {names}" if names else ""
            return f"{self.version} was trained again in {self.seconds:.0f} s: the same weights, bit by bit{despite}"
        why = (
            f"these inputs differ: {names}"
            if names
            else "every recorded input is the same, so this processor computes differently, or is not deterministic"
        )
        return f"{self.version} was trained again in {self.seconds:.0f} s: other weights; {why}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {**asdict(self), "same": self.same, "sentence": self.sentence}


def replay(
    store: Store, version: Version, device: str = "auto", on_progress: Callable[[Progress], None] | None = None
) -> Replayed:
    """Train a version again from its recorded data, recipe and seed, and compare the weights. Registers nothing.

    Args:
        store: the home, which must still have the prepared data.
        version: the version to train again.
        device: the device to train on: `auto`, `gpu` or `cpu`.
        on_progress: called after every epoch.

    Raises:
        BadInput: the data, or the version whose weights it began with, are no longer in the home, or the recipe no
            longer takes the recorded parameters.
        Corrupt: the data, or that version, have changed on disk.
    """
    then = version.provenance()
    candidate = Candidate(then.recipe, tuple(then.parameters.items()), then.seed)
    data = _data(store, version, then)
    parent = _parent(store, version, then)
    with TemporaryDirectory(prefix="nightshift-replay-") as folder:
        result = train(store, data, candidate, Path(folder), device, on_progress, parent=parent)
    differing = {name: (was, now) for name, was, now in _inputs(then, result) if was != now}
    return Replayed(version.id, then.weights_digest, result.weights_digest, differing, result.seconds)


def _data(store: Store, version: Version, then: Provenance) -> PreparedRef:
    """Return the data of the training; of a dataset that grows they are prepared again, if need be.

    Raises:
        BadInput: this home no longer has them.
    """
    if store.is_complete(store.prepared(then.prepared_digest)):
        return PreparedRef(then.dataset, then.prepared_digest)
    growing = _row(store, then.dataset)
    if growing is None or growing.growth is None:
        again = (
            f"prepare them again with 'nightshift retrain {then.dataset} --mode dry-run', if the source still has them"
        )
    else:
        data = parquet.restore(store, growing, RawRef(then.dataset, then.raw_digest), then.prepared_digest)
        if data is not None:
            return data
        again = f"restore the snapshot and the validation of that night from a backup of {store.root}"
    raise BadInput(
        f"{version.id} was trained on prepared data {then.prepared_digest[:12]}, which this home no longer has", again
    )


def _row(store: Store, dataset: str) -> Dataset | None:
    try:
        return catalogue.get(store, dataset)
    except UnknownName:
        return None


def _parent(store: Store, version: Version, then: Provenance) -> Parent | None:
    """Return the version whose weights the training began with; None if it began with new ones.

    Raises:
        BadInput: there was one, and this home no longer has it.
    """
    if not then.parent:
        return None
    try:
        parent = versions.find(store, then.parent)
    except UnknownName:
        parent = None
    if parent is None or parent.weights_digest != then.parent_weights:
        raise BadInput(
            f"{version.id} began with the weights {then.parent_weights[:12]} of {then.parent}, "
            "which this home no longer has",
            f"restore {store.versions(then.dataset)} from a backup",
        )
    return Parent(parent.id, parent.weights_digest, parent.folder)


def _inputs(then: Provenance, result: TrainingResult) -> Iterator[tuple[str, Any, Any]]:
    """Yield what decides the weights besides data, recipe and seed: its name, then and now."""
    yield "parameters", get(then.recipe).resolve(then.parameters), result.parameters
    yield "code", then.code_digest, code_digest()
    yield "locked requirements", then.lock_digest, lock_digest()
    yield "python", then.python, platform.python_version()
    yield "platform", then.platform, f"{platform.system()} {platform.machine()}"
    yield "device", then.device, result.device
    libraries = library_versions(result.backend)
    for name in sorted({*then.libraries, *libraries}):
        yield name, then.libraries.get(name), libraries.get(name)
