"""Serve the champions of some datasets until the process is told to stop."""

import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

from data.errors import BadInput
from data.home.store import Store
from flows.server.stack import auth
from flows.serving.access import guarded, is_loopback
from flows.serving.application import Champions, application

KEEP_ALIVE_S = 75
SWITCH_S = 0.0005  # by default the thread that has an answer may wait 5 ms for the one that reads requests
GRACE_S = 10  # for requests in progress when it is told to stop


def run(
    store: Store,
    datasets: Sequence[str],
    host: str,
    port: int,
    say: Callable[[str], None] = print,
    quiet: AbstractContextManager[None] | None = None,
) -> None:
    """Load the champions, then answer.

    Args:
        store: the home.
        datasets: whose champions answer.
        host: of this machine; on any but the loopback interface, requests need the password.
        port: 0 for any that is free.
        say: called with one line per fact.
        quiet: in effect while the models are loaded, which prints a dozen lines of TensorFlow's.

    Raises:
        BadInput: the address cannot be used.
        UnknownName: a dataset has no champion.
        Corrupt: a champion's files have changed.
        Unloadable: a champion cannot be loaded.
    """
    import uvicorn

    sys.setswitchinterval(SWITCH_S)
    with _listening(host, port) as listener:
        with quiet or nullcontext():
            champions = Champions(store, datasets)
        try:
            password = "" if is_loopback(host) else auth(store)
            for name, followed in champions.followed.items():
                say(f"{followed.current.version.id} answers at /v1/models/{name}:predict and /v1/models/{name}:image")
            if password:
                say(f"requests need the password in {store.root}/server/auth, and have no encryption of their own")
            shown = f"[{host}]" if ":" in host else host
            say(f"http://{shown}:{listener.getsockname()[1]}   Ctrl-C stops it")
            config = uvicorn.Config(
                guarded(application(champions), password),
                log_level="warning",
                lifespan="off",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
                server_header=False,
            )
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn sends it again when it is done
            with suppress(KeyboardInterrupt):  # likewise
                uvicorn.Server(config).run([listener])
        finally:
            champions.close()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(
            f"cannot listen on {host}:{port}: {reason}", "choose another one with --host or --port"
        ) from None
    # asyncio sets this for sockets that say that they are TCP, which those of a given listener do not; without it the
    # body of an answer waits 40 ms for the client to acknowledge the headers
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
