"""A read-only S3 API on 127.0.0.1 that serves the files of a folder: enough for listing and reading."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def bucket(folder: Path, name: str = "pictures") -> Iterator[str]:
    """Serve a folder as a bucket until the block ends; yield the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            owner, _, key = unquote(url.path).lstrip("/").partition("/")
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            path = folder / key
            if owner != name:
                self._send(404, b"<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>")
            elif "list-type" in query:
                self._send(200, listing(folder, name, query.get("prefix", "")).encode(), "application/xml")
            elif path.is_file():
                self._send(200, path.read_bytes())
            else:
                self._send(404, b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>")

        do_HEAD = do_GET  # noqa: N815  as http.server calls it

        def _send(self, status: int, body: bytes, kind: str = "binary/octet-stream") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", kind)
            self.send_header("ETag", '"0"')
            self.send_header("Last-Modified", "Fri, 27 Nov 2026 00:00:00 GMT")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listing(folder: Path, name: str, prefix: str) -> str:
    """Answer ListObjectsV2, all in one page."""
    keys = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    found = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-27T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag>"
        f"<Size>{(folder / key).stat().st_size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
        if key.startswith(prefix)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{name}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(keys)}</KeyCount><MaxKeys>1000</MaxKeys>"
        f"<IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
    )


def credentials(endpoint: str) -> dict[str, str]:
    """The environment in which tools find this bucket."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
    }
