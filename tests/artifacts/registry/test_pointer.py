import json

import pytest

from artifacts.operations.verify import find_problems, repair
from artifacts.registry import champions, versions
from data.errors import Corrupt
from data.home.store import MANIFEST, Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import DATASET


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


@pytest.mark.parametrize("field", ["version", "generation", "dataset"])
def test_an_edited_pointer_is_refused(two: Store, field: str) -> None:
    """What it says must be what its own event says."""
    path = two.champion(DATASET)
    value = json.loads(path.read_bytes())
    value[field] = "kmnist" if field == "dataset" else 1
    path.write_text(json.dumps(value))
    with pytest.raises(Corrupt, match="but its own event says mnist/2 in generation 2"):
        champions.champion(two, DATASET)


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
