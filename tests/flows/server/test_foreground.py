"""`nightshift server up --foreground`: the command of a container, and of a unit of systemd."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data.home.processes import Process, descendants
from data.home.store import Store
from flows.server import stack
from flows.server.started import record_of, supervisor_runs
from tests.flows.live import free_port


@pytest.mark.server
def test_server_in_the_foreground_ends_with_sigterm_and_leaves_nothing(tmp_path: Path) -> None:
    """It says when it is ready; then everything runs as its child, and it deploys to itself."""
    home, port = Store(tmp_path / "home"), free_port()
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NIGHTSHIFT_"))}
    server = subprocess.Popen(
        [Path(sys.executable).parent / "nightshift", "server", "up", "--foreground", "--port", str(port)],
        env={**keep, "NIGHTSHIFT_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout
        printed = ""
        for line in server.stdout:
            printed += line
            if "ready at" in line:
                break
        assert "deployed: retrain/mnist-nightly" in printed, printed
        assert stack.healthy(f"http://127.0.0.1:{port}/api")
        assert supervisor_runs(home)
        children = [Process.of(pid) for pid in descendants(server.pid)]
        assert len(children) >= 3  # the server, and a worker for each pool
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=120)
    finally:
        if server.poll() is None:
            server.kill()
            server.communicate()
    assert server.returncode == 0
    assert all(child.gone for child in children)
    assert not supervisor_runs(home)
    assert not record_of(home).exists()
