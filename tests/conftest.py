"""Fixtures that several packages share: a home of one's own, the official files, and the bundled sample."""

from pathlib import Path

import pytest

from data.store import Store

MIRROR = Path(__file__).parents[2] / "shared" / "mirror"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty home."""
    return Store(tmp_path / "home")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """A folder with the official MNIST and Fashion-MNIST files, laid out as <dataset>/<file>."""
    if not MIRROR.is_dir():
        pytest.skip("the official files are not here: put them into ../shared/mirror/<dataset>/ to run this test")
    return MIRROR
