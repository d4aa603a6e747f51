"""Whatever a web server or a network does: a file within its size and its time, or a reason why not."""

import os
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from data.errors import BadInput, SourceUnavailable
from data.home.store import Store
from data.sources.source import download
from data.sources.transfer import MirrorError, _allowed, scrubbed, stream_download
from tests.data.servers import (
    FILES,
    IMAGE_FILE,
    IMAGES,
    ROW,
    Behaviour,
    Server,
    answer,
    check_failing_mirror,
    drip,
    endless,
    redirect,
    self_signed,
    serve_all,
    serving,
    stall,
    tiny,
)

FAILURES: dict[str, tuple[Callable[[Server], Behaviour], str]] = {
    "cut, honest length": (lambda _: answer(IMAGE_FILE[:50_000], length=len(IMAGE_FILE)), "ended after 50000 of"),
    "403": (lambda _: answer(b"no", status=403), "HTTP 403"),
    "404": (lambda _: answer(b"no", status=404), "HTTP 404"),
    "503": (lambda _: answer(b"no", status=503), "HTTP 503"),
    "endless": (lambda _: endless(), r"expected at most \d+ bytes"),
    "announced too long": (lambda _: answer(b"x", length=1 << 40), r"got 1099511627776 or more"),
    "loop": (lambda _: redirect(f"/bad/{IMAGES}"), "more than 3 redirects"),
    "redirect to a file": (lambda _: redirect("file:///etc/hostname"), "refused to be redirected from http to file"),
    "redirect to ftp": (lambda _: redirect("ftp://127.0.0.1/x"), "refused to be redirected from http to ftp"),
    "redirect inside": (lambda _: redirect("http://10.0.0.1/x"), "private network"),
    "redirect to the metadata": (lambda _: redirect("http://169.254.169.254/x"), "private network"),
    "redirect to itself by name": (lambda server: redirect(server.url.replace("127.0.0.1", "localhost")), "private"),
    "not HTTP": (lambda _: lambda handler: handler.wfile.write(b"SSH-2.0\r\n\r\n"), "SSH-2.0"),
    "hangs up": (lambda _: lambda _: None, "disconnected without sending a response"),
    "chunks cut": (lambda _: _chunked(IMAGE_FILE[:1000]), "incomplete chunked read"),
}


def _chunked(body: bytes) -> Behaviour:
    def behave(handler: object) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        handler.wfile.write(head + f"{len(body) + 9:x}\r\n".encode() + body)  # type: ignore[attr-defined]

    return behave


@pytest.mark.fault("F-02", "F-04", "F-05", "F-06")
@pytest.mark.parametrize("failure", FAILURES)
def test_a_mirror_that_fails_is_named_and_the_next_one_used(store: Store, server: Server, failure: str) -> None:
    """Every way to fail has its reason in the error, leaves no file, and does not stop the next mirror."""
    behaviour, reason = FAILURES[failure]
    check_failing_mirror(store, server, behaviour(server), reason)


def test_a_mirror_folder_may_hold_anything(store: Store, tmp_path: Path) -> None:
    """A pipe that nobody writes to, or a folder instead of a file, does not hang and is not read."""
    (tmp_path / "pipe" / "tiny").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe" / "tiny" / IMAGES)
    (tmp_path / "folder" / "tiny" / IMAGES).mkdir(parents=True)
    with pytest.raises(SourceUnavailable, match="not a file") as error:
        download(store, tiny(), (str(tmp_path / "pipe"), str(tmp_path / "folder")))
    assert error.value.problem.count("this is not a file") == 2


@pytest.mark.fault("F-04")
@pytest.mark.parametrize(
    "slow",
    [
        lambda server: stall(server, IMAGE_FILE, 40_000),
        lambda server: stall(server, IMAGE_FILE, 0),
        lambda server: drip(server, IMAGE_FILE, in_headers=False),
        lambda server: drip(server, IMAGE_FILE, in_headers=True),
    ],
    ids=["stalls", "stalls at once", "drips", "drips headers"],
)
def test_a_slow_mirror_is_given_up(store: Store, server: Server, slow: Callable[[Server], Behaviour]) -> None:
    """However a mirror wastes the time, there is an end to it."""
    server.routes[f"/slow/{IMAGES}"] = slow(server)
    with pytest.raises(SourceUnavailable, match="too slow: given up after"):
        download(store, tiny(f"{server.url}/slow"), deadline_s=0.3)


def test_a_slow_mirror_is_left_in_time_for_the_next(store: Store, server: Server) -> None:
    """No mirror gets more than its share of the time: here half of it."""
    serve_all(server, FILES, "/good")
    server.routes[f"/slow/{IMAGES}"] = drip(server, IMAGE_FILE, in_headers=True)
    download(store, tiny(f"{server.url}/slow", f"{server.url}/good"), deadline_s=6)
    assert server.asked.count(f"/good/{IMAGES}") == 1


def test_https_works_and_checks_certificates(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror whose certificate is not trusted is refused; one that is trusted serves, and is cut when it stalls."""
    certificate = self_signed(tmp_path / "certificate.pem")
    with serving(certificate) as server:
        serve_all(server, FILES)
        server.routes[f"/slow/{IMAGES}"] = stall(server, IMAGE_FILE, 40_000)
        with pytest.raises(SourceUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            download(store, tiny(server.url))
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(SourceUnavailable, match="too slow"):
            download(store, tiny(f"{server.url}/slow"), deadline_s=0.5)
        download(store, tiny(server.url))


@pytest.mark.fault("F-06")
def test_https_is_not_left_for_http(
    store: Store, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted mirror that redirects to plain http is refused, even when the right bytes lie there."""
    serve_all(server, FILES)
    certificate = self_signed(tmp_path / "certificate.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(certificate) as safe:
        safe.routes[f"/{IMAGES}"] = redirect(f"{server.url}/{IMAGES}")
        with pytest.raises(SourceUnavailable, match="refused to be redirected from https to http"):
            download(store, tiny(safe.url))
    assert server.asked == []


@pytest.mark.fault("F-06")
@pytest.mark.parametrize(
    ("origin", "url", "allowed"),
    [
        ("https://8.8.8.8/a", "https://8.8.4.4/b", True),
        ("http://8.8.8.8/a", "https://8.8.4.4/b", True),
        ("http://127.0.0.1:80/a", "http://127.0.0.1:81/b", True),
        ("https://8.8.8.8/a", "http://8.8.8.8/a", False),
        ("https://8.8.8.8/a", "https://192.168.0.1/a", False),
        ("https://8.8.8.8/a", "https://[::1]/a", False),
        ("https://8.8.8.8/a", "data:text/plain,x", False),
    ],
)
def test_where_a_redirect_may_lead(origin: str, url: str, allowed: bool) -> None:
    """Never down from https, never into a private network, never to another kind of address."""
    if allowed:
        assert _allowed(origin, url) == url
    else:
        with pytest.raises(MirrorError, match="refused"):
            _allowed(origin, url)


@pytest.mark.fault("F-48")
@pytest.mark.parametrize(
    "mirror", ["ftp://host/x", "file:///x", "https://me:secret@host/x", "https://host/?key=secret", "http://[", ""]
)
def test_mirrors_that_cannot_be_used_are_refused_without_their_secrets(store: Store, mirror: str) -> None:
    """A bad setting is an error at once, and passwords stay out of the message."""
    with pytest.raises(BadInput, match="NIGHTSHIFT_MIRRORS") as error:
        download(store, ROW, (mirror,))
    assert "secret" not in str(error.value)
    assert "secret" not in scrubbed(mirror)


def test_a_proxy_from_the_environment_is_used(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is asked for the whole URL, and its own password stays out of messages."""
    server.routes["http://mirror.invalid/file"] = answer(b"by proxy")
    monkeypatch.setenv("http_proxy", server.url)
    assert stream_download("http://mirror.invalid/file", tmp_path / "file", 100, 20, _ignore) == 8
    assert (tmp_path / "file").read_bytes() == b"by proxy"

    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    with pytest.raises(MirrorError, match="Connection refused") as error:
        stream_download("http://mirror.invalid/file", tmp_path / "file", 100, 20, _ignore)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("proxy", ["socks5://me:secret@127.0.0.1:1", "gopher://me:secret@127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_a_reason(tmp_path: Path, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of proxy that is not supported fails this mirror; it is neither a traceback nor ignored."""
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(MirrorError) as error:
        stream_download("http://mirror.invalid/file", tmp_path / "file", 100, 20, _ignore)
    assert "secret" not in str(error.value)


def test_a_server_sees_who_asks_and_sends_the_file_as_it_is(tmp_path: Path, server: Server) -> None:
    """The request names Nightshift, and bytes that the server calls compressed are not unpacked on the way."""
    seen: dict[str, str | None] = {}

    def behave(handler: BaseHTTPRequestHandler) -> None:
        seen.update({name: handler.headers[name] for name in ("User-Agent", "Accept-Encoding")})
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(IMAGE_FILE)))
        handler.end_headers()
        handler.wfile.write(IMAGE_FILE)

    server.routes["/file"] = behave
    stream_download(f"{server.url}/file", tmp_path / "file", len(IMAGE_FILE), 20, _ignore)
    assert seen == {"User-Agent": "nightshift", "Accept-Encoding": "identity"}
    assert (tmp_path / "file").read_bytes() == IMAGE_FILE


def test_httpx_is_imported_for_the_first_download_only() -> None:
    """Reading the catalogue, and importing what downloads, does not load it."""
    script = (
        "import sys; from pathlib import Path; from data import catalogue; from data.sources import source\n"
        "from data.home.store import Store\n"
        "catalogue.get(Store(Path('nowhere')), 'mnist'); print('httpx' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "False\n"


def _ignore(_done: int, _total: int) -> None:
    pass
