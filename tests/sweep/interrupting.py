"""Runs an operation in a forked process whose n-th system call of a kind is its last, or fails.

The fork starts with everything imported, so that a run takes milliseconds instead of the seconds of an interpreter with
NumPy and Arrow. It stops itself, strace attaches to it, and then it goes on; what it counts begins with the operation.
"""

import mmap
import os
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data.errors import NightshiftError
from data.home.files import disk_failures

ATTACH_S = 60.0
TOLD = 1 << 16  # bytes of an error's text


@dataclass(frozen=True)
class Ended:
    """How an interrupted operation ended.

    Args:
        how: "done", "refused" (one of our errors), "crashed" (any other) or "killed".
        text: of the error.
        injected: whether a call was interrupted at all.
    """

    how: str
    text: str
    injected: bool


@cache
def strace() -> str:
    """Return the path of strace; "" where it is not there or may not trace."""
    path = shutil.which("strace") or ""
    works = path and subprocess.run([path, "-f", "true"], capture_output=True, check=False).returncode == 0
    return path if works else ""


def interrupted(work: Callable[[], object], calls: str, fault: str, number: int, log: Path) -> Ended:
    """Run `work` in a fork, with a fault at one of its system calls.

    Args:
        work: the operation.
        calls: of one kind, as strace names them: "rename,renameat".
        fault: "signal=KILL" or "error=EIO".
        number: which of these calls, from 1.
        log: where strace may write.
    """
    told = mmap.mmap(-1, TOLD)  # shared with the fork; writing to it is no system call
    pid = os.fork()
    if pid == 0:
        _child(work, told)
    os.waitpid(pid, os.WUNTRACED)  # it has stopped itself
    inject = f"inject={calls}:{fault}:when={number}"
    tracer = subprocess.Popen(
        [strace(), "-f", "-qq", "-o", str(log), "-e", f"trace={calls}", "-e", inject, "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _wait_for_tracer(pid, tracer)
    os.kill(pid, signal.SIGCONT)
    status = os.waitpid(pid, 0)[1]
    tracer.wait(ATTACH_S)
    text = bytes(told).rstrip(b"\0").decode(errors="replace")
    told.close()
    how = "killed" if os.WIFSIGNALED(status) else ("done", "refused", "crashed")[os.WEXITSTATUS(status)]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return Ended(how, text, killed or "(INJECTED)" in log.read_text(errors="replace"))


def _child(work: Callable[[], object], told: mmap.mmap) -> None:
    """Stop until strace has attached, work, and end without returning into pytest."""
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        with disk_failures():  # as every command and every run does
            work()
    except NightshiftError as error:
        told.write(f"{type(error).__name__}: {error}".encode()[: TOLD - 1])
        os._exit(1)
    except BaseException:  # noqa: BLE001  # the fork must never return into pytest
        told.write(traceback.format_exc().encode()[-TOLD + 1 :])
        os._exit(2)
    os._exit(0)


def _wait_for_tracer(pid: int, tracer: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + ATTACH_S
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        if time.monotonic() > deadline or tracer.poll() is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError("strace did not attach")
        time.sleep(0.002)
