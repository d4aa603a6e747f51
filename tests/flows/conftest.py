"""One server for all tests that want one: it takes half a minute to come up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.live import Live


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with pools, deployments and a worker each, brought up by `make server` and ended by `make down`."""
    home: Path = tmp_path_factory.mktemp("server") / "home"
    server = Live(home)
    said = server.up()
    try:
        assert said.returncode == 0, said.stdout + said.stderr
        yield server
    finally:
        server.down()
