"""Copy one file from a directory or a web server into a temporary file, whatever the server does.

Bounded in size and in time; http and https only. Redirects are followed by hand, because each of them may try to lead
somewhere else. Proxies come from the environment, and trusted certificates from the operating system or SSL_CERT_FILE.
"""

import contextlib
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from data.home.files import storage_errors

if TYPE_CHECKING:  # at run time httpx is imported for the first download: the command line lists datasets without it
    import httpx

CHUNK = 1 << 16  # bytes
TIMEOUT_S = 20.0  # without a single byte
MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
HEADERS = {"User-Agent": "nightshift", "Accept-Encoding": "identity"}  # the bytes as the mirror stores them

Trace = Callable[[str, dict[str, Any]], None]


class MirrorError(Exception):
    """This mirror did not serve the file; the message is the reason, and the next mirror may be tried."""


def stream_download(location: str, target: Path, cap: int, seconds: float, report: Callable[[int, int], None]) -> int:
    """Copy what a location serves into a new file and make it durable.

    Args:
        location: an http(s) URL, or a path.
        target: the file to write.
        cap: the largest size of the body, in bytes.
        seconds: time for everything, connecting included.
        report: called with the bytes so far and the bytes announced (0 if unknown).

    Returns:
        Number of bytes written.

    Raises:
        MirrorError: refused, cut short, too long, too slow, or redirected where a redirect must not lead.
        StorageFailed: the file cannot be written.
    """
    done = 0
    with storage_errors(target), target.open("wb") as stream:
        for chunk, total in _chunks(location, time.monotonic() + seconds):
            stream.write(chunk)
            done += len(chunk)
            if max(done, total) > cap:
                raise MirrorError(f"expected at most {cap} bytes, got {max(done, total)} or more")
            report(done, total)
        stream.flush()
        os.fsync(stream.fileno())
    return done


def is_url(location: str) -> bool:
    """Whether this is an http(s) URL rather than a path."""
    return location.startswith(("http://", "https://"))


def scrubbed(location: str) -> str:
    """Return a location without what might be secret in it: user, password, query, fragment."""
    if "://" not in location:
        return location
    try:
        parts = urlsplit(location)
    except ValueError:  # such as http://[
        return "an invalid URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _chunks(location: str, give_up_at: float) -> Iterator[tuple[bytes, int]]:
    """Yield the bytes of a location as they arrive, each time with the number of bytes announced (0 if unknown)."""
    source = _from_web(location, give_up_at) if is_url(location) else _from_folder(Path(location).expanduser())
    done = total = 0
    try:
        for chunk, total in source:
            yield chunk, total
            done += len(chunk)
    except (OSError, ValueError, MirrorError) as error:
        if time.monotonic() >= give_up_at:  # then the connection was cut from here
            raise MirrorError(f"too slow: given up after {done} bytes") from error
        raise MirrorError(_reason(error)) from error
    if time.monotonic() >= give_up_at:  # a connection that is cut may look like one that ended
        raise MirrorError(f"too slow: given up after {done} bytes")
    if done < total:
        raise MirrorError(f"ended after {done} of {total} bytes")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _from_folder(path: Path) -> Iterator[tuple[bytes, int]]:
    if path.exists() and not path.is_file():
        raise MirrorError("this is not a file")
    with path.open("rb") as stream:
        total = os.fstat(stream.fileno()).st_size
        while chunk := stream.read(CHUNK):
            yield chunk, total


def _from_web(url: str, give_up_at: float) -> Iterator[tuple[bytes, int]]:
    import httpx

    try:
        with (
            _cut_at(give_up_at) as trace,
            httpx.Client(headers=HEADERS, verify=ssl.create_default_context()) as client,
            contextlib.closing(_follow(client, url, give_up_at, trace)) as response,
        ):
            yield from _body(response)
    except (httpx.HTTPError, httpx.InvalidURL, ImportError) as error:  # ImportError: a SOCKS proxy without socksio
        raise MirrorError(_reason(error)) from error


def _body(response: "httpx.Response") -> Iterator[tuple[bytes, int]]:
    import httpx

    total = int(response.headers.get("Content-Length") or 0)
    try:
        for chunk in response.iter_raw():
            yield chunk, total
    except httpx.RemoteProtocolError:
        if not total:
            raise
        # otherwise `_chunks` compares what arrived with what was announced


@contextlib.contextmanager
def _cut_at(give_up_at: float) -> Iterator[Trace]:
    """Yield a trace for httpx; connections that it sees are shut down at the deadline, whatever they wait for.

    Timeouts of httpx bound one wait each; a server that sends a byte now and then would never reach them.
    """
    sockets: list[socket.socket] = []

    def cut() -> None:
        for one in sockets:
            with contextlib.suppress(OSError):  # it may be closed already
                one.shutdown(socket.SHUT_RDWR)

    def trace(_event: str, info: dict[str, Any]) -> None:
        opened = getattr(info.get("return_value"), "get_extra_info", None)
        if opened is None:  # not a new connection
            return
        sockets.append(opened("socket"))
        if time.monotonic() >= give_up_at:  # connecting took too long: the timer went off before
            cut()

    timer = threading.Timer(max(give_up_at - time.monotonic(), 0), cut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()


def _follow(client: "httpx.Client", url: str, give_up_at: float, trace: Trace) -> "httpx.Response":
    """Return the response at the end of the redirects, its body still unread."""
    for _ in range(MAX_REDIRECTS + 1):
        left = max(give_up_at - time.monotonic(), 0.01)  # 0 would mean: do not wait at all
        request = client.build_request("GET", url, timeout=min(TIMEOUT_S, left), extensions={"trace": trace})
        response = client.send(request, stream=True, follow_redirects=False)
        if response.is_success:
            return response
        response.close()
        where = response.headers.get("Location")
        if response.status_code not in REDIRECTS or not where:
            raise MirrorError(f"HTTP {response.status_code} {response.reason_phrase}".strip())
        url = _allowed(url, urljoin(url, where))
    raise MirrorError(f"more than {MAX_REDIRECTS} redirects")


def _allowed(current: str, url: str) -> str:
    """Return the URL that a redirect leads to, or raise MirrorError if it must not lead there."""
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
        return False  # behind a proxy only the proxy can resolve it; without one, connecting fails next
    return any(not ipaddress.ip_address(address).is_global for address in addresses)
