"""One server for all tests that need one: it takes half a minute to start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.live import Live


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with pools, deployments and a worker each, started as by `make server` and stopped as by `make down`."""
    home: Path = tmp_path_factory.mktemp("server") / "home"
    server = Live(home)
    done = server.up()
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield server
    finally:
        server.down()
