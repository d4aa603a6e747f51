"""Homes that the tests of several subpackages begin with."""

import pytest

from data.home.store import Store
from tests.artifacts.registry import nights


@pytest.fixture
def two(store: Store) -> Store:
    """A home with two versions, the second of them champion."""
    nights.night(store, "a")
    nights.night(store, "b")
    return store
