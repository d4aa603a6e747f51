"""What must hold after any fault whatever, as a reader sees it before anything is repaired."""

from artifacts.operations.verify import find_problems
from artifacts.registry import champions, ledger, pointer, versions
from artifacts.registry.versions import numbers
from data.home.store import Store
from tests.artifacts.registry import nights


def assert_hold(store: Store, allowed: tuple[str | None, ...]) -> None:
    """Check the invariants I1 to I7 of docs/decisions/0007-registry-protocol.md.

    Args:
        store: the home after the fault.
        allowed: the versions that may be champion now.
    """
    champion = champions.champion(store, nights.DATASET)  # hashes every file again
    name = champion.id if champion else None
    assert name in allowed
    seen = versions.versions(store, nights.DATASET)
    assert numbers(store, nights.DATASET) == tuple(version.number for version in seen), (
        "an incomplete version is visible"
    )
    assert len({(version.run_id, version.weights_digest) for version in seen}) == len(seen)
    for version in seen:
        store.verify(version.folder)
        assert version.document("decision.json")["verdict"] == "PROMOTE"
        assert version.document("infra.json")["model_sha256"] == store.files(version.folder)["model.keras"]["sha256"]
        assert version.provenance().weights_digest == version.weights_digest
    moves = [entry for entry in champions.history(store, nights.DATASET) if entry.action in ledger.MOVES]
    assert name == (moves[-1].to_version if moves else None)
    assert [entry.generation for entry in moves] == list(range(1, len(moves) + 1))
    assert [entry.from_version for entry in moves] == [None, *(entry.to_version for entry in moves)][: len(moves)]
    for entry in moves:
        versions.verify_version(store, versions.find(store, str(entry.to_version)), tuple(moves))
    assert not [found for found in find_problems(store) if found.serious]


def assert_clean(store: Store) -> None:
    """Check that nothing blocks the next night (I8), and that after a write and a sweep nothing is left to repair."""
    with store.lock(pointer.lock_name(nights.DATASET), timeout_s=0):
        pass
    store.sweep(older_than_s=-1)
    scratch = store.root / "tmp"
    assert not scratch.exists() or list(scratch.iterdir()) == []
    assert ledger.check(store, nights.DATASET) is None
    assert find_problems(store) == []
