"""Who may ask: everybody on this machine; from elsewhere, whoever has the password of the home's server.

A server on the loopback interface answers to its own names only, so that no web page can reach it under a name of its
own (DNS rebinding). On any other interface every request but /health needs the password in
$NIGHTSHIFT_HOME/server/auth, as user and password or as a bearer token.
"""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse, Response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an interface of this name."""
    return host in LOOPBACK


def guarded(app: App, password: str) -> App:
    """Return the application behind the rules of this module.

    Args:
        app: an ASGI application.
        password: user:password; "" for the loopback interface.
    """

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        refusal = _refusal(scope, password)
        await (refusal or app)(scope, receive, send_with_headers)

    return guard


def _refusal(scope: Message, password: str) -> Response | None:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if not password:
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if host.strip("[]") in LOOPBACK:
            return None
        return JSONResponse({"error": f"expected the host 127.0.0.1 or localhost, got {host[:100]!r}"}, 400)
    if scope["path"] == "/health" or _allowed(headers.get("authorization", ""), password):
        return None
    challenge = {"WWW-Authenticate": 'Basic realm="Nightshift", charset="UTF-8"'}
    error = "expected the password of this home's server: see $NIGHTSHIFT_HOME/server/auth there"
    return JSONResponse({"error": error}, 401, challenge)


def _allowed(authorization: str, password: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return hmac.compare_digest(given.strip().encode(), password.partition(":")[2].encode())
    try:
        decoded = base64.b64decode(given, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(decoded, password.encode())
