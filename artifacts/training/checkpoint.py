"""How a killed training continues: its whole state after an epoch, in one file that is complete or does not exist.

Order and augmentation depend on (seed, epoch) alone, so the weights, the optimizer's state and the history are the
whole state: a resumed training ends with the same weights, bit by bit, as an uninterrupted one.
"""

import json
import os
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from artifacts.models.provenance import library_versions
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.recipe import Plan
from artifacts.training.history import Progress, best_epoch
from data.values import digest_of

if TYPE_CHECKING:
    from artifacts.optimization.loop import Loop
    from artifacts.training.devices import Device

EVERY_S = 5.0  # at most that much work is lost, and writing takes well under a hundredth of it


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after some epochs.

    Args:
        identity: digest of everything that decides how the training goes.
        history: what was measured after each epoch, JSON-able; its length is the number of epochs done.
        arrays: all variables of the network and the optimizer, in order.
    """

    identity: str
    history: tuple[dict[str, Any], ...]
    arrays: tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True)
class Resume:
    """Where a training keeps its state between epochs, to continue from after a crash.

    Args:
        path: a file in an existing folder, the same for every attempt at this training.
        data: digest of the images and labels.
    """

    path: Path
    data: str


class Checkpointer:
    """Keeps the history; the state on disk every few seconds, if `resume` says where; and the best weights.

    Args:
        resume: where to keep the state; None keeps it nowhere.
        plan: its patience decides whether the weights of the best epoch are kept.
        candidate: what is trained.
        device: where and how.
    """

    def __init__(self, resume: Resume | None, plan: Plan, candidate: Candidate, device: "Device") -> None:
        self.plan, self.best = plan, list[Any]()
        self.path = resume.path if resume else None
        self.identity = _identity(resume.data, candidate, device) if resume else ""
        self.history: list[Progress] = []
        self.written_at = time.monotonic()

    def restore(self, loop: "Loop") -> tuple[Progress, ...]:
        """Put the loop into the state of the checkpoint, if there is one, and return the epochs that are done."""
        found = read(self.path, self.identity) if self.path else None
        if found is not None:
            n = len(loop.state())
            loop.restore(found.arrays[:n])
            self.best = list(found.arrays[n:])
            self.history = [Progress(**entry) for entry in found.history]
        return tuple(self.history)

    def add(self, loop: "Loop", progress: Progress) -> None:
        """Add an epoch to the history, and write a checkpoint if the last one is old enough."""
        self.history.append(progress)
        if self.plan.patience and best_epoch(self.history) == len(self.history) - 1:
            with loop.averaged():
                self.best = loop.model.get_weights()
        if self.path is not None and time.monotonic() - self.written_at >= EVERY_S:
            history = tuple(asdict(entry) for entry in self.history)
            write(self.path, Checkpoint(self.identity, history, (*loop.state(), *self.best)))
            self.written_at = time.monotonic()


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file in one step that survives a crash: temporary file, fsync, rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    header = json.dumps({"identity": checkpoint.identity, "history": checkpoint.history})
    arrays = {f"{index:04d}": array for index, array in enumerate(checkpoint.arrays)}
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, header=np.array(header), **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path, identity: str) -> Checkpoint | None:
    """Return the checkpoint of this training, or None if there is none, it is damaged, or it is another training's.

    A checkpoint only saves time: without one, the training starts at its beginning and ends the same.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            header = json.loads(str(content["header"]))
            names = sorted(name for name in content.files if name != "header")
            arrays = tuple(content[name] for name in names)
        found = Checkpoint(header["identity"], tuple(header["history"]), arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return found if found.identity == identity else None


def _identity(data: str, candidate: Candidate, device: "Device") -> str:
    """Return a digest of everything that decides how a training goes."""
    import keras

    return digest_of(
        {
            "data": data,
            "recipe": candidate.recipe,
            "parameters": candidate.resolved(),
            "seed": candidate.seed,
            "device": asdict(device),
            "libraries": library_versions(keras.backend.backend()),
        }
    )
