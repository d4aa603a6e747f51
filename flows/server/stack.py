"""Start and stop a Prefect server with pools, deployments and workers: behind `make server` and `make down`.

$NIGHTSHIFT_HOME/server/, readable by its owner only, holds the password, generated once, and the record of what was
started (`flows/server/started.py`). `flows/server/supervisor.py` restarts what dies.
"""

import contextlib
import os
import secrets
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from artifacts.models.provenance import CHECKOUT
from artifacts.upkeep.preflight import preflight
from data.errors import BadInput, Broken
from data.home.processes import Process
from data.home.store import Store
from flows.server.started import Started, end, record_of, supervisor_runs
from flows.server.web import HOST
from flows.settings import database_in, environment_with, settings

START_TIMEOUT_S = 420.0  # on two busy cores: a database to migrate, eight deployments to import


def up(port: int = 4200, say: Callable[[str], None] = print) -> Started:
    """Start server, pools, deployments and workers, or do nothing if they run already.

    Args:
        port: on the loopback interface.
        say: called with one line per step.

    Raises:
        BadInput: another process uses the port.
        Broken: the server did not start, or something could not be deployed; or a server of this home runs elsewhere.
        Corrupt: the record of what was started cannot be read.
    """
    store = settings().store
    preflight(store)
    with store.lock("server"):
        if now := _running_or_cleared(store, say):
            say(f"already running at {now.ui}")
            return now
        url = _prepare(store, port)
        say("starting server, pools, deployments and workers; the first start takes half a minute")
        return _start(store, url)


def prepare_foreground(port: int = 4200, say: Callable[[str], None] = print) -> str:
    """Do what has to be done before a supervisor can run in this process, and return the URL for it.

    Raises:
        BadInput: another process uses the port, or this home's server runs already.
        Broken: a server of this home runs elsewhere.
        Corrupt: the record of what was started cannot be read.
    """
    store = settings().store
    preflight(store)
    with store.lock("server"):
        if now := _running_or_cleared(store, say):
            raise BadInput(f"already running at {now.ui} as {now.supervisor}", "stop it first: nightshift server down")
        return _prepare(store, port)


def _running_or_cleared(store: Store, say: Callable[[str], None]) -> Started | None:
    """Return the server that runs; if none does, end what is left of an earlier one."""
    now = Started.read(store)
    if now and now.runs(store) and (now.ready or now.unidentified):
        _require_reachable(now)
        return now
    if now:
        clear(store, now, say)
    return None


def _prepare(store: Store, port: int) -> str:
    require_free(port)
    url = f"http://{HOST}:{port}/api"
    _write_environment(store, url)
    return url


def _write_environment(store: Store, url: str) -> None:
    """Write the variables that commands and workers need: for shells and systemd, and bare for `docker --env-file`."""
    keys = {"NIGHTSHIFT_KEYS": str(store.keys)} if store.keys else {}
    variables = {**client_environment(store, url), "NIGHTSHIFT_HOME": str(store.root), **keys}
    quoted = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    bare = "".join(f"{name}={value}\n" for name, value in variables.items())
    # systemd skips lines that are no assignment; in a shell they export what is between them
    for name, content in (("environment", f"set -a\n{quoted}set +a\n"), ("environment.plain", bare)):
        path = _folder(store) / name
        path.unlink(missing_ok=True)
        _write_private(path, content)


def down(say: Callable[[str], None] = print) -> None:
    """Stop what `up` started, with the runs in progress on its workers, and nothing else.

    Raises:
        BadInput: the server runs elsewhere, where its processes can be identified.
        Corrupt: the record of what was started cannot be read.
    """
    store = settings().store
    with store.lock("server"):
        now = Started.read(store)
        if now is None:
            say("nothing to stop: no server of this home is running")
        else:
            _end(store, now, say)


def running(store: Store) -> Started | None:
    """Return this home's server if it answers; nothing is created by asking."""
    now = Started.read(store)
    return now if now and now.ready and now.runs(store) and healthy(now.url) else None


def _require_reachable(now: Started) -> None:
    if not now.supervisor.here and not healthy(now.url):
        raise Broken(
            f"a server of this home runs as {now.supervisor}, in another container or on another host, and"
            f" {now.url} does not answer here",
            "use it there, or stop it there: nightshift server down",
        )


def clear(store: Store, now: Started, say: Callable[[str], None]) -> None:
    """End what is left of a server that does not run any more, or did not come up."""
    if now.unidentified:
        say(f"ignoring the record of a server that was started on {now.supervisor.host}: it does not run here")
    end(now.processes)
    record_of(store).unlink(missing_ok=True)


def _end(store: Store, now: Started, say: Callable[[str], None]) -> None:
    if now.unidentified and supervisor_runs(store):
        raise BadInput(
            f"the server of this home runs as {now.supervisor}, in another container or on another host",
            "stop it there: nightshift server down; or stop that container",
        )
    ours = [one for one in now.processes if one.alive]
    end([now.supervisor])
    end(now.services.values())  # left over if the supervisor had been killed
    if now.unidentified:
        say(
            f"no process was stopped: the server was started on {now.supervisor.host}, whose processes cannot be"
            f" identified here; if it still runs there, stop it there: nightshift server down"
        )
        return
    record_of(store).unlink(missing_ok=True)
    if ours:
        say(f"stopped the server at {now.ui} and its workers")
    else:
        say(f"nothing to stop: the server that was started at {now.ui} does not run any more")


def auth(store: Store) -> str:
    """Return the credentials of this home's server as user:password; they are generated on first use."""
    path = _folder(store) / "auth"
    with contextlib.suppress(FileExistsError):
        _write_private(path, f"admin:{secrets.token_urlsafe(24)}")
    return path.read_text()


def client_environment(store: Store, url: str) -> dict[str, str]:
    """Return the environment variables with which a worker or a command reaches this home's server."""
    return {
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": auth(store),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "DO_NOT_TRACK": "1",  # Prefect's client reports its use otherwise
    }


def server_environment(store: Store, url: str) -> dict[str, str]:
    """Return the settings of this home's server; docs/server.md explains each."""
    base = url.removesuffix("/api")
    return {
        **database_in(_folder(store) / "prefect"),
        "PREFECT_HOME": str(_folder(store) / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": auth(store),
        "PREFECT_SERVER_API_AUTH_STRING": auth(store),
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{base},{base.replace(HOST, 'localhost')}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def healthy(url: str) -> bool:
    """Whether a server answers at this URL."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this machine's own server
    try:
        with direct.open(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _start(store: Store, url: str) -> Started:
    log = _folder(store) / "supervisor.log"
    with log.open("ab") as stream:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "flows.server.supervisor", url],
            cwd=CHECKOUT,
            env=environment_with(**client_environment(store, url), NIGHTSHIFT_HOME=str(store.root)),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # it must survive Ctrl-C in this terminal
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and supervisor.poll() is None:
        now = Started.read(store)
        if now and now.ready and now.supervisor.pid == supervisor.pid:
            return now
        time.sleep(0.2)
    if supervisor.poll() is None:
        end([Process.of(supervisor.pid)])
    output = [line for line in log.read_text(errors="replace").splitlines() if line.strip() and "->" not in line]
    raise Broken(f"the server did not start: {output[-1] if output else 'no output'}", f"read {_folder(store)}/*.log")


def require_free(port: int) -> None:
    """Check that nobody listens at a port.

    Raises:
        BadInput: somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: closed connections may linger
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadInput(
                f"port {port} of {HOST} is in use ({error.strerror})", "choose another one: make server PORT=4300"
            ) from error


def _folder(store: Store) -> Path:
    folder = store.root / "server"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _write_private(path: Path, text: str) -> None:
    """Create a file that only its owner can read.

    Raises:
        FileExistsError: it exists.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
