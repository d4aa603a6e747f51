"""A client of an ASGI application in this process."""

import asyncio
from typing import Any

import httpx


class Client:
    """Asks an application as if it were served under a host.

    Args:
        app: an ASGI application.
        host: with its port.
    """

    def __init__(self, app: Any, host: str = "127.0.0.1:8501") -> None:
        self._app, self._url = app, f"http://{host}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET request."""
        return asyncio.run(self._ask("GET", path, options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Send a POST request."""
        return asyncio.run(self._ask("POST", path, options))

    async def _ask(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url=self._url) as client:
            return await client.request(method, path, **options)
