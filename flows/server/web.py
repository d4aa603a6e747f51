"""The process of a Prefect server: API, services and, unless it is private, the UI.

    python -m flows.server.web PORT          behind `make server`
    python -m flows.server.web --private FD  for one run in a terminal: on a socket that its parent has opened

The UI is Prefect's, which asks an analytics host as soon as it is opened. Every page is sent with a policy that lets
the browser ask no other address than the server's own.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"
KEEP_ALIVE_S = 5  # as `prefect server start`

# 'unsafe-inline' and 'unsafe-eval' are for Prefect's own bundle: inline styles, and code compiled for charts and forms
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "worker-src": "'self' blob:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
    "base-uri": "'self'",
}

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]


def policy(api_url: str) -> str:
    """Return the Content-Security-Policy of a server's pages.

    Args:
        api_url: which the UI asks; on another origin than its pages if those were opened as localhost, or if a proxy
            in front of the server has another name.
    """
    found = urlsplit(api_url)
    hosts = [found.netloc] + ([f"localhost:{found.port}"] if found.hostname == HOST else [])
    own = [f"{scheme}://{host}" for host in hosts for scheme in (found.scheme, found.scheme.replace("http", "ws"))]
    return "; ".join(
        f"{name} {' '.join([value, *own]) if name == 'connect-src' else value}" for name, value in POLICY.items()
    )


def only_own_address(app: App, api_url: str) -> App:
    """Return an ASGI application whose pages may ask no other address than that of their own server."""
    headers = [
        (b"content-security-policy", policy(api_url).encode()),
        (b"referrer-policy", b"same-origin"),  # links in the UI lead to other hosts
    ]

    async def with_policy(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        await app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    return with_policy


def serve(listener: socket.socket, *, private: bool) -> None:
    """Serve until the process is told to stop; return if the server cannot start.

    Args:
        listener: a bound socket.
        private: without the UI and the scheduler.
    """
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import PREFECT_UI_API_URL

    app = create_app(final=True, ephemeral=private)
    config = uvicorn.Config(
        only_own_address(app, str(PREFECT_UI_API_URL.value() or "")),
        log_level="error" if private else "info",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    uvicorn.Server(config).run([listener])


def serve_parent(descriptor: int) -> None:
    """Serve the process that started this one, and end when it does, however it ends.

    Ctrl-C and a service manager reach all processes of a group at once. This one ignores them: its parent still has to
    report to it how the run ended.
    """
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)

    def run() -> None:
        try:
            serve(socket.socket(fileno=descriptor), private=True)
        finally:
            os._exit(3)  # it did not start, or failed: the parent reads why

    threading.Thread(target=run, daemon=True).start()  # uvicorn replaces handlers of signals in the main thread only
    sys.stdin.buffer.read()  # returns when the parent has closed its end, or is dead
    os._exit(0)


def main() -> None:
    """Serve on the port, or the socket, that the arguments name."""
    match sys.argv[1:]:
        case ["--private", descriptor]:
            serve_parent(int(descriptor))
        case [port]:
            listener = socket.create_server((HOST, int(port)))
            serve(listener, private=False)
        case _:
            sys.exit(f"expected a port, or --private and a descriptor, got {sys.argv[1:]}")


if __name__ == "__main__":
    main()
