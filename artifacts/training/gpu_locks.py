"""One training per GPU, whatever a scheduler believes: a lock for each device that the kernel releases with its holder.

The locks lie in /tmp and carry the device's own UUID, so that every home, user and server of a host respects them.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.errors import Broken, TrainingFailed

LOCKS = Path("/tmp")  # not tempfile's choice: every process of the host has to look at the same place
LOOK_S = 0.5


@dataclass(frozen=True)
class Reserved:
    """A GPU that nobody else trains on.

    Args:
        uuid: as NVIDIA's driver names it.
        lock: an open file; whoever holds it, holds the GPU. Child processes may inherit it.
    """

    uuid: str
    lock: int


def present() -> list[str]:
    """Return the UUIDs of this host's GPUs, or of the slices they are cut into; none where there is no driver.

    Raises:
        Broken: there is a driver, but it does not answer as it should.
    """
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        asked = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        raise Broken("nvidia-smi did not answer within 60 s", "see dmesg; the driver may need a restart") from error
    if asked.returncode:
        return []  # the tool without a GPU: TensorFlow would see none either
    return parse(asked.stdout)


def parse(listed: str) -> list[str]:
    """Return the UUIDs in what `nvidia-smi -L` prints, in its order; a GPU that is cut into slices is its slices."""
    found: list[list[str]] = []
    for uuid in re.findall(r"UUID: ((?:GPU|MIG)-[\w/-]+)", listed):
        if uuid.startswith("GPU-"):
            found.append([uuid])
        else:
            found[-1].append(uuid)
    return [uuid for gpu in found for uuid in (gpu[1:] or gpu)]


def allowed(uuids: Sequence[str], visible: str | None) -> list[str]:
    """Return those of the GPUs that CUDA_VISIBLE_DEVICES lets us see.

    Args:
        uuids: in the order of the PCI bus.
        visible: the variable's value; None when it is not set, which means all.
    """
    if visible is None:
        return list(uuids)
    chosen: list[str] = []
    for part in map(str.strip, visible.split(",")):
        match = [uuids[int(part)]] if part.isdigit() and int(part) < len(uuids) else []
        match = match or [uuid for uuid in uuids if part.startswith(("GPU-", "MIG-")) and uuid.startswith(part)]
        if not match:
            break  # as CUDA does: an entry it does not know hides all that follow
        chosen += match[:1]
    return chosen


@contextmanager
def reserved(
    device: str, visible: str | None, on_wait: Callable[[str], None], gpus: Sequence[str] | None = None
) -> Iterator[Reserved | None]:
    """Hold a GPU of our own while the block runs, the first that is free; wait if none is.

    Args:
        device: "auto", "gpu" or "cpu".
        visible: see `allowed`.
        on_wait: told once, in words, what we wait for.
        gpus: of this host; asked from the driver when not given.

    Yields:
        The GPU; None where the training is to run on the CPU.

    Raises:
        TrainingFailed: a GPU was asked for, and there is none.
    """
    mine = [] if device == "cpu" else allowed(present() if gpus is None else gpus, visible)
    if not mine:
        if device == "gpu":
            raise TrainingFailed(
                "device 'gpu' was asked for, but this host shows none",
                "check nvidia-smi and CUDA_VISIBLE_DEVICES, or use device 'auto' or 'cpu'",
            )
        yield None
        return
    held = _first_free(mine, on_wait)
    try:
        yield held
    finally:
        os.close(held.lock)


def _first_free(uuids: Sequence[str], on_wait: Callable[[str], None]) -> Reserved:
    waited = False
    while True:
        for uuid in uuids:
            lock = _open(uuid)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return Reserved(uuid, lock)
        if not waited:
            on_wait(f"waiting for {' or '.join(uuids)}: another training uses it")
            waited = True
        time.sleep(LOOK_S)


def _open(uuid: str) -> int:
    """Open the lock's file for reading, which is enough to lock it, so that other users' files serve as well."""
    path = LOCKS / f"nightshift-{uuid.replace('/', '-')}.lock"
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        try:
            return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        except FileExistsError:  # somebody was faster
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
