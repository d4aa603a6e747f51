"""Fixtures that several packages share: a home of one's own, the official files, and the bundled sample."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data.home.store import Store

if TYPE_CHECKING:  # most tests need no TensorFlow
    from tests.artifacts.trained import TrainedHome

os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "300")  # a busy machine needs minutes
MIRROR = Path(__file__).parents[2] / "shared" / "mirror"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make faults`."""
    parser.addoption("--wide", action="store_true", help="also run what is marked wide, and sweep every call")
    parser.addoption("--counts", type=Path, help="append the counts of the sweep to this file, as lines of JSON")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that share a server, a home or trained models run in one worker of pytest-xdist: each is made once.

    What takes long comes first, so that no worker is left with it in the end.
    """
    items.sort(key=lambda item: (item.get_closest_marker("server") is None, item.get_closest_marker("slow") is None))
    skip = pytest.mark.skip(reason="takes minutes: run it with --wide, or `make faults`")
    for item in items:
        if item.get_closest_marker("wide") and not item.config.getoption("--wide"):
            item.add_marker(skip)
        definitions = [found[-1] for found in item._fixtureinfo.name2fixturedefs.values()]  # type: ignore[attr-defined]
        for scope in ("session", "module"):
            places = [one.baseid for one in definitions if one.scope == scope and one.baseid.startswith("tests")]
            if places:
                item.add_marker(pytest.mark.xdist_group(places[0]))
                break


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty home."""
    return Store(tmp_path / "home")


@pytest.fixture
def mirror() -> Path:
    """A folder with the official MNIST and Fashion-MNIST files, laid out as <dataset>/<file>."""
    if not MIRROR.is_dir():
        pytest.skip("the official files are not here: put them into ../shared/mirror/<dataset>/ to run this test")
    return MIRROR


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> "TrainedHome":
    """A home with trained candidates that nobody changes; see `trained`."""
    from tests.artifacts.trained import build

    return build(tmp_path_factory.mktemp("trained") / "home")


@pytest.fixture
def trained(built: "TrainedHome", tmp_path: Path) -> "TrainedHome":
    """A home with trained candidates of one's own."""
    return built.copy(tmp_path / "trained-home")
