"""A command's own Prefect server: it ends with the command, and a failure is one sentence."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from artifacts.models.provenance import CHECKOUT
from data.errors import Broken
from data.home.processes import Process, descendants
from flows.server import connection, stack
from flows.server.private import PrivateServer
from tests.flows.live import until

pytestmark = pytest.mark.slow

OWNER = """
import sys, time
from flows.settings import prepare_environment
prepare_environment()
from flows.server.connection import server
with server() as ready:
    ready()
    from flows.settings import server_url
    print(server_url(), flush=True)
    time.sleep(300)
"""


@pytest.mark.fault("F-42")
def test_server_outlives_a_signal_to_the_group_but_not_its_owner(tmp_path: Path) -> None:
    """Behind a proxy that is dead, too; after kill -9 nothing listens any more."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NIGHTSHIFT_"))}
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={**keep, **proxy, "NIGHTSHIFT_HOME": str(tmp_path)},
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert owner.stdout
        url = owner.stdout.readline().strip()
        (server,) = (Process.of(pid) for pid in descendants(owner.pid))
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(server.pid, number)
        assert stack.healthy(url)
    finally:
        owner.kill()
        owner.communicate()
    until(lambda: server.gone, "the end of the server")
    assert not stack.healthy(url)


@pytest.mark.fault("F-40", "F-42")
def test_damaged_database_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, with what the database said, the file's name and what it holds."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    (tmp_path / "prefect.db").write_bytes(b"junk" * 4096)
    server = PrivateServer()
    try:
        with pytest.raises(Broken, match=r"did not start: .*file is not a database") as refused:
            server.wait()
        assert str(tmp_path / "prefect.db") in refused.value.hint
    finally:
        server.close()


@pytest.mark.fault("F-15", "F-40")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectError("All connection attempts failed"), "no Prefect server answers at"),
        (RuntimeError("Failed to reach API at http://x"), "no Prefect server answers at"),
        (
            httpx.HTTPStatusError(
                "Client error '401 Unauthorized'",
                request=httpx.Request("GET", "http://x"),
                response=httpx.Response(401),
            ),
            "refused the password",
        ),
        (
            httpx.HTTPStatusError(
                "Server error '500'\nsecond line",
                request=httpx.Request("GET", "http://x"),
                response=httpx.Response(500),
            ),
            "failed: Server error '500'",
        ),
    ],
)
def test_failures_of_prefect_have_advice(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    """Each kind has its own sentence; the traceback stays with the cause."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(connection, "_private", [])
    with pytest.raises(Broken, match=said) as explained, connection.explained():
        raise error
    assert explained.value.hint
    assert explained.value.__cause__ is error
    assert "second line" not in str(explained.value)


def test_other_errors_pass() -> None:
    """A mistake of ours is shown as what it is."""
    with pytest.raises(ZeroDivisionError), connection.explained():
        raise ZeroDivisionError
