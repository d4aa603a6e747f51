"""A Prefect server of one command's own, for runs in a terminal; its database lies in the home.

It takes the place of the server that Prefect would start by itself, which gets every Ctrl-C before the run has reported
its end, outlives a run that is killed, and is waited for even when it has died.
"""

import atexit
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

from artifacts.models.provenance import CHECKOUT
from data.errors import Broken
from flows.server.stack import healthy
from flows.server.web import HOST
from flows.settings import environment_without_server, prefect_home

START_TIMEOUT_S = 300.0  # the first start migrates a database: 9 s on an idle machine
TAIL_BYTES = 1 << 16
FULL = re.compile("disk is full|No space left|disk quota", re.IGNORECASE)


class PrivateServer:
    """The process. It ends with this one, however this one ends.

    Raises:
        Broken: it cannot be started.
    """

    def __init__(self) -> None:
        listener = socket.create_server((HOST, 0))  # bound here, so nobody else can take the port
        self.url = f"http://{HOST}:{listener.getsockname()[1]}/api"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`
        with listener:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.server.web", "--private", str(listener.fileno())],
                cwd=CHECKOUT,
                env=environment_without_server(),
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(listener.fileno(),),
                start_new_session=True,  # Ctrl-C in the terminal is for the run alone
            )
        # runs after the handlers of Prefect, which is imported later and has its last words for the server
        atexit.register(self.close)

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            Broken: it ended, or does not answer within START_TIMEOUT_S.
        """
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not healthy(self.url):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise self.failed("did not start")
            time.sleep(0.05)

    def failed(self, how: str) -> Broken:
        """Return an error that says what the server wrote last."""
        why = self.last_error()
        if FULL.search(why):
            return Broken(
                f"the Prefect server {how}: {why}", "free some space, or point NIGHTSHIFT_HOME at a larger disk"
            )
        database = prefect_home() / "prefect.db"
        return Broken(
            f"the Prefect server {how}: {why}",
            f"check that {database} can be written; if it is damaged, move it away and run again: it only lists past"
            " runs, models and decisions lie elsewhere",
        )

    def last_error(self) -> str:
        """Return the last line of the server's output that names an error."""
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        errors = [line.strip() for line in lines if re.match(r"\S*(Error|Exception)\b.*:", line.strip())]
        return errors[-1] if errors else lines[-1].strip() if lines else "it wrote no message"

    def close(self) -> None:
        """End it, unless it has ended."""
        atexit.unregister(self.close)
        with suppress(BrokenPipeError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
