"""Who wrote this, and is it still there?"""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from artifacts.models.provenance import CHECKOUT
from data.home.processes import Process, descendants
from tests import boxes

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


def test_process_of_another_machine_is_neither_alive_nor_gone() -> None:
    """From here one cannot tell, even if it has the id of one of ours."""
    elsewhere = replace(Process.current(), host="elsewhere", boot="another")
    assert not elsewhere.gone
    assert not elsewhere.alive


def test_process_of_another_container_is_neither_alive_nor_gone() -> None:
    """The same kernel, but its ids mean something else there."""
    inside = replace(Process.current(), host="container", namespace="pid:[1]")
    assert inside.same_kernel
    assert not inside.gone
    assert not inside.alive


def test_host_name_does_not_matter_where_kernel_and_namespace_are_known() -> None:
    """A machine that was given another name still knows its processes."""
    assert replace(Process.current(), host="old-name").alive
    assert replace(Process.current(), host="old-name", started="1").gone


def test_process_that_earlier_code_recorded_is_recognised() -> None:
    """Without a namespace the host's name has to be the same."""
    before = replace(Process.current(), namespace="")
    assert Process.from_json({key: value for key, value in before.to_json().items() if key != "namespace"}) == before
    assert before.alive
    assert not replace(before, host="container").alive
    assert not replace(before, host="container").gone


@pytest.mark.parametrize("kind", [boxes.HOST, boxes.CONTAINER, boxes.CONTAINER_WITH_PROC_OF_HOST])
def test_processes_are_known_in_any_container(kind: tuple[str, ...]) -> None:
    """A process knows itself and its children by their ids in there, even where /proc has those of the host."""
    script = f"""
import os, subprocess
import pytest

from artifacts.models.provenance import CHECKOUT
from data.home.processes import Process, descendants
from tests import boxes
child = subprocess.Popen({SLEEP!r})
seen = Process.of(child.pid)
assert Process.current().alive and seen.alive and descendants(os.getpid()) == [child.pid], descendants(os.getpid())
child.kill()
child.wait()
assert seen.gone and descendants(os.getpid()) == []
"""
    done = subprocess.run(
        boxes.command(kind, "box-a", script), capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert done.returncode == 0, done.stderr


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
