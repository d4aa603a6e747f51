"""What `verify --repair` does: only what needs no guess, and nothing is lost by it."""

import pytest

from artifacts.operations.verify import check_home
from artifacts.registry import ledger
from artifacts.upkeep.repair import repair_home
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import DATASET
from tests.artifacts.upkeep.test_kinds import raw, record


def kept(store: Store) -> list[bytes]:
    """The contents of all files in quarantine."""
    return [path.read_bytes() for path in sorted((store.root / "quarantine").rglob("*")) if path.is_file()]


@pytest.mark.parametrize("spoil", ["no line ends", "no last line end", "torn"])
def test_a_spoilt_ledger_loses_nothing_that_can_be_read(two: Store, spoil: str) -> None:
    """Before the repair `verify` is not content, after it the lines are back, and the file as it was is kept."""
    path = two.ledger(DATASET)
    sound = path.read_bytes()
    spoilt = {"no line ends": sound.replace(b"\n", b""), "no last line end": sound[:-1], "torn": sound + b'{"seq"'}
    path.write_bytes(spoilt[spoil])
    assert check_home(two).serious
    assert "quarantine" in repair_home(two)[0]
    assert path.read_bytes() == sound
    assert kept(two) == [spoilt[spoil]]
    assert check_home(two).findings == ()
    assert repair_home(two) == []


def test_a_ledger_that_is_broken_stays_as_it_is(two: Store) -> None:
    """Nothing can be guessed; the line says so, and the findings are still there."""
    path = two.ledger(DATASET)
    path.write_bytes(path.read_bytes().replace(b"schedule", b"somebody"))
    before = path.read_bytes()
    assert "mnist cannot be repaired" in repair_home(two)[0]
    assert path.read_bytes() == before
    assert check_home(two).serious


@pytest.mark.fault("F-25")
def test_a_rebuilt_pointer_leaves_the_old_one_in_quarantine(two: Store) -> None:
    """Whatever was there."""
    two.champion(DATASET).write_bytes(b"junk")
    assert any("mnist/2 is champion" in line for line in repair_home(two))
    assert kept(two) == [b"junk"]
    assert check_home(two).findings == ()


def test_what_is_made_anew_or_stands_in_the_way_is_moved_to_quarantine(two: Store) -> None:
    """A damaged candidate, raw file and journal record; the copies are kept, and nothing is left to complain about."""
    file = raw(two)
    file.write_bytes(b"broken")
    record(two).write_bytes(b"")
    nights.flip(nights.candidate(two, "a", "run-a") / "model.keras")
    lines = repair_home(two)
    assert len(lines) == 3
    assert all("to quarantine/" in line for line in lines)
    assert check_home(two).findings == ()
    assert b"broken" in kept(two)


def test_registered_versions_are_never_moved(two: Store) -> None:
    """A damaged version stays where it is: only a backup can mend it."""
    nights.flip(two.versions(DATASET) / "1" / "model.keras")
    before = nights.tree(two.root)
    assert repair_home(two) == []
    assert nights.tree(two.root) == before
    assert [one.subject for one in check_home(two).serious] == ["mnist/1"]
    assert ledger.check(two, DATASET) is None
