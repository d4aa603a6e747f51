"""How much memory a process takes while it does something, watched from another process (Linux).

A thread of the watched process would miss what is taken and given back while Python's lock is held.
`watch` starts a command, which calls `take_part` once its libraries are imported.
"""

import ctypes
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

READY, RESULT = "@ready", "@result "
INTERVAL_S = 0.005
OWN, ALL, HIGHEST = ("RssAnon", "RssShmem"), ("VmRSS",), ("VmHWM",)


class StepFailed(Exception):
    """The watched process ended without a result; what it said is on standard error."""


def take_part(step: Callable[[], dict[str, Any]]) -> None:
    """Run a step in this process, which `watch` started, and hand its result over.

    Args:
        step: what is measured; returns what JSON can hold.
    """
    _release()
    print(READY, flush=True)
    sys.stdin.readline()
    result = step()
    print(RESULT + json.dumps(result), flush=True)
    sys.stdin.readline()  # the peak is read before this process ends


def watch(command: Sequence[str]) -> tuple[dict[str, float], dict[str, Any]]:
    """Run a command that calls `take_part`.

    Args:
        command: program and arguments.

    Returns:
        What the step took above what the process had before it, and the step's result. `own_mib`: memory that the
        kernel cannot take back, looked at 200 times a second. `resident_mib`: with the pages of mapped files, which are
        dropped when memory is needed elsewhere; the kernel's own maximum, which misses nothing. `libraries_mib`: what
        the process had before. `seconds`: of the step. `cpu_seconds`: of all its threads, which tell more than
        `seconds` where other work runs beside it.

    Raises:
        StepFailed: the process ended before its step did.
    """
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdin
        assert child.stdout
        _line(child.stdout, READY)
        # 5: the kernel forgets the peak so far (proc(5))
        Path(f"/proc/{child.pid}/clear_refs").write_text("5")
        before, started, worked = memory_mib(child.pid, ALL), time.monotonic(), cpu_seconds(child.pid)
        with _sampled(child.pid) as own:
            _say(child.stdin)
            result = json.loads(_line(child.stdout, RESULT))
        seconds, highest = time.monotonic() - started, memory_mib(child.pid, HIGHEST)
        worked = cpu_seconds(child.pid) - worked
        _say(child.stdin)
        measured = {"own_mib": own[1] - own[0], "resident_mib": highest - before}
        return {**measured, "libraries_mib": before, "seconds": seconds, "cpu_seconds": worked}, result
    finally:
        child.kill()
        child.wait()


def memory_mib(pid: int, fields: Sequence[str]) -> float:
    """Return the sum of some fields of /proc/PID/status, in MiB."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(value.split()[0]) for name, _, value in lines if name in fields) / 1024


def cpu_seconds(pid: int) -> float:
    """Return how long a process has kept processors busy, all threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # the name may hold spaces
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _sampled(pid: int) -> Iterator[list[float]]:
    """Yield what a process owns now, and the most that it has owned until the block is over."""
    own, over = [memory_mib(pid, OWN)] * 2, threading.Event()

    def sample() -> None:
        while not over.wait(INTERVAL_S):
            own[1] = max(own[1], memory_mib(pid, OWN))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield own
    finally:
        over.set()
        thread.join()
        own[1] = max(own[1], memory_mib(pid, OWN))


def _say(stream: IO[str]) -> None:
    stream.write("\n")
    stream.flush()


def _line(stream: IO[str], start: str) -> str:
    """Return what follows `start` in the next line that begins with it; other output of a step is passed over."""
    for line in stream:
        if line.startswith(start):
            return line.removeprefix(start)
    raise StepFailed


def _release() -> None:
    """Give back what allocators keep for later, so that it does not hide what the step takes."""
    import pyarrow as pa

    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
