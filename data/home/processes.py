"""Identifies a process, so that no other one is ever taken for it.

Process ids are given out again: after a restart of the machine, in another container, on another host. Boot, namespace,
id and start time together belong to one process. Where they cannot be compared from here, a process is neither `alive`
nor `gone`; whether a run still works is then decided by its lock and its silence (`data/home/journal.py`).
"""

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
        host: name of the machine or container; for people, since it can change and be the same twice.
        boot: changes with every start of the kernel, which containers share with their host; "" where the system does
            not say.
        pid: process id, which the kernel gives out again once it is free.
        started: when it was started, as the system reports it; with the pid unique until the next boot.
        namespace: in which `pid` was counted; a container usually has its own. "" where the system does not say.
    """

    host: str
    boot: str
    pid: int
    started: str
    namespace: str = ""

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Return the process that has this id now; `started` is "" if there is none."""
        return cls(platform.node(), _boot(), pid, _started(pid), _namespace())

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
    def same_kernel(self) -> bool:
        """Whether it runs or ran since this kernel was started, in whatever container."""
        return self.boot == _boot() and (bool(self.boot) or self.host == platform.node())

    @property
    def here(self) -> bool:
        """Whether its state can be looked up from here: the same kernel, and process ids mean the same."""
        if self.namespace and _namespace():
            return self.same_kernel and self.namespace == _namespace()
        return self.same_kernel and self.host == platform.node()  # recorded without a namespace

    @property
    def alive(self) -> bool:
        """Whether it certainly runs; only such a process may be sent a signal."""
        return self.here and bool(self.started) and _started(self.pid) == self.started

    @property
    def gone(self) -> bool:
        """Whether it has certainly ended; False for processes of other containers and machines."""
        if self.here:
            return not self.alive
        return self.host == platform.node() and not self.same_kernel  # the machine was started again since

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
    folders = _folders()
    here = {name: pid for pid, name in folders.items()}
    for pid, name in folders.items():
        fields = _stat(name)
        if fields:
            yield pid, here.get(fields[1], 0)


def _namespace() -> str:
    return _namespace_of("self")


def _namespace_of(name: str) -> str:
    try:
        return str(Path(f"/proc/{name}/ns/pid").readlink())  # such as pid:[4026531836]
    except OSError:
        return ""


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
    name = str(pid) if _proc_is_ours() else _folders().get(pid, "")
    fields = _stat(name)
    return "" if not fields or fields[0] in "ZX" else fields[19]


def _proc_is_ours() -> bool:
    """Whether /proc counts processes as this process does, and not as an outer namespace (`unshare --pid` alone)."""
    return str(Path("/proc/self").readlink()) == str(os.getpid())


def _folders() -> dict[int, str]:
    """Return the name of each process's folder in /proc by the id that it has here."""
    names = [path.name for path in Path("/proc").glob("[0-9]*")]
    if _proc_is_ours():
        return {int(name): name for name in names}
    return {_id_here(name): name for name in names if _namespace_of(name) == _namespace()}


def _id_here(name: str) -> int:
    try:
        lines = Path(f"/proc/{name}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), 0)


def _stat(name: str) -> list[str]:
    """Return the fields of /proc/NAME/stat after the program, which may hold blanks and parentheses: state, ppid..."""
    try:
        return Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split() if name else []
    except OSError:
        return []
