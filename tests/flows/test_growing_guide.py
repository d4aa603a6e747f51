"""The page docs/growing-data.md does what it says: every block is run, in order, in an empty folder."""

from collections.abc import Callable

import pytest

from artifacts.registry import champions
from data import catalogue
from data.home import journal
from data.home.store import Store
from data.snapshots import nights
from flows.settings import temporary_home
from tests.pages import run, run_page  # noqa: F401  a fixture

pytestmark = pytest.mark.slow


def test_the_page_is_true(run: Callable[[str], str]) -> None:  # noqa: F811
    """A folder grows: images, corrections, a broken file, a class; nights train, wait, and are replayed."""
    with temporary_home() as settings:
        printed = [text for _, text in run_page("growing-data.md", run)]
        store = Store(settings.home)
        found = [night.sentence for night in nights.nights(store, "drawings") if night.changed]
        verdicts = [one.verdict for one in journal.read(store) if one.kind == "retrain"]
        assert found[:2] == ["600 images added", "5 labels changed, 200 images added, 1 new class, 1 left out"]
        assert catalogue.get(store, "drawings").class_names == ("cross", "disc", "square", "bar")
        assert verdicts[0] == "PROMOTE"
        assert verdicts[1] in ("PROMOTE", "HOLD"), "bar is new"
        assert verdicts[2:4] == ["POSTPONED", "POSTPONED"]
        assert verdicts[4] not in ("POSTPONED", "UNCHANGED"), "another recipe"
        assert str(champions.champion_id(store, "drawings")).startswith("drawings/")
    assert "the same weights, bit by bit" in printed[-1]
