"""What the tests of data/ share: a server on this machine, asked without a proxy."""

from collections.abc import Iterator

import pytest

from tests.data.servers import Server, serving


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on 127.0.0.1 that does what its routes say."""
    with serving() as running:
        yield running
