"""Other machines, as far as one kernel can play them: `unshare` gives a process another host name or process ids."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HOST = ("--uts",)
CONTAINER = ("--uts", "--pid", "--fork", "--mount-proc", "--kill-child")
CONTAINER_WITH_PROC_OF_HOST = ("--uts", "--pid", "--fork", "--kill-child")


@cache
def _works(kind: tuple[str, ...]) -> bool:
    unshare = shutil.which("unshare")
    return bool(unshare) and subprocess.run([unshare, *kind, "true"], capture_output=True, check=False).returncode == 0


def command(kind: tuple[str, ...], host: str, script: str, *arguments: str) -> list[str]:
    """Return a command that runs a Python script in a box with a host name of its own; skip where that is not allowed.

    Args:
        kind: options of `unshare`.
        host: the name.
        script: Python.
        arguments: of the script.
    """
    if not _works(kind):
        pytest.skip(f"unshare {' '.join(kind)} needs root")
    shell = 'hostname "$0"; exec "$@"'
    return ["unshare", *kind, "sh", "-c", shell, host, sys.executable, "-c", script, *arguments]


def with_user(number: int, command: list[str]) -> list[str]:
    """Return a command that runs as a user who has no entry in the system's list; skip where that is not allowed."""
    kind = ("--user", f"--map-user={number}", f"--map-group={number}")
    if not _works(kind):
        pytest.skip("unshare --user is not allowed")
    return ["unshare", *kind, *command]


def read_only(folder: Path, script: str) -> list[str]:
    """Return a command that runs a shell script while a folder is mounted read-only; skip where that is not allowed."""
    if not _works(("--mount",)):
        pytest.skip("unshare --mount needs root")
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
    return ["unshare", "--mount", "sh", "-c", f"{mount} && {{ {script}; }}", str(folder)]
