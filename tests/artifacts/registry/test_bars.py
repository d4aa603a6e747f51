import pytest

from artifacts.registry import bars
from data.errors import BadInput
from data.home.store import Store
from tests.artifacts.registry import nights


def test_bar_and_lift_by_hand(store: Store) -> None:
    """Any version but the champion can be barred, once; lifting needs a bar."""
    nights.night(store, "a")
    challenger = nights.register(store, "b")
    with pytest.raises(BadInput, match="mnist/1 is champion"):
        bars.bar(store, "mnist/1", **nights.BY_ME)
    with pytest.raises(BadInput, match="mnist/2 is not barred"):
        bars.lift(store, "mnist/2", **nights.BY_ME)
    entry = bars.bar(store, "mnist/2", **nights.BY_ME)
    assert bars.bar(store, "mnist/2", who="somebody else", why="too") == entry
    with pytest.raises(BadInput, match="is barred"):
        nights.promote(store, challenger)
    bars.lift(store, "mnist/2", **nights.BY_ME)
    nights.promote(store, challenger)
    assert nights.champion_id(store) == "mnist/2"
