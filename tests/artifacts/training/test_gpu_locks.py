"""One training per GPU."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pynvml
import pytest

from artifacts.training import gpu_locks
from data.child_process import PACKAGES
from data.errors import Broken, TrainingFailed

HOLD = """
import sys, time
from artifacts.training import gpu_locks
with gpu_locks.reserved("gpu", None, lambda text: print(text, flush=True), sys.argv[1:]) as gpu:
    print("holds", gpu.uuid, flush=True)
    time.sleep(300)
"""


def _hold(*uuids: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, *uuids], cwd=PACKAGES, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def uuid() -> str:
    """The UUID of a GPU that nobody has."""
    return f"GPU-{uuid4()}"


@pytest.mark.fault("F-22", "F-23")
def test_second_training_waits_until_the_first_is_dead(uuid: str) -> None:
    """However the first dies, the kernel releases its lock."""
    first = _hold(uuid)
    second = None
    try:
        assert _line(first) == f"holds {uuid}"
        second = _hold(uuid)
        assert _line(second) == f"waiting for {uuid}: another training uses it"
        time.sleep(1)
        os.kill(first.pid, signal.SIGKILL)
        assert _line(second) == f"holds {uuid}"
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.wait()
        (gpu_locks.LOCKS / f"nightshift-{uuid}.lock").unlink(missing_ok=True)


def test_second_training_takes_another_gpu_that_is_free(uuid: str) -> None:
    """Two GPUs, two trainings at once."""
    other = f"GPU-{uuid4()}"
    first = _hold(uuid, other)
    try:
        assert _line(first) == f"holds {uuid}"
        with gpu_locks.reserved("auto", None, pytest.fail, [uuid, other]) as mine:
            assert mine
            assert mine.uuid == other
    finally:
        first.kill()
        first.wait()
        for one in (uuid, other):
            (gpu_locks.LOCKS / f"nightshift-{one}.lock").unlink(missing_ok=True)


def test_lock_lives_on_in_a_child_that_inherits_it(uuid: str) -> None:
    """A training that outlives the run that started it keeps its GPU."""
    with gpu_locks.reserved("gpu", None, print, [uuid]) as gpu:
        assert gpu
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], pass_fds=[gpu.lock])
    second = _hold(uuid)
    try:
        assert _line(second).startswith("waiting")
        child.kill()
        child.wait()
        assert _line(second) == f"holds {uuid}"
    finally:
        for process in (child, second):
            process.kill()
            process.wait()
        (gpu_locks.LOCKS / f"nightshift-{uuid}.lock").unlink(missing_ok=True)


@pytest.mark.fault("F-37")
def test_gpu_that_is_not_there_is_refused_and_cpu_needs_no_lock() -> None:
    """`gpu` without one is an immediate failure; `auto` trains on the CPU."""
    with (
        pytest.raises(TrainingFailed, match="this host shows none"),
        gpu_locks.reserved("gpu", None, print, []),
    ):
        pass
    with (
        gpu_locks.reserved("auto", None, print, []) as none,
        gpu_locks.reserved("cpu", None, print, ["GPU-1"]) as none_either,
    ):
        assert none is None
        assert none_either is None


SLICES = {("GPU-bb", 0): "MIG-cc", ("GPU-bb", 2): "MIG-dd"}


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return what installs a driver with this start: two GPUs, the second partitioned into slices at places 0 and 2."""

    def mode(gpu: str) -> list[int]:
        if gpu == "GPU-aa":
            raise pynvml.NVMLError_NotSupported
        return [1, 1]

    def slice_of(gpu: str, index: int) -> str:
        if (gpu, index) not in SLICES:
            raise pynvml.NVMLError_NotFound
        return SLICES[gpu, index]

    def install(on_init: Callable[[], object]) -> None:
        monkeypatch.setattr(pynvml, "nvmlInit", on_init)
        monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", ("GPU-aa", "GPU-bb").__getitem__)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", str)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetMigMode", mode)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetMaxMigDeviceCount", lambda _gpu: 7)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetMigDeviceHandleByIndex", slice_of)

    return install


def failing(error: Exception) -> Callable[[], None]:
    """Return a function that raises an error."""

    def fail() -> None:
        raise error

    return fail


def test_the_slices_of_a_partitioned_gpu_take_its_place(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is partitioned cannot be used itself; one without slices is itself."""
    driver(lambda: None)
    assert gpu_locks.present() == ["GPU-aa", "MIG-cc", "MIG-dd"]
    for place in list(SLICES):
        monkeypatch.delitem(SLICES, place)
    assert gpu_locks.present() == ["GPU-aa", "GPU-bb"]


@pytest.mark.parametrize("missing", [pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded])
def test_without_a_driver_there_is_no_gpu(driver: Any, missing: Any) -> None:
    """A missing library, or a missing kernel module, is not an error."""
    driver(failing(missing()))
    assert gpu_locks.present() == []


@pytest.mark.fault("F-37")
def test_a_driver_that_fails_or_hangs_is_reported(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its error and what to do; training on the CPU instead would hide it."""
    driver(failing(pynvml.NVMLError_GpuIsLost()))
    with pytest.raises(Broken, match="reports an error: GPU is lost") as broken:
        gpu_locks.present()
    assert "use device 'cpu'" in broken.value.hint
    driver(lambda: time.sleep(5))
    monkeypatch.setattr(gpu_locks, "ANSWER_WITHIN_S", 0.1)
    with pytest.raises(Broken, match=r"did not answer within 0\.1 s"):
        gpu_locks.present()


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        (None, ["GPU-aa", "GPU-bb"]),
        ("1,0", ["GPU-bb", "GPU-aa"]),
        ("GPU-b", ["GPU-bb"]),
        ("", []),
        ("-1", []),
        ("7,0", []),
    ],
)
def test_cuda_visible_devices_is_respected(visible: str | None, seen: list[str]) -> None:
    """By number, by UUID or its beginning; an unknown entry hides what follows, as in CUDA."""
    assert gpu_locks.allowed(["GPU-aa", "GPU-bb"], visible) == seen
