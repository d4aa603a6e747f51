"""Who wrote this, and is it still there?"""

import os
import subprocess
import sys
import time
from dataclasses import replace

from data.home.processes import Process, descendants

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_this_process_is_not_gone() -> None:
    """We run."""
    assert not Process.current().gone
    assert Process.from_json(Process.current().to_json()) == Process.current()


def test_process_is_gone_once_it_is_killed_even_before_its_parent_has_looked() -> None:
    """A zombie is dead, too."""
    child = subprocess.Popen(SLEEP)
    seen = Process.of(child.pid)
    assert not seen.gone
    child.kill()
    deadline = time.monotonic() + 30
    while not seen.gone and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen.gone
    child.wait()
    assert seen.gone


def test_same_id_of_another_time_or_boot_is_somebody_else() -> None:
    """Process ids are given out again."""
    now = Process.current()
    assert replace(now, started="1").gone
    assert replace(now, boot="another").gone
    assert replace(now, pid=2**22 + 1, started="").gone


def test_process_of_another_machine_is_never_declared_gone() -> None:
    """From here one cannot tell."""
    assert not replace(Process.current(), host="elsewhere", started="1").gone


def test_descendants_are_found_through_generations() -> None:
    """A child's child is found from here."""
    script = f"import subprocess, sys; p = subprocess.Popen({SLEEP!r}); print(p.pid, flush=True); p.wait()"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    grandchild = int(child.stdout.readline())
    try:
        assert {child.pid, grandchild} <= set(descendants(os.getpid()))
        assert descendants(child.pid) == [grandchild]
        assert descendants(grandchild) == []
    finally:
        os.kill(grandchild, 9)
        child.wait()
