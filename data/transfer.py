"""Bring one file from a directory or a web server into a temporary file, whatever the server does.

Bounded in size and in time; http and https only (`urllib` by itself also opens file: and ftp:); redirects are
followed by hand, because each of them may try to lead somewhere else. Proxies from the environment work as `urllib`
understands them.
"""

import contextlib
import http.client
import ipaddress
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from data.store import explained

CHUNK = 1 << 16
TIMEOUT_S = 20.0  # without a single byte
MAX_REDIRECTS = 3


class MirrorError(Exception):
    """This mirror did not work; the message is the reason, and the next mirror's turn has come."""


def stream_download(location: str, target: Path, cap: int, seconds: float, report: Callable[[int, int], None]) -> int:
    """Copy what a location serves into a new file and make it durable.

    Args:
        location: an http(s) URL, or a path.
        target: the file to write.
        cap: bytes from which on the body is refused.
        seconds: time for everything, connecting included.
        report: called with the bytes so far and the bytes announced (0 if nothing was).

    Returns:
        Number of bytes written.

    Raises:
        MirrorError: refused, cut short, too long, too slow, redirected where we do not go.
        StorageFailed: the file cannot be written.
    """
    done = 0
    with explained(target), target.open("wb") as stream:
        for chunk, total in _chunks(location, time.monotonic() + seconds):
            stream.write(chunk)
            done += len(chunk)
            if max(done, total) > cap:
                raise MirrorError(f"expected at most {cap} bytes, came {max(done, total)} or more")
            report(done, total)
        stream.flush()
        os.fsync(stream.fileno())
    return done


def is_url(location: str) -> bool:
    """Whether this is a web address rather than a path."""
    return location.startswith(("http://", "https://"))


def scrubbed(location: str) -> str:
    """Return a location without what might be secret in it: user, password, query, fragment."""
    if "://" not in location:
        return location
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _chunks(location: str, give_up_at: float) -> Iterator[tuple[bytes, int]]:
    try:
        yield from _from_web(location, give_up_at) if is_url(location) else _from_folder(Path(location).expanduser())
    except urllib.error.HTTPError as error:
        raise MirrorError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= give_up_at:
            raise MirrorError("too slow: given up at the deadline") from error
        reason = getattr(error, "reason", None) or error
        raise MirrorError(f"{reason or type(error).__name__}") from error


def _from_folder(path: Path) -> Iterator[tuple[bytes, int]]:
    with path.open("rb") as stream:
        total = os.fstat(stream.fileno()).st_size
        while chunk := stream.read(CHUNK):
            yield chunk, total


def _from_web(url: str, give_up_at: float) -> Iterator[tuple[bytes, int]]:
    timeout = min(TIMEOUT_S, max(give_up_at - time.monotonic(), 0.1))
    with _opener_until(give_up_at) as opener, _follow(opener, url, timeout) as response:
        total = int(response.headers.get("Content-Length") or 0)
        done = 0
        while chunk := response.read1(CHUNK):  # read1: read would wait for a whole chunk, however slowly it drips
            done += len(chunk)
            yield chunk, total
            if time.monotonic() >= give_up_at:
                raise MirrorError(f"too slow: given up after {done} bytes")
        if done < total:
            raise MirrorError(f"ended after {done} of {total} bytes")


@contextlib.contextmanager
def _opener_until(give_up_at: float) -> Iterator[urllib.request.OpenerDirector]:
    """Yield an opener whose connections are cut at the deadline, whatever they are waiting for."""
    sockets: list[socket.socket] = []

    def cut() -> None:
        for one in sockets:
            with contextlib.suppress(OSError):  # it may be closed already
                one.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(give_up_at - time.monotonic(), 0), cut)
    timer.daemon = True
    timer.start()
    opener = urllib.request.OpenerDirector()  # not build_opener: that adds file:, ftp: and data:
    for handler in (urllib.request.ProxyHandler(), _handler(sockets), urllib.request.HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    opener.add_handler(urllib.request.UnknownHandler())
    try:
        yield opener
    finally:
        timer.cancel()


def _handler(sockets: list[socket.socket]) -> urllib.request.BaseHandler:
    class Http(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    class Https(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    class Handler(urllib.request.AbstractHTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Http, request)

        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Https, request)

        http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    return Handler()


def _follow(opener: urllib.request.OpenerDirector, url: str, timeout: float) -> Any:
    origin = url
    for _ in range(MAX_REDIRECTS + 1):
        request = urllib.request.Request(url, headers={"User-Agent": "nightshift"})
        try:
            return opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            where = error.headers.get("Location")
            error.close()
            if error.code not in (301, 302, 303, 307, 308) or not where:
                raise
            url = _allowed(origin, urljoin(url, where))
    raise MirrorError(f"more than {MAX_REDIRECTS} redirects")


def _allowed(origin: str, url: str) -> str:
    old, new = urlsplit(origin), urlsplit(url)
    if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
        raise MirrorError(f"refused to be redirected from {old.scheme} to {scrubbed(url)}")
    if new.hostname != old.hostname and _is_private(new.hostname or ""):
        raise MirrorError(f"refused to be redirected into a private network, to {scrubbed(url)}")
    return url


def _is_private(host: str) -> bool:
    addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    return any(not ipaddress.ip_address(address).is_global for address in addresses)
