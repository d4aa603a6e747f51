"""The checks before a run that writes."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from artifacts.operations.verify import find_problems
from artifacts.upkeep import preflight as checks
from artifacts.upkeep.preflight import clock_warnings, preflight, require_locks
from data.errors import Broken, Corrupt, StorageFailed
from data.home import locks
from data.home.store import Store


def test_a_home_says_its_schema_from_the_first_run_on(store: Store) -> None:
    """And a second run changes nothing."""
    assert preflight(store) == []
    content = store.home_document().read_bytes()
    assert json.loads(content)["schema"] == 1
    assert preflight(store) == []
    assert store.home_document().read_bytes() == content


@pytest.mark.fault("F-44")
def test_a_home_of_newer_code_is_refused_and_stays_as_it_is(store: Store) -> None:
    """Nothing is written, not even a lock; `verify` names it."""
    store.root.mkdir()
    content = b'{"schema": 2, "version": "9.0"}'
    store.home_document().write_bytes(content)
    with pytest.raises(Broken, match=r"was written by nightshift 9\.0 with schema 2; this code knows schema 1"):
        preflight(store)
    assert [path.name for path in store.root.iterdir()] == ["home.json"]
    assert store.home_document().read_bytes() == content
    assert [one.subject for one in find_problems(store)] == ["home.json"]


@pytest.mark.fault("F-44")
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"schema": "x"}', b"\xff"])
def test_a_home_that_does_not_say_its_schema_is_refused(store: Store, content: bytes) -> None:
    """It may be newer."""
    store.root.mkdir()
    store.home_document().write_bytes(content)
    with pytest.raises(Corrupt, match="does not say which schema"):
        preflight(store)


def test_a_home_of_older_code_is_used(two: Store) -> None:
    """Version 0.1 wrote no home.json."""
    assert not two.home_document().exists()
    assert preflight(two) == []
    assert find_problems(two) == []


@pytest.mark.fault("F-43")
def test_locks_that_keep_nobody_out_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on file systems that only say that they lock."""
    require_locks(store)
    monkeypatch.setattr(locks, "try_lock", lambda _: True)
    with pytest.raises(StorageFailed, match="has no real locks") as refused:
        preflight(store)
    assert "file system with locks" in refused.value.hint


@pytest.mark.fault("F-12")
def test_too_little_room_is_said_before_anything_is_trained(store: Store) -> None:
    """With both numbers."""
    with pytest.raises(StorageFailed, match="but this run needs about"):
        preflight(store, 1 << 60)


@pytest.mark.fault("F-39")
def test_a_clock_behind_the_ledger_is_a_warning(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order is the ledger's, so the run goes on; the sentence has both times."""
    now = datetime.now(UTC)
    assert clock_warnings(two, now) == []
    (warning,) = clock_warnings(two, now - timedelta(days=2))
    assert "the ledger of mnist has a line from" in warning
    monkeypatch.setattr(checks, "clock_warnings", lambda _: [warning])
    assert preflight(two) == [warning]
