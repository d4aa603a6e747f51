"""The Prefect server of a command: the one that PREFECT_API_URL names, or a private one.

Its failures become one sentence each.
"""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from data.errors import Broken
from flows.server.private import PrivateServer
from flows.settings import names_a_server, server_url, use_server

ANSWER_WITHIN_S = 10.0
LIBRARIES = ("prefect", "httpx", "httpcore")
UNREACHABLE = ("Failed to reach API", "Timed out while attempting to connect")

_private: list[PrivateServer] = []  # of this process


@contextmanager
def server() -> Iterator[Callable[[], None]]:
    """Use the server at PREFECT_API_URL, or start a private one; call before Prefect is imported.

    A private server is ended with this process: Prefect's threads report to it until then.

    Yields:
        A function that waits until the server answers.

    Raises:
        Broken: no server answers at PREFECT_API_URL, or the private one did not start.
    """
    if names_a_server():
        require_answer(server_url())
        yield lambda: None
        return
    mine = PrivateServer()
    _private.append(mine)
    use_server(mine.url)
    yield mine.wait


def require_answer(url: str) -> None:
    """Ask a server whether it is there; any answer will do.

    Raises:
        Broken: it does not answer.
    """
    try:
        urllib.request.urlopen(f"{url}/health", timeout=ANSWER_WITHIN_S).close()
    except urllib.error.HTTPError:
        return  # it wants a password, or has no such page
    except (OSError, ValueError) as error:
        raise _unreachable(url, str(getattr(error, "reason", error))) from error


def _unreachable(url: str, why: str) -> Broken:
    return Broken(
        f"no Prefect server answers at {url}, which PREFECT_API_URL names ({why})",
        "unset PREFECT_API_URL to do without one, or start it: make server",
    )


@contextmanager
def explained() -> Iterator[None]:
    """Raise failures of Prefect and of the connection to its server as Broken; other errors pass unchanged.

    Raises:
        Broken: one sentence, with advice.
    """
    try:
        yield
    except Exception as error:
        if not _is_prefects(error):
            raise
        raise _explanation(error) from error


def _is_prefects(error: Exception) -> bool:
    library = type(error).__module__.partition(".")[0]
    return library in LIBRARIES or any(text in str(error) for text in UNREACHABLE)


def _explanation(error: Exception) -> Broken:
    first = (str(error).splitlines() or [""])[0].strip() or type(error).__name__
    if _private:
        return _private[-1].failed(f"failed ({first})")
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status in (401, 403):
        return Broken(
            f"the Prefect server at {server_url()} refused the password ({first})",
            "set PREFECT_API_AUTH_STRING; for `make server`: . $NIGHTSHIFT_HOME/server/environment",
        )
    if not status:
        return _unreachable(server_url(), first)
    return Broken(f"the Prefect server at {server_url()} failed: {first}", "read the server's log, then run again")
