"""What `make server` has started: the record of it in the home, whether it still runs, and ending it.

The supervisor holds a lock for as long as it lives, which shows that a server of this home runs, in whatever container.
A process is sent a signal only if it is certainly the one that was started: ids mean nothing on another host, in
another container, or after a restart of the machine.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import Corrupt
from data.home import locks
from data.home.processes import Process, descendants
from data.home.store import Store
from data.values import canonical_json

END_TIMEOUT_S = 40.0  # a worker gives a training 30 s after SIGTERM before it kills it


@dataclass
class Started:
    """What `make server` has started.

    Args:
        url: of the API.
        supervisor: the process that restarts the others when they die.
        services: server and workers, by name.
        ready: everything is deployed and every worker was started.
    """

    url: str
    supervisor: Process
    services: dict[str, Process] = field(default_factory=dict)
    ready: bool = False

    @property
    def ui(self) -> str:
        """URL of the UI."""
        return self.url.removesuffix("/api")

    @property
    def processes(self) -> list[Process]:
        """The supervisor and its services."""
        return [self.supervisor, *self.services.values()]

    def write(self, store: Store) -> None:
        """Write it to started.json, from which `read` gets it."""
        services = {name: process.to_json() for name, process in self.services.items()}
        value = {"url": self.url, "supervisor": self.supervisor.to_json(), "services": services, "ready": self.ready}
        store.write_bytes(record_of(store), canonical_json(value))

    @classmethod
    def read(cls, store: Store) -> "Started | None":
        """Return what is recorded as started, or None if nothing is; nothing is created by asking.

        Raises:
            Corrupt: the record cannot be read.
        """
        path = record_of(store)
        try:
            value = json.loads(path.read_bytes())
            services = {name: Process.from_json(one) for name, one in value["services"].items()}
            return cls(str(value["url"]), Process.from_json(value["supervisor"]), services, bool(value["ready"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Corrupt(
                f"{path} is not a record of a server that this version can read ({error})",
                "end the server's processes by hand if any runs, delete the file, and run: nightshift server up",
            ) from error

    def runs(self, store: Store) -> bool:
        """Whether the supervisor runs, here or elsewhere."""
        return supervisor_runs(store) or self.supervisor.alive

    @property
    def unidentified(self) -> list[Process]:
        """The processes of which nothing is known from here."""
        return [one for one in self.processes if not one.alive and not one.gone]


def record_of(store: Store) -> Path:
    """Return where the record lies."""
    return store.root / "server" / "started.json"


def supervisor_lock(store: Store) -> Path:
    """Return the file of the lock that the supervisor of this home holds."""
    return store.lock_file("supervisor")


def supervisor_runs(store: Store) -> bool:
    """Whether a supervisor of this home runs, as its lock shows."""
    sign = locks.sign_of_life(supervisor_lock(store))
    return sign is not None and sign.held


def end(processes: Iterable[Process]) -> None:
    """End processes that can be identified, and their descendants: SIGTERM, wait END_TIMEOUT_S, SIGKILL."""
    # list the descendants first: once a parent is dead, they can no longer be found
    targets = [p for one in processes if one.alive for p in (one, *map(Process.of, descendants(one.pid)))]
    for signal_, patience_s in ((signal.SIGTERM, END_TIMEOUT_S), (signal.SIGKILL, 5.0)):
        for one in targets:
            if one.alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, signal_)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and any(one.alive for one in targets):
            time.sleep(0.1)
