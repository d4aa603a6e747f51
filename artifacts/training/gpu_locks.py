"""One training per GPU, whatever a scheduler assumes: a lock per device, released by the kernel when its holder dies.

The locks lie in /tmp and are named after the device's UUID, so that every home, user and server of a host shares them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from data.errors import Broken, TrainingFailed
from data.home.locks import try_lock, wait_for

LOCKS = Path("/tmp")  # not tempfile's choice: every process of the host has to look in the same place
POLL_S = 0.5
ANSWER_WITHIN_S = 60.0
DRIVER_HINT = "run nvidia-smi and dmesg: the driver may need a restart; or use device 'cpu'"


@dataclass(frozen=True)
class Reserved:
    """A GPU that no other training uses.

    Args:
        uuid: as NVIDIA's driver reports it.
        lock: an open file; the GPU is reserved while any process has it open. Child processes may inherit it.
    """

    uuid: str
    lock: int


def present() -> list[str]:
    """Return the UUIDs of this host's GPUs in the order of the PCI bus, or none where there is no driver.

    A GPU that is partitioned (MIG) is replaced by its slices.

    Raises:
        Broken: there is a driver, but it reports an error or does not answer.
    """
    answer: Future[list[str]] = Future()
    Thread(target=_ask_driver, args=(answer,), daemon=True).start()  # a driver that hangs, hangs in a system call
    try:
        return answer.result(ANSWER_WITHIN_S)
    except TimeoutError as error:
        raise Broken(f"NVIDIA's driver did not answer within {ANSWER_WITHIN_S:g} s", DRIVER_HINT) from error


def _ask_driver(answer: "Future[list[str]]") -> None:
    try:
        answer.set_result(_uuids())
    except Exception as error:  # noqa: BLE001  # handed to the thread that waits for the answer
        answer.set_exception(error)


def _uuids() -> list[str]:
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            return [pynvml.nvmlDeviceGetUUID(device) for gpu in gpus for device in _slices(gpu) or [gpu]]
        finally:
            pynvml.nvmlShutdown()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return []
    except pynvml.NVMLError as error:
        raise Broken(f"NVIDIA's driver reports an error: {error}", DRIVER_HINT) from error


def _slices(gpu: Any) -> list[Any]:
    """Return the MIG slices of a GPU; none where it is not partitioned or cannot be."""
    import pynvml

    slices = []
    with suppress(pynvml.NVMLError_NotSupported):
        enabled, _after_reboot = pynvml.nvmlDeviceGetMigMode(gpu)
        for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu) if enabled else 0):
            with suppress(pynvml.NVMLError_NotFound):  # slices need not be numbered without gaps
                slices.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index))
    return slices


def allowed(uuids: Sequence[str], visible: str | None) -> list[str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES makes visible.

    Args:
        uuids: in the order of the PCI bus.
        visible: the variable's value; None if it is not set, which means all.
    """
    if visible is None:
        return list(uuids)
    chosen: list[str] = []
    for part in map(str.strip, visible.split(",")):
        match = [uuids[int(part)]] if part.isdigit() and int(part) < len(uuids) else []
        match = match or [uuid for uuid in uuids if part.startswith(("GPU-", "MIG-")) and uuid.startswith(part)]
        if not match:
            break  # as CUDA does: an unknown entry hides all that follow
        chosen += match[:1]
    return chosen


@contextmanager
def reserved(
    device: str, visible: str | None, on_wait: Callable[[str], None], gpus: Sequence[str] | None = None
) -> Iterator[Reserved | None]:
    """Reserve the first GPU that is free while the block runs; wait if none is.

    Args:
        device: "auto", "gpu" or "cpu".
        visible: see `allowed`.
        on_wait: called once with a message if there is no free GPU.
        gpus: UUIDs of this host's GPUs; default: what the driver reports.

    Yields:
        The GPU; None if the training is to run on the CPU.

    Raises:
        TrainingFailed: a GPU was asked for, and there is none.
        Broken: there is a driver, but it reports an error or does not answer.
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
    def attempt() -> Reserved | None:
        return next(filter(None, map(_try, uuids)), None)

    return wait_for(
        attempt, lambda: on_wait(f"waiting for {' or '.join(uuids)}: another training uses it"), poll_s=POLL_S
    )


def _try(uuid: str) -> Reserved | None:
    """Reserve a GPU if it is free."""
    lock = _open(uuid)
    if try_lock(lock):
        return Reserved(uuid, lock)
    os.close(lock)
    return None


def _open(uuid: str) -> int:
    """Open the lock file for reading, which is enough to lock it, so that another user's file works as well."""
    path = LOCKS / f"nightshift-{uuid.replace('/', '-')}.lock"
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        try:
            return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        except FileExistsError:  # another process was faster
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
