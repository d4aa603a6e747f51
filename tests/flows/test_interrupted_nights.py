"""Whole nights that lose their process, their server, or its events; each is done again and ends as it should."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from artifacts.operations.verify import find_problems
from artifacts.registry import champions, versions
from data.home import journal
from data.home.processes import Process, descendants
from data.home.store import Store
from flows.server.private import PrivateServer
from tests.flows.live import until

pytestmark = [pytest.mark.slow, pytest.mark.wide]

STEPS = ("download", "validate", "normalise", "train tiny", "evaluate", "choose", "decide", "register", "report")


@contextmanager
def night(home: Store, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A night on the bundled sample; it is killed in the end."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NIGHTSHIFT_"))}
    process = subprocess.Popen(
        [Path(sys.executable).parent / "nightshift", "retrain", "mnist-sample", "--recipe", "tiny"],
        env={**keep, "NIGHTSHIFT_HOME": str(home.root), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ends_well(home: Store) -> None:
    """Another night ends with one version that is champion, and nothing is wrong in the home."""
    with night(home) as again:
        printed, _ = again.communicate(timeout=900)
    assert again.returncode in (0, 3), printed
    assert champions.champion_id(home, "mnist-sample") == "mnist-sample/1"
    assert len(versions.versions(home, "mnist-sample")) == 1
    assert [one for one in find_problems(home) if one.serious] == []
    assert not [one for one in journal.read(home) if one.active]


@pytest.mark.fault("F-17")
@pytest.mark.parametrize("step", STEPS)
def test_a_night_killed_in_any_step_is_resumed(tmp_path: Path, step: str) -> None:
    """Kill -9 when the step reports for the first time: nothing runs on, and the next night finishes."""
    home = Store(tmp_path / "home")
    with night(home) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(step):
                break
        else:
            raise AssertionError(f"no line of {step}")
        children = [Process.of(pid) for pid in descendants(process.pid)]
        process.kill()
        process.wait()
    for child in children:
        until(lambda child=child: child.gone, f"the end of {child}")  # type: ignore[misc]
    ends_well(home)


@pytest.mark.fault("F-15", "F-40")
def test_a_server_that_dies_before_the_end_is_reported_changes_nothing(tmp_path: Path) -> None:
    """The model is registered, the run says what failed, and the next night is UNCHANGED."""
    home = Store(tmp_path / "home")
    with night(home) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("register"):
                break
        for pid in descendants(process.pid):
            if b"flows.server.web" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        printed, _ = process.communicate(timeout=900)
    assert process.returncode == 1
    assert "Traceback" not in printed
    assert "Prefect server" in printed
    ends_well(home)


@pytest.mark.fault("F-41")
def test_a_night_does_not_need_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every websocket is refused, as by a proxy that does not know them; the night ends as it would."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    server = PrivateServer()
    try:
        server.wait()
        port = int(server.url.rpartition(":")[2].removesuffix("/api"))
        with without_websockets(port) as (url, refused):
            home = Store(tmp_path / "home")
            with night(home, PREFECT_API_URL=url) as process:
                printed, _ = process.communicate(timeout=900)
            assert process.returncode == 0, printed
            assert refused
    finally:
        server.close()
    assert champions.champion_id(home, "mnist-sample") == "mnist-sample/1"
    assert [one.state for one in journal.read(home) if one.active] == []


@contextmanager
def without_websockets(port: int) -> Iterator[tuple[str, list[bytes]]]:
    """Forward connections to a port, but close those that ask for a websocket; yields the URL and what was refused."""
    refused: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(1 << 16):
                target.sendall(content)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            head = client.recv(1 << 16)
            if b"upgrade: websocket" in head.lower():
                refused.append(head.splitlines()[0])
                return
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                upstream.sendall(head)
                threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
                pump(upstream, client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api", refused
    finally:
        listener.close()
