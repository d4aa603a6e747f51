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

from data.files import storage_errors

CHUNK = 1 << 16
TIMEOUT_S = 20.0  # without a single byte
MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)


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
    with storage_errors(target), target.open("wb") as stream:
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
    try:
        parts = urlsplit(location)
    except ValueError:  # such as http://[
        return "an address that is none"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _chunks(location: str, give_up_at: float) -> Iterator[tuple[bytes, int]]:
    source = _from_web(location, give_up_at) if is_url(location) else _from_folder(Path(location).expanduser())
    done = total = 0
    try:
        for chunk, total in source:
            yield chunk, total
            done += len(chunk)
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = time.monotonic() >= give_up_at  # then the connection was cut from here
        raise MirrorError(f"too slow: given up after {done} bytes" if late else _why(error)) from error
    if time.monotonic() >= give_up_at:  # a connection that is cut may look like one that ended
        raise MirrorError(f"too slow: given up after {done} bytes")
    if done < total:
        raise MirrorError(f"ended after {done} of {total} bytes")


def _why(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    cause = getattr(error, "reason", None) or error  # URLError wraps what happened
    return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__


def _from_folder(path: Path) -> Iterator[tuple[bytes, int]]:
    if path.exists() and not path.is_file():
        raise MirrorError("this is not a file")
    with path.open("rb") as stream:
        total = os.fstat(stream.fileno()).st_size
        while chunk := stream.read(CHUNK):
            yield chunk, total


def _from_web(url: str, give_up_at: float) -> Iterator[tuple[bytes, int]]:
    with _opener_until(give_up_at) as opener, _follow(opener, url, give_up_at) as response:
        total = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read1(CHUNK):  # read1: news as they come, not chunk by chunk
            yield chunk, total


@contextlib.contextmanager
def _opener_until(give_up_at: float) -> Iterator[urllib.request.OpenerDirector]:
    """Yield an opener whose connections are cut at the deadline, whatever they are waiting for."""
    sockets: list[socket.socket] = []

    def cut() -> None:
        for one in sockets:
            with contextlib.suppress(OSError):  # it may be closed already
                one.shutdown(socket.SHUT_RDWR)

    def keep(one: socket.socket) -> None:
        sockets.append(one)
        if time.monotonic() >= give_up_at:  # connecting took too long: the timer has gone off before
            cut()

    timer = threading.Timer(max(give_up_at - time.monotonic(), 0), cut)
    timer.daemon = True
    opener = urllib.request.OpenerDirector()  # not build_opener: that adds file:, ftp: and data:
    for handler in (
        urllib.request.ProxyHandler(),
        _handler(keep),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    timer.start()
    try:
        yield opener
    finally:
        timer.cancel()


def _handler(keep: Callable[[socket.socket], None]) -> urllib.request.BaseHandler:
    class Http(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            keep(self.sock)

    class Https(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            keep(self.sock)

    class Handler(urllib.request.AbstractHTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Http, request)

        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Https, request)

        http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    return Handler()


def _follow(opener: urllib.request.OpenerDirector, url: str, give_up_at: float) -> Any:
    for _ in range(MAX_REDIRECTS + 1):
        left = max(give_up_at - time.monotonic(), 0.01)  # 0 would mean: do not wait at all
        request = urllib.request.Request(url, headers={"User-Agent": "nightshift"})
        try:
            return opener.open(request, timeout=min(TIMEOUT_S, left))
        except urllib.error.HTTPError as error:
            where = error.headers.get("Location")
            error.close()
            if error.code not in REDIRECTS or not where:
                raise
            url = _allowed(url, urljoin(url, where))
    raise MirrorError(f"more than {MAX_REDIRECTS} redirects")


def _allowed(current: str, url: str) -> str:
    old, new = urlsplit(current), urlsplit(url)
    if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
        raise MirrorError(f"refused to be redirected from {old.scheme} to {scrubbed(url)}")
    if new.hostname != old.hostname and _is_private(new.hostname or ""):
        raise MirrorError(f"refused to be redirected into a private network, to {scrubbed(url)}")
    return url


def _is_private(host: str) -> bool:
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except socket.gaierror:
        return False  # behind a proxy only the proxy knows; without one, connecting fails next
    return any(not ipaddress.ip_address(address).is_global for address in addresses)
