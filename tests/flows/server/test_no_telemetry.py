"""Opening the UI asks no host but its own server: a proxy that gets everything else sees nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from artifacts.models.provenance import CHECKOUT
from data.home.store import Store
from flows.server import stack
from flows.server.web import policy
from tests.flows.live import free_port, until
from tests.flows.server.browser import CHROMIUM, browsing

CHROMIUMS_OWN = (".googleapis.com", ".google.com", ".gvt1.com", ".gstatic.com")  # it asks for updates of itself
IMAGE = """
new Promise(done => {
    const image = new Image()
    image.onload = image.onerror = done
    image.src = 'https://example.com/pixel.png'
}).then(() => true)
"""


def test_policy_allows_the_api_under_both_names_of_this_machine() -> None:
    """The UI asks 127.0.0.1 even if its page was opened as localhost; websockets, too; and nobody else."""
    (connect,) = [part for part in policy("http://127.0.0.1:4200/api").split("; ") if part.startswith("connect-src")]
    own = "http://127.0.0.1:4200 ws://127.0.0.1:4200 http://localhost:4200 ws://localhost:4200"
    assert connect == f"connect-src 'self' {own}"
    (connect,) = [part for part in policy("https://night.example/api").split("; ") if part.startswith("connect-src")]
    assert connect == "connect-src 'self' https://night.example wss://night.example"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a server as `make server` starts it, without a password."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    own = stack.server_environment(Store(tmp_path / "home"), url)
    environment = {name: value for name, value in {**os.environ, **own}.items() if "AUTH_STRING" not in name}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.server.web", str(port)], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
        )
    try:
        until(lambda: stack.healthy(url), "the server")
        yield url.removesuffix("/api")
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def asked() -> Iterator[tuple[int, list[str]]]:
    """The port of a proxy that refuses everything, and what it was asked for."""
    requests: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            requests.append(self.path)
            self.send_error(502)

        do_GET = do_POST = do_CONNECT  # noqa: N815  # the names that the standard library calls

        def log_message(self, *_: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    Thread(target=proxy.serve_forever, daemon=True).start()
    yield proxy.server_port, requests
    proxy.shutdown()
    proxy.server_close()


@pytest.mark.server
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
def test_no_request_leaves_the_origin_of_the_page(server: str, asked: tuple[int, list[str]], tmp_path: Path) -> None:
    """Neither by itself, nor when a script of the page tries; the pages work all the same."""
    port, requests = asked
    (tmp_path / "profile").mkdir()
    with browsing(tmp_path / "profile", server, f"--proxy-server=http://127.0.0.1:{port}") as page:
        for address in ("/", "/deployments", "/v2/"):
            page.open(address)
            page.wait_for_text("Deployments")
        tries = "fetch('https://example.com/').then(() => 'sent', () => 'blocked')"
        assert page.run(tries) == "blocked"
        page.run(IMAGE)
        assert page.run(f"fetch('{server}/api/health').then(r => r.status)") == 200
    hosts = {urlsplit(one if "//" in one else f"//{one}").hostname or "" for one in requests}
    assert {host for host in hosts if not host.endswith(CHROMIUMS_OWN)} == set()
