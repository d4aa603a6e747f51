"""A record of a server is only a record: another host, container or boot must neither be believed nor killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from data.errors import BadInput, Broken, Corrupt
from data.home import locks
from data.home.processes import Process
from data.home.store import Store
from flows.server import stack
from flows.server.started import Started, end, record_of, supervisor_lock
from flows.settings import temporary_home
from tests.flows.live import free_port

SLEEP = "import time; time.sleep(300)"
HOLD = """
import sys, time
from pathlib import Path
from data.home import locks
locks.keep(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(300)
"""


@pytest.fixture
def home() -> Iterator[Store]:
    """The home that `up` and `down` use."""
    with temporary_home() as now:
        yield now.store


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    process = subprocess.Popen([sys.executable, "-c", SLEEP])
    yield process
    process.kill()
    process.wait()


def elsewhere(pid: int, **more: str) -> Process:
    """Return a process of another machine with the same id."""
    return replace(Process.of(pid), **{"host": "old-host", "boot": "another", "started": "1", **more})


def recorded(store: Store, process: Process, port: int = 4200) -> Started:
    """Write a record of a server whose processes are all this one."""
    now = Started(f"http://127.0.0.1:{port}/api", process, {"server": process}, ready=True)
    now.write(store)
    return now


@pytest.mark.parametrize("more", [{}, {"boot": Process.current().boot, "namespace": "pid:[1]"}], ids=["host", "box"])
def test_down_leaves_alone_what_it_cannot_identify(
    home: Store, stranger: subprocess.Popen[bytes], more: dict[str, str]
) -> None:
    """It says which host may still have the server, and keeps the record for that host."""
    recorded(home, elsewhere(stranger.pid, **more))
    lines: list[str] = []
    stack.down(lines.append)
    assert "old-host" in lines[0]
    assert stranger.poll() is None
    assert record_of(home).exists()


def test_down_after_a_restart_of_the_machine_finds_nothing_to_stop(
    home: Store, stranger: subprocess.Popen[bytes]
) -> None:
    """The ids are somebody else's now; the record goes."""
    recorded(home, elsewhere(stranger.pid, host=Process.current().host))
    lines: list[str] = []
    stack.down(lines.append)
    assert lines[0].startswith("nothing to stop")
    assert stranger.poll() is None
    assert not record_of(home).exists()


def test_up_does_not_believe_the_record_of_another_host(
    home: Store, stranger: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and starts a server."""
    port = free_port()
    recorded(home, elsewhere(stranger.pid), port)
    started: list[str] = []
    monkeypatch.setattr(stack, "_start", lambda _, url: started.append(url))
    lines: list[str] = []
    stack.up(port, lines.append)
    assert started == [f"http://127.0.0.1:{port}/api"]
    assert "old-host" in lines[0]
    assert stranger.poll() is None
    assert stack.running(home) is None


def test_server_that_runs_in_another_container_is_neither_replaced_nor_stopped_from_here(
    home: Store, stranger: subprocess.Popen[bytes]
) -> None:
    """Its supervisor's lock shows that it runs; the advice is to act where it runs."""
    lock = supervisor_lock(home)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        port = free_port()
        recorded(home, elsewhere(stranger.pid, boot=Process.current().boot, namespace="pid:[1]"), port)
        with pytest.raises(Broken, match="in another container") as refused:
            stack.up(port)
        assert "stop it there" in refused.value.hint
        with pytest.raises(BadInput, match="in another container"):
            stack.down()
        assert stranger.poll() is None
        assert record_of(home).exists()
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout:
            holder.stdout.close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 1}'])
def test_record_that_is_cut_short_is_named(home: Store, content: str) -> None:
    """Nothing is signalled on its word; the message names the file and says what to do."""
    record_of(home).parent.mkdir(parents=True)
    record_of(home).write_text(content)
    for command in (stack.up, stack.down):
        with pytest.raises(Corrupt, match=r"started\.json") as refused:
            command()
        assert "delete the file" in refused.value.hint


def test_what_can_be_identified_is_ended_with_its_children() -> None:
    """And another process in the same list is not."""
    start = f"p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"
    script = f"import subprocess, sys; {start}; print(p.pid, flush=True); p.wait()"
    mine = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert mine.stdout
    child = Process.of(int(mine.stdout.readline()))
    end([Process.of(mine.pid), elsewhere(os.getpid())])
    assert mine.wait(30) != 0
    assert child.gone
    mine.stdout.close()


def test_home_has_one_supervisor(tmp_path: Path) -> None:
    """A second one is refused as long as the first one lives, wherever that is."""
    path = tmp_path / "locks" / "supervisor"
    assert locks.keep(path)
    second = f"from pathlib import Path; from data.home import locks; print(locks.keep(Path({str(path)!r})))"
    done = subprocess.run([sys.executable, "-c", second], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert done.stdout == "False\n"
    locks.release(path)
    done = subprocess.run([sys.executable, "-c", second], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert done.stdout == "True\n"


def test_environment_file_is_read_by_a_shell_by_systemd_and_by_docker(tmp_path: Path) -> None:
    """Plain assignments, with the home; a shell that sources the file exports them. Only the owner can read it."""
    home = Store(tmp_path / "a home with 'quotes'")
    home.preflight()
    stack._write_environment(home, "http://127.0.0.1:4200/api")
    path = home.root / "server" / "environment"
    expected = {**stack.client_environment(home, "http://127.0.0.1:4200/api"), "NIGHTSHIFT_HOME": str(home.root)}
    shown = subprocess.run(
        ["env", "-i", "sh", "-c", '. "$0"; exec /usr/bin/env', str(path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert expected.items() <= dict(line.split("=", 1) for line in shown).items()
    plain = (home.root / "server" / "environment.plain").read_text().splitlines()
    assert dict(line.split("=", 1) for line in plain) == expected
    assignments = [line for line in path.read_text().splitlines() if "=" in line]
    assert [line.split("=")[0] for line in assignments] == list(expected)
    for one in (path, path.with_name("environment.plain")):
        assert one.stat().st_mode & 0o777 == 0o600
