import errno
import json
import os
import re

import pytest

from artifacts.operations.verify import find_problems
from artifacts.registry import champions, versions
from artifacts.registry.pointer import RegistryLost
from artifacts.upkeep.repair import repair
from data.errors import Corrupt, StorageFailed
from data.home.store import MANIFEST, Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import DATASET


@pytest.mark.fault("F-25")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"schema": 1}', b"\x00" * 40, b"\xff\xfe"])
def test_a_damaged_pointer_is_refused_and_rebuilt_from_the_ledger(two: Store, content: bytes) -> None:
    """It is never taken for "no champion yet", which would let any model in; repair restores what the ledger says."""
    path = two.champion(DATASET)
    before = path.read_bytes()
    path.write_bytes(content)
    for operation in (champions.champion, champions.generation, champions.history):
        with pytest.raises(Corrupt, match=r"champion\.json"):
            operation(two, DATASET)
    with pytest.raises(Corrupt, match=r"champion\.json"):
        nights.register(two, "c")
    assert [found.subject for found in find_problems(two)] == ["the champion of mnist"]
    assert "mnist/2 is champion" in repair(two, DATASET)[-1]
    assert path.read_bytes() == before
    assert nights.champion_id(two) == "mnist/2"
    assert find_problems(two) == []
    assert repair(two, DATASET) == []


@pytest.mark.fault("F-25")
def test_a_truncated_pointer_is_refused_at_every_length(two: Store) -> None:
    """However much of it is left."""
    path = two.champion(DATASET)
    content = path.read_bytes()
    for length in range(0, len(content) - 2, 37):
        path.write_bytes(content[:length])
        with pytest.raises(Corrupt, match="verify --repair"):
            champions.champion(two, DATASET)


def test_a_missing_pointer_is_not_no_champion(two: Store) -> None:
    """The ledger remembers that there is one."""
    two.champion(DATASET).unlink()
    with pytest.raises(Corrupt, match="is missing, but the ledger says that mnist/2 is champion"):
        champions.champion(two, DATASET)
    repair(two, DATASET)
    assert nights.champion_id(two) == "mnist/2"


@pytest.mark.fault("F-25")
def test_a_pointer_from_an_old_backup_is_refused(two: Store) -> None:
    """An old generation would bring back what was replaced, without a line that says so."""
    path = two.champion(DATASET)
    old = path.read_bytes()
    champions.rollback(two, DATASET, **nights.BY_ME)
    path.write_bytes(old)
    with pytest.raises(Corrupt, match="older than the ledger: it names mnist/2, the ledger mnist/1"):
        champions.champion(two, DATASET)
    repair(two, DATASET)
    assert nights.champion_id(two) == "mnist/1"


@pytest.mark.fault("F-25")
@pytest.mark.parametrize("field", ["version", "generation", "dataset"])
def test_an_edited_pointer_is_refused(two: Store, field: str) -> None:
    """What it says must be what its own event says."""
    path = two.champion(DATASET)
    value = json.loads(path.read_bytes())
    value[field] = "kmnist" if field == "dataset" else 1
    path.write_text(json.dumps(value))
    with pytest.raises(Corrupt, match="but its own event says mnist/2 in generation 2"):
        champions.champion(two, DATASET)


@pytest.mark.fault("F-44")
def test_a_newer_schema_is_refused_and_never_repaired(two: Store) -> None:
    """Old code that meets new files leaves them alone."""
    path = two.champion(DATASET)
    value = json.loads(path.read_bytes()) | {"schema": 2}
    path.write_text(json.dumps(value))
    for operation in (champions.champion, repair):
        with pytest.raises(Corrupt, match="schema 2, this code reads 1"):
            operation(two, DATASET)
    assert json.loads(path.read_bytes())["schema"] == 2
    path.unlink()
    repair(two, DATASET)
    manifest = two.versions(DATASET) / "1" / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | {"schema": 2}))
    with pytest.raises(Corrupt, match="manifest schema 2, this code reads 1"):
        versions.find(two, "mnist/1")
    assert nights.champion_id(two) == "mnist/2"


@pytest.mark.parametrize("spoil", [b"NaN", b"1e999", b'"\\ud800"', b"[" * 100_000, b"9" * 5000])
def test_what_json_cannot_hold_is_a_damaged_pointer(two: Store, spoil: bytes) -> None:
    """Python reads NaN, lone surrogates and numbers without end: none of them is a traceback, and repair mends it."""
    path = two.champion(DATASET)
    before = path.read_bytes()
    for field in (b'"generation"', b'"seq"'):
        path.write_bytes(re.sub(field + rb": \d+", lambda found: found[0].split(b":")[0] + b": " + spoil, before))
        with pytest.raises(Corrupt, match=r"champion\.json"):
            champions.champion(two, DATASET)
        assert [found.subject for found in find_problems(two)] == ["the champion of mnist"]
        repair(two, DATASET)
        assert path.read_bytes() == before


def test_a_pointer_that_is_a_folder_or_a_pipe_is_refused_and_rebuilt(two: Store) -> None:
    """Reading a pipe would wait for ever."""
    path = two.champion(DATASET)
    before = path.read_bytes()
    for make in (os.mkfifo, os.mkdir):
        path.unlink()
        make(path)
        with pytest.raises(Corrupt, match=r"is a (pipe|folder)"):
            champions.champion(two, DATASET)
        repair(two, DATASET)
        assert path.read_bytes() == before


@pytest.mark.parametrize("left", ["nothing", "an empty ledger"])
def test_pointer_and_ledger_both_gone_is_not_a_first_night(two: Store, left: str) -> None:
    """The versions remember that there was a ledger: no night promotes without a comparison."""
    two.champion(DATASET).unlink()
    two.ledger(DATASET).unlink()
    if left == "an empty ledger":
        two.ledger(DATASET).touch()
    for operation in (champions.champion, champions.generation, champions.history, repair):
        with pytest.raises(RegistryLost, match="neither a champion pointer nor a promotion in its ledger, but"):
            operation(two, DATASET)
    with pytest.raises(RegistryLost):
        nights.register(two, "c")
    assert any("neither a champion" in found.problem and found.serious for found in find_problems(two))


def test_versions_of_older_code_remember_their_champion_in_other_ways(two: Store) -> None:
    """Their manifests do not mention the ledger; their decisions name a champion, and the journal has promotions."""
    for folder in two.versions(DATASET).iterdir():
        manifest = json.loads((folder / MANIFEST).read_bytes())
        del manifest["meta"]["ledger"]
        (folder / MANIFEST).write_text(json.dumps(manifest))
    two.champion(DATASET).unlink()
    two.ledger(DATASET).unlink()
    assert champions.champion(two, DATASET) is None  # as after a first night that was killed before its promotion
    record = {"dataset": DATASET, "run": "night-1", "promoted": True}
    two.write_bytes(two.journal("abc-0000"), json.dumps(record).encode())
    with pytest.raises(RegistryLost, match="the run night-1 promoted a model"):
        champions.champion(two, DATASET)
    two.journal("abc-0000").unlink()
    decision = two.versions(DATASET) / "2" / "decision.json"
    decision.chmod(0o644)
    decision.write_text(json.dumps({"champion": {"name": "mnist/1"}}))
    with pytest.raises(RegistryLost, match="mnist/2 was compared with a champion, mnist/1"):
        champions.champion(two, DATASET)


def test_a_first_night_that_was_killed_before_its_promotion_may_be_repeated(store: Store) -> None:
    """A version without a champion is no sign of a loss."""
    nights.register(store, "a")
    assert champions.champion(store, DATASET) is None
    assert find_problems(store) == []
    nights.night(store, "b")
    assert nights.champion_id(store) == "mnist/2"


@pytest.mark.fault("F-13")
@pytest.mark.parametrize(
    ("call", "champion", "message"),
    [
        (1, "mnist/1", "mnist/1 is still champion"),
        (2, "mnist/2", r"mnist/2 is champion now; .*champion\.json for certain: it is in place"),
        (3, "mnist/2", "mnist/2 is champion, but its line could not be written to the ledger"),
    ],
    ids=["before the rename", "after the rename", "before the ledger"],
)
def test_an_error_at_the_move_says_which_version_is_champion(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: int, champion: str, message: str
) -> None:
    """The message is read from the pointer after the error: what was renamed is not undone by a failing fsync."""
    nights.night(store, "a")
    second = nights.register(store, "b")
    real, calls = os.fsync, iter(range(1, 100))

    def failing(descriptor: int) -> None:
        if next(calls) >= call:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageFailed, match=message) as failed:
        nights.promote(store, second)
    assert "nothing was published" not in str(failed.value)
    assert champions.champion_id(store, DATASET) == champion
