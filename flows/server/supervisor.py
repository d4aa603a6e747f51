"""Keeps a server and its workers alive: what dies is started again, and what it left behind is put in order first.

Started by `flows/server/stack.py` with the URL as its argument. On a host of your own, systemd does the same:
docs/server.md.
"""

import logging
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from artifacts.models.provenance import CHECKOUT
from data.errors import Broken
from data.processes import Process
from data.store import Store
from flows.server import deployments, stack
from flows.server.stack import Started
from flows.settings import environment_with, settings

PATIENCE_S = 300.0  # for a server to answer; the first start migrates a database
LONGEST_WAIT_S = 60.0  # between two starts of something that keeps dying
QUERY_S = "3"  # how often a worker asks for work; Prefect's own 15 s are for hundreds of workers
CALM_S = 120.0  # after so long alive, a service starts anew with the shortest wait

log = logging.getLogger("nightshift")


@dataclass
class Service:
    """Something that is to run for ever.

    Args:
        name: also of its log file.
        command: how to start it.
        env: in addition to ours.
    """

    name: str
    command: list[str]
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    wait_s: float = 1.0
    since: float = 0.0
    due: float = 0.0

    def start(self, folder: Path) -> None:
        """Start it; what it prints goes into a log file."""
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
        """Remember to start it again in a while, a longer one each time it dies young."""
        assert self.process is not None
        calm = time.monotonic() - self.since > CALM_S
        self.wait_s = 1.0 if calm else min(2 * self.wait_s, LONGEST_WAIT_S)
        self.due = time.monotonic() + self.wait_s
        log.warning("%s ended with code %s; started again in %.0f s", self.name, self.process.poll(), self.wait_s)
        self.process = None


class Supervisor:
    """A server, its workers, and the care for them."""

    def __init__(self, store: Store, url: str) -> None:
        self._store, self._url, self._folder = store, url, store.root / "server"
        self._started = Started(url, Process.current())
        port = url.rpartition(":")[2].removesuffix("/api")
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", stack.HOST, "--port", port]
        self.server = Service("server", command, stack.server_environment(store, url))
        self.workers = [self._worker(name, pool.worker_limit) for name, pool in deployments.read_pools().items()]

    def _worker(self, pool: str, limit: int | None) -> Service:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", f"{pool}-1"]
        command += ["--limit", str(limit)] if limit else []
        env = stack.client_environment(self._store, self._url)
        env |= {"PREFECT_HOME": str(self._folder / "worker"), "PREFECT_WORKER_QUERY_SECONDS": QUERY_S}
        return Service(f"worker-{pool}", command, env)

    def run(self) -> None:
        """Start everything, and go on until somebody ends us."""
        try:
            self._start(self.server)
            self._await_server()
            log.info("deployed: %s", ", ".join(deployments.deploy()))
            for worker in self.workers:
                self._start(worker)
            self._started.ready = True
            self._started.write(self._store)
            log.info("ready at %s", self._started.ui)
            while True:
                self._look_after()
                time.sleep(0.5)
        finally:
            stack.end(list(self._started.services.values())[::-1])

    def _look_after(self) -> None:
        for service in (self.server, *self.workers):
            if service.dead:
                service.postpone()
            elif service.process is None and time.monotonic() >= service.due:
                if service is not self.server:
                    self._put_in_order()
                self._start(service)

    def _start(self, service: Service) -> None:
        service.start(self._folder)
        assert service.process is not None
        self._started.services[service.name] = Process.of(service.process.pid)
        self._started.write(self._store)

    def _put_in_order(self) -> None:
        """Before a worker starts again: runs that died with the last one must not look alive."""
        from flows.runs.reconcile import reconcile

        try:
            for line in reconcile(self._store):
                log.warning(line)
        except Exception:  # the server may be down itself; the next run does it then
            log.exception("could not put the runs in order")

    def _await_server(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not stack.healthy(self._url):
            if self.server.dead or time.monotonic() > deadline:
                raise Broken("the Prefect server does not answer", f"read {self._folder}/server.log")
            time.sleep(0.2)


def main() -> None:
    """Run until SIGTERM, then end everything that was started."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # unwinds through `finally`
    Supervisor(settings().store, sys.argv[1]).run()


if __name__ == "__main__":
    main()
