"""Whether a recorded process still runs: host, boot, process id and start time together identify a process."""

import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from data.values import from_json


@dataclass(frozen=True)
class Process:
    """A process, past or present.

    Args:
        host: name of the machine.
        boot: changes with every start of the machine; "" where the system does not say.
        pid: process id, which the kernel gives out again once it is free.
        started: when it was started, as the system reports it; with the pid unique until the next boot.
    """

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Return the process that has this id now; `started` is "" if there is none."""
        return cls(platform.node(), _boot(), pid, _started(pid))

    @classmethod
    def current(cls) -> "Process":
        """Return this process."""
        return cls.of(os.getpid())

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Process":
        """Return the process that `to_json` described."""
        return from_json(cls, value)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return asdict(self)

    @property
    def here(self) -> bool:
        """Whether it runs or ran on this machine, where its state can be looked up."""
        return self.host == platform.node()

    @property
    def gone(self) -> bool:
        """Whether it has certainly ended; False for processes of other machines."""
        if not self.here:
            return False
        return self.boot != _boot() or not self.started or _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children, their children and so on, parents first."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for one in found:  # grows during the loop
        found += children.get(one, [])
    return found[1:]


def _parents() -> Iterator[tuple[int, int]]:
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        yield from ((int(child), int(parent)) for child, parent in (line.split() for line in listed.splitlines()))
        return
    for path in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(path.name))
        if fields:
            yield int(path.name), int(fields[1])


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process was started; "" if it is not there, or dead and only waiting for its parent to notice."""
    if not Path("/proc/self/stat").exists():  # macOS
        asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return asked.stdout.strip()
    fields = _stat(pid)
    return "" if not fields or fields[0] in "ZX" else fields[19]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may hold blanks and parentheses: state, ppid..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
