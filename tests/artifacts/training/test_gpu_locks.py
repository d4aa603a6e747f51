"""One training per GPU."""

import os
import signal
import subprocess
import sys
import time
from uuid import uuid4

import pytest

from artifacts.models.provenance import CHECKOUT
from artifacts.training import gpu_locks
from data.errors import TrainingFailed

HOLD = """
import sys, time
from artifacts.training import gpu_locks
with gpus.reserved("gpu", None, lambda text: print(text, flush=True), sys.argv[1:]) as gpu:
    print("holds", gpu.uuid, flush=True)
    time.sleep(300)
"""


def _hold(*uuids: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, *uuids], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def uuid() -> str:
    """A GPU that nobody has."""
    return f"GPU-{uuid4()}"


def test_second_training_waits_until_the_first_is_dead(uuid: str) -> None:
    """However it dies: the kernel gives the lock to the next."""
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
    """A training that outlives the run which started it still has its GPU."""
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


def test_gpu_that_is_not_there_is_refused_and_cpu_needs_no_lock() -> None:
    """`gpu` without one is an immediate failure; `auto` trains on the CPU."""
    with pytest.raises(TrainingFailed, match="this host shows none"), gpu_locks.reserved("gpu", None, print, []):
        pass
    with (
        gpu_locks.reserved("auto", None, print, []) as none,
        gpu_locks.reserved("cpu", None, print, ["GPU-1"]) as none_either,
    ):
        assert none is None
        assert none_either is None


def test_slices_stand_for_the_gpu_that_is_cut() -> None:
    """What the driver prints, whole GPUs and slices; the GPU under slices cannot be used itself."""
    listed = """GPU 0: NVIDIA H200 (UUID: GPU-aa)
GPU 1: NVIDIA H200 (UUID: GPU-bb)
  MIG 1g.18gb     Device  0: (UUID: MIG-cc)
  MIG 1g.18gb     Device  1: (UUID: MIG-dd)
"""
    assert gpu_locks.parse(listed) == ["GPU-aa", "MIG-cc", "MIG-dd"]
    assert gpu_locks.parse("") == []


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
    """By number, by name or its beginning; an unknown entry hides what follows, as CUDA has it."""
    assert gpu_locks.allowed(["GPU-aa", "GPU-bb"], visible) == seen
