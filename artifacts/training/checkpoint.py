"""What a killed training continues from: all its state after an epoch, in one file that is either whole or not there.

Order and augmentation are drawn from (seed, epoch) alone, so weights, the optimizer's state and the epoch are all there
is to remember: a resumed training ends with the weights, bit by bit, of one that was never broken.
"""

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after some epochs.

    Args:
        identity: digest of everything that decides how the training goes; another identity is another training.
        history: what was measured after each epoch, JSON-able; its length is the number of epochs done.
        arrays: all variables of the network and the optimizer, in order.
    """

    identity: str
    history: tuple[dict[str, Any], ...]
    arrays: tuple[npt.NDArray[Any], ...]


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file in one step that survives a crash: temporary file, fsync, rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    told = json.dumps({"identity": checkpoint.identity, "history": checkpoint.history})
    arrays = {f"{index:04d}": array for index, array in enumerate(checkpoint.arrays)}
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, told=np.array(told), **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path, identity: str) -> Checkpoint | None:
    """Return the checkpoint of this training, or None where there is none, of another training, or a damaged one.

    A checkpoint only saves time: where it does not fit, the training starts at its beginning and ends the same.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            told = json.loads(str(content["told"]))
            names = sorted(name for name in content.files if name != "told")
            arrays = tuple(content[name] for name in names)
        found = Checkpoint(told["identity"], tuple(told["history"]), arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return found if found.identity == identity else None
