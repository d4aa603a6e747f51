"""A real server in a home of its own, started and stopped by the commands that people use, and ways to query it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_HOME, temporary_settings

from artifacts.models.provenance import CHECKOUT
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
from flows.server import stack
from flows.server.started import Started, end

T = TypeVar("T")
PATIENCE_S = 900.0  # for anything that takes seconds on an idle machine


def free_port() -> int:
    """Return a port that the operating system has just chosen."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S) -> T:
    """Poll until `look` returns something true, and return it; fail after `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError(f"waited {patience_s:.0f} s for {what}")


class Live:
    """A running server, and what tests do with it.

    Args:
        home: its NIGHTSHIFT_HOME.
        env: for commands that talk to it.
    """

    def __init__(self, home: Path, **env: str) -> None:
        self.store = Store(home)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NIGHTSHIFT_"))}
        self.env = {**keep, "NIGHTSHIFT_HOME": str(home), **env}

    def command(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command, such as `nightshift deploy`."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "nightshift"), *arguments],
            env={**self.env, **env},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        """Do what `make server` does."""
        return self.command("server", "up", "--port", str(self.port))

    def down(self) -> subprocess.CompletedProcess[str]:
        """Do what `make down` does."""
        return self.command("server", "down")

    @property
    def client_env(self) -> dict[str, str]:
        """Environment variables with which a worker or a command reaches the server."""
        return stack.client_environment(self.store, self.url)

    @property
    def started(self) -> Started:
        """What is running."""
        found = Started.read(self.store)
        assert found is not None
        return found

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """A client of this server, with its password."""
        settings = {
            PREFECT_API_URL: self.url,
            PREFECT_API_AUTH_STRING: self.client_env["PREFECT_API_AUTH_STRING"],
            PREFECT_HOME: self.store.root / "test-client",
        }
        with temporary_settings(settings), get_client(sync_client=True) as client:
            yield client

    def start(self, deployment: str, tags: tuple[str, ...] = (), when: Any = None, **parameters: Any) -> UUID:
        """Start a run of a deployment, or schedule it for a time, and return its id."""
        request: dict[str, Any] = {"parameters": parameters, "tags": tags, "enforce_parameter_schema": False}
        if when:
            request["state"] = {"type": "SCHEDULED", "state_details": {"scheduled_time": when.isoformat()}}
        with self.client() as client:
            found = client.read_deployment_by_name(deployment)
            path = f"/deployments/{found.id}/create_flow_run"
            return UUID(client._client.post(path, json=request).json()["id"])

    def night(self, *recipes: str, **parameters: Any) -> UUID:
        """Start a night on the bundled sample."""
        return self.start("retrain/manual", dataset="mnist-sample", recipes=list(recipes), **parameters)

    def healthy(self) -> bool:
        """Whether the server answers."""
        return stack.healthy(self.url)

    def run(self, id: UUID) -> FlowRun:
        """Return a run as the server has it."""
        with self.client() as client:
            return client.read_flow_run(id)

    def ended(self, id: UUID, patience_s: float = PATIENCE_S) -> FlowRun:
        """Wait until a run has ended, and return it."""

        def look() -> FlowRun | None:
            try:
                run = self.run(id)
            except httpx.TransportError:
                return None  # the server may be away
            return run if run.state and run.state.is_final() else None

        return until(look, f"the end of {id}", patience_s)

    def children(self, id: UUID) -> list[FlowRun]:
        """Return the trainings of a night."""
        wanted = FlowRunFilter.model_validate({"parent_flow_run_id": {"any_": [str(id)]}})
        with self.client() as client:
            found = client.read_flow_runs(flow_run_filter=wanted)
        return sorted((run for run in found if run.name.startswith("train")), key=lambda run: run.name)

    def record(self, id: UUID, *states: str, patience_s: float = PATIENCE_S) -> Record:
        """Wait until the journal has a run in one of these states, and return its record; fail if it cannot."""

        def look() -> Record | None:
            found = journal.find(self.store, str(id))
            if found is None or found.state in states:
                return found
            assert found.active, f"{id} is {found.state}, not {' or '.join(states)}: {found.reason}"
            return None

        try:
            return until(look, f"{id} to be {' or '.join(states)}", patience_s)
        except AssertionError as error:
            raise AssertionError(f"{error} (on the server: {self.run(id).state})") from None

    def training(self, id: UUID) -> list[Record]:
        """Wait until every training of a night has begun, and return their records."""

        def look() -> list[FlowRun] | None:
            state = self.run(id).state
            assert not (state and state.is_final()), f"the night ended before it trained: {state}"
            return self.children(id)

        children = until(look, f"the trainings of {id}")
        return [self.record(child.id, "running") for child in children]

    @contextmanager
    def worker(self, pool: str) -> Iterator[Process]:
        """A second worker, as somebody would start it on another machine."""
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--limit", "1"]
        env = {**self.env, **self.client_env, "PREFECT_WORKER_QUERY_SECONDS": "2"}
        env["PREFECT_HOME"] = str(self.store.root / "second-worker")
        process = subprocess.Popen(
            command, env=env, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        second = Process.of(process.pid)
        try:
            yield second
        finally:
            end([second])
            process.wait(timeout=60)
