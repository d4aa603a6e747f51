"""A web server on 127.0.0.1 that misbehaves on purpose, and a tiny dataset for it to serve."""

import gzip
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from data.builtin import NAMES
from data.dataset import ROLES, Dataset, SourceFile
from data.errors import SourceUnavailable
from data.home.store import Store
from data.sources.idx import write_idx
from data.sources.source import download, download_action

PATIENCE_S = 30.0  # how long a stalling server stalls at most, so that a broken test ends
Behaviour = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """A running server: `url`, what it does per path, and what it was asked for."""

    url: str
    routes: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    sent_some: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Server]:
    """Run a server until the block ends, over TLS if it has a certificate; unknown paths are answered with 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            with suppress(ConnectionError):  # clients hang up on bad servers
                server.routes.get(self.path, answer(b"", status=404))(self)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    server = Server(f"http{'s' if certificate else ''}://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        http.shutdown()
        http.server_close()
        thread.join()


def self_signed(path: Path) -> Path:
    """Write a certificate for 127.0.0.1 and its key into one file, and return it."""
    x509 = pytest.importorskip("cryptography.x509", reason="comes with Great Expectations")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


def answer(body: bytes, *, status: int = 200, length: int | None = None) -> Behaviour:
    """Send a body; `length` is what Content-Length claims, whatever is sent."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def redirect(to: str) -> Behaviour:
    """Send the client elsewhere."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    return behave


def endless(byte: bytes = b"\0") -> Behaviour:
    """Send without announcing a length until the client hangs up."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):  # 10 GB
            handler.wfile.write(byte * (1 << 20))

    return behave


def stall(server: Server, body: bytes, after: int) -> Behaviour:
    """Send the first bytes, then wait until the server is released, then send the rest."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:after])
        server.sent_some.set()
        server.released.wait(PATIENCE_S)
        handler.wfile.write(body[after:])

    return behave


def drip(server: Server, body: bytes, *, in_headers: bool) -> Behaviour:
    """Send a byte now and then, so that no single wait is ever long."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n".encode()
        rest = b"X-Slow: " + b"y" * 10_000 if in_headers else b"\r\n" + body
        handler.wfile.write(head)
        for at in range(len(rest)):
            handler.wfile.write(rest[at : at + 1])
            if server.released.wait(0.02) or at * 0.02 > PATIENCE_S:
                return

    return behave


def tiny_dataset(mirrors: tuple[str, ...] = (), *, seed: int = 0) -> tuple[Dataset, dict[str, bytes]]:
    """Return a row and the compressed files by name: 300 + 60 noisy images, too random to compress."""
    rng = np.random.default_rng(seed)
    arrays = {
        "train_images": rng.integers(0, 256, (300, 20, 16), np.uint8),
        "train_labels": rng.integers(0, 3, 300, np.uint8),
        "test_images": rng.integers(0, 256, (60, 20, 16), np.uint8),
        "test_labels": rng.integers(0, 3, 60, np.uint8),
    }
    raw = {role: write_idx(array) for role, array in arrays.items()}
    served = {role: gzip.compress(content, mtime=0) for role, content in raw.items()}
    files = {
        role: SourceFile(name, sha256(served[role]), len(served[role]), sha256(raw[role]), len(raw[role]))
        for role, name in zip(ROLES, NAMES, strict=True)
    }
    row = Dataset(
        name="tiny",
        title="Tiny",
        mirrors=mirrors,
        files=files,
        height=20,
        width=16,
        n_train=300,
        n_test=60,
        class_names=("a", "b", "c"),
        licence="none",
        citation="",
        mirror_symmetric=False,
        reference=None,
    )
    return row, {files[role].name: served[role] for role in ROLES}


def serve_all(server: Server, contents: dict[str, bytes], folder: str = "") -> None:
    """Serve the files well under a folder of the server."""
    server.routes.update({f"{folder}/{name}": answer(content) for name, content in contents.items()})


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


IMAGES = "train-images-idx3-ubyte.gz"
ROW, FILES = tiny_dataset()
IMAGE_FILE = FILES[IMAGES]


def tiny(*mirrors: str) -> Dataset:
    """Return the tiny dataset with these mirrors."""
    return replace(ROW, mirrors=mirrors)


def produced(store: Store) -> list[str]:
    """Return the paths of all files in a home, relative to its root."""
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def check_failing_mirror(store: Store, server: Server, behaviour: Behaviour, reason: str) -> None:
    """Check that a mirror which behaves like this is named, leaves no file, and does not stop the next one."""
    serve_all(server, FILES, "/good")
    server.routes[f"/bad/{IMAGES}"] = behaviour
    with pytest.raises(SourceUnavailable, match=reason) as error:
        download(store, tiny(f"{server.url}/bad"), deadline_s=20)
    assert f"{server.url}/bad/{IMAGES}" in error.value.problem
    assert "NIGHTSHIFT_MIRRORS" in error.value.hint
    assert not any(path.startswith(("raw/", "tmp/")) for path in produced(store))

    download(store, tiny(f"{server.url}/bad", f"{server.url}/good"), deadline_s=20)
    assert download_action(store, ROW, "train_images").why == "verified"
    assert not any(path.startswith("tmp/") for path in produced(store))
