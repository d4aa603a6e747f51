"""Restarts a server and its workers when they die, and cleans up after crashed runs before a worker starts again.

Started by `flows/server/stack.py` with the URL as its argument. systemd can do the same: docs/server.md.
"""

import logging
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from artifacts.models.provenance import CHECKOUT
from data.errors import Broken, NightshiftError
from data.home import locks
from data.home.processes import Process
from data.home.store import Store
from flows.server import deployments, stack, started
from flows.server.started import Started
from flows.settings import environment_with, settings

START_TIMEOUT_S = 300.0  # for the server to answer; the first start migrates a database
LONGEST_WAIT_S = 60.0  # between two starts of a service that keeps dying
QUERY_S = "3"  # seconds between a worker's requests for work; Prefect's default of 15 suits hundreds of workers
STABLE_S = 120.0  # a service that lived this long is restarted after the shortest wait

log = logging.getLogger("nightshift")


@dataclass
class Service:
    """A process that is restarted when it ends.

    Args:
        name: also the name of its log file.
        command: the program and its arguments.
        env: variables added to the environment of this process.
        process: None before the first start and between two starts.
        wait_s: seconds until the next start.
        since: when it was started, on the monotonic clock.
        due: when it will be started again.
    """

    name: str
    command: list[str]
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    wait_s: float = 1.0
    since: float = 0.0
    due: float = 0.0

    def start(self, folder: Path) -> None:
        """Start it; its output is appended to <folder>/<name>.log."""
        with (folder / f"{self.name}.log").open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=CHECKOUT,
                env=environment_with(**self.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.since = time.monotonic()

    @property
    def dead(self) -> bool:
        """Whether it was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def postpone(self) -> None:
        """Schedule the next start; the wait doubles each time the service lived less than STABLE_S."""
        assert self.process is not None
        stable = time.monotonic() - self.since > STABLE_S
        self.wait_s = 1.0 if stable else min(2 * self.wait_s, LONGEST_WAIT_S)
        self.due = time.monotonic() + self.wait_s
        log.warning("%s exited with code %s; restarting in %.0f s", self.name, self.process.poll(), self.wait_s)
        self.process = None


class Supervisor:
    """A server and its workers, started in order and restarted when they die."""

    def __init__(self, store: Store, url: str) -> None:
        self._store, self._url, self._folder = store, url, store.root / "server"
        self._started = Started(url, Process.current())
        port = url.rpartition(":")[2].removesuffix("/api")
        command = [sys.executable, "-m", "flows.server.web", port]
        self.server = Service("server", command, stack.server_environment(store, url))
        self.workers = [self._worker(name, pool.worker_limit) for name, pool in deployments.read_pools().items()]

    def _worker(self, pool: str, limit: int | None) -> Service:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", f"{pool}-1"]
        command += ["--limit", str(limit)] if limit else []
        env = stack.client_environment(self._store, self._url)
        env |= {"PREFECT_HOME": str(self._folder / "worker"), "PREFECT_WORKER_QUERY_SECONDS": QUERY_S}
        return Service(f"worker-{pool}", command, env)

    def run(self) -> None:
        """Start everything, and restart what dies until this process is ended.

        Raises:
            Broken: the server did not start, or this home has a supervisor already.
        """
        if not locks.keep(started.supervisor_lock(self._store)):
            raise Broken("another supervisor of this home is running", "stop it: nightshift server down")
        try:
            self._start(self.server)
            self._await_server()
            log.info("deployed: %s", ", ".join(deployments.deploy(log.info)))
            for worker in self.workers:
                self._start(worker)
            self._started.ready = True
            self._started.write(self._store)
            log.info("ready at %s", self._started.ui)
            while True:
                self._restart_dead()
                time.sleep(0.5)
        finally:
            started.end(list(self._started.services.values())[::-1])
            started.record_of(self._store).unlink(missing_ok=True)

    def _restart_dead(self) -> None:
        for service in (self.server, *self.workers):
            if service.dead:
                service.postpone()
            elif service.process is None and time.monotonic() >= service.due:
                if service is not self.server:
                    self._reconcile()
                self._start(service)

    def _start(self, service: Service) -> None:
        service.start(self._folder)
        assert service.process is not None
        self._started.services[service.name] = Process.of(service.process.pid)
        self._started.write(self._store)

    def _reconcile(self) -> None:
        """Mark the runs that died with a worker as Crashed, before the worker starts again."""
        from flows.runs.reconcile import reconcile

        try:
            for line in reconcile(self._store):
                log.warning(line)
        except Exception:  # the server may be down too; the next run does it then
            log.exception("could not check for crashed runs")

    def _await_server(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not stack.healthy(self._url):
            if self.server.dead or time.monotonic() > deadline:
                raise Broken("the Prefect server does not respond", f"read {self._folder}/server.log")
            time.sleep(0.2)


def run(url: str) -> None:
    """Run a supervisor in this process until SIGTERM or Ctrl-C, then stop everything that was started.

    Args:
        url: of the API that its server is to have.

    Raises:
        Broken: the server did not start, or this home has a supervisor already.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # unwinds through `finally`
    Supervisor(settings().store, url).run()


if __name__ == "__main__":
    try:
        run(sys.argv[1])
    except NightshiftError as error:
        sys.exit(str(error))
