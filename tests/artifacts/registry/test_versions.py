import json
import shutil
from typing import Any

import pytest

from artifacts.operations.verify import find_problems
from artifacts.registry import champions, versions
from artifacts.registry.versions import numbers
from artifacts.serving.check import InfraResult
from data.errors import BadInput, Corrupt, UnknownName
from data.home.store import MANIFEST, Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import DATASET


def test_a_version_keeps_what_the_candidate_had_and_why_it_was_let_through(store: Store) -> None:
    """Files as they came, read-only, and decision, provenance and infra check beside them."""
    folder = nights.candidate(store, "a", "run-a")
    version = nights.register(store, "a")
    assert (version.id, version.number, version.recipe) == ("mnist/1", 1, "tiny")
    copied = nights.tree(version.folder)
    original = {name: digest for name, digest in nights.tree(folder).items() if name != MANIFEST}
    assert original.items() <= copied.items()
    assert version.document("decision.json") == nights.decision()
    assert version.provenance() == nights.provenance("a", "run-a")
    assert InfraResult(**version.document("infra.json")) == nights.infra(store, folder)
    assert version.model.stat().st_mode & 0o222 == 0
    assert version.model.stat().st_ino != (folder / "model.keras").stat().st_ino
    assert versions.versions(store, DATASET) == (version,)
    assert versions.find(store, "mnist/1") == version


def test_registering_twice_gives_the_same_version(store: Store) -> None:
    """One version per run and weights, however often a crashed run comes back; another run gets its own number."""
    first = nights.register(store, "a", "run-1")
    assert nights.register(store, "a", "run-1") == first
    assert nights.register(store, "a", "run-2").number == 2
    assert nights.register(store, "b", "run-1").number == 3
    assert versions.registered(store, DATASET, "run-1", nights.weights("a")) == first
    assert versions.registered(store, DATASET, "run-3", nights.weights("a")) is None


@pytest.mark.fault("F-36")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decision": nights.decision("HOLD")}, "expected PROMOTE from the gate, got HOLD"),
        ({"decision": nights.decision("REJECT")}, "expected PROMOTE from the gate, got REJECT"),
        ({"decision": {}}, "expected PROMOTE from the gate, got None"),
        ({"decision": nights.decision(mode="dry-run")}, "dry run"),
        ({"decision": nights.decision(weights_digest="other")}, "different candidates: weights_digest"),
        ({"provenance": nights.provenance("b", "run-a")}, "different candidates: weights digest"),
        ({"provenance": nights.provenance("a", "run-a", dataset="kmnist")}, "different candidates: dataset"),
        ({"provenance": nights.provenance("a", "run-a", test_digest="other")}, "different candidates: test set"),
        ({"infra": InfraResult(True, "", "another file")}, "different candidates: model file"),
        ({"infra": InfraResult(False, "it is slow", "x")}, "the model does not serve: it is slow"),
    ],
)
def test_only_what_every_gate_let_through_becomes_a_version(
    store: Store, changes: dict[str, Any], message: str
) -> None:
    """Metric gate and infra check must pass, and speak of the same run, data and model as the provenance."""
    with pytest.raises(BadInput, match=message):
        nights.register(store, "a", **changes)
    assert versions.versions(store, DATASET) == ()


def test_a_candidate_that_changed_or_is_incomplete_is_not_registered(store: Store) -> None:
    """The files are hashed against the candidate's manifest before they are copied."""
    nights.flip(nights.candidate(store, "a", "run-a") / "model.keras")
    with pytest.raises(Corrupt, match=r"model.keras has changed"):
        nights.register(store, "a")
    (nights.candidate(store, "b", "run-b") / "requests.npy").unlink()
    with pytest.raises(Corrupt, match=r"requests.npy is missing"):
        nights.register(store, "b")
    assert numbers(store, DATASET) == ()


def test_numbers_are_never_used_twice(store: Store) -> None:
    """Neither debris nor a version that was deleted by hand gives its number away."""
    nights.night(store, "a")
    second = nights.night(store, "b")
    shutil.rmtree(second.folder)
    (store.versions(DATASET) / "7").mkdir()
    assert nights.register(store, "c").number == 8
    (store.versions(DATASET) / "7").rmdir()
    shutil.rmtree(store.versions(DATASET) / "8")
    assert nights.register(store, "d").number == 3


@pytest.mark.parametrize(
    "name",
    ["mnist/3", "mnist/0", "mnist/01", "mnist", "mnist/", "mnits/1", "../mnist/1", "mnist/../1", "mnist/1/..", ""],
)
def test_a_name_that_is_none_lists_the_versions_there_are(store: Store, name: str) -> None:
    """No path is ever made of what somebody typed."""
    nights.register(store, "a")
    with pytest.raises(UnknownName, match="mnist/1"):
        versions.find(store, name)


@pytest.mark.fault("F-26")
def test_a_rewritten_manifest_is_found_by_the_ledger(store: Store) -> None:
    """Who changes the model and recomputes the manifest would have to rewrite the ledger and the pointer as well."""
    version = nights.night(store, "a")
    nights.flip(version.model)
    manifest = json.loads((version.folder / MANIFEST).read_bytes())
    manifest["files"]["model.keras"] = {
        "bytes": version.model.stat().st_size,
        "sha256": nights.tree(version.folder)["model.keras"],
    }
    (version.folder / MANIFEST).write_text(json.dumps(manifest))
    store.verify(version.folder)
    with pytest.raises(Corrupt, match="the manifest of mnist/1 is not the one in the ledger"):
        champions.champion(store, DATASET)
    assert [found.subject for found in find_problems(store)] == ["mnist/1"]


def test_the_datasets_do_not_mix(store: Store) -> None:
    """Each has its own numbers, champion and ledger, and lends none of its versions to another."""
    nights.night(store, "a")
    folder = nights.candidate(store, "k", "run-k")
    version = versions.register(
        store,
        "kmnist",
        folder,
        decision=nights.decision(),
        provenance=nights.provenance("k", "run-k", dataset="kmnist"),
        infra=nights.infra(store, folder),
    )
    champions.promote(store, version, generation=0, who="me", why="first")
    assert versions.datasets(store) == ("kmnist", "mnist")
    assert version.id == "kmnist/1"
    with pytest.raises(BadInput, match="is not a version of mnist"):
        champions.rollback(store, DATASET, to="kmnist/1", **nights.BY_ME)
    shutil.copytree(version.folder, store.versions(DATASET) / "2")
    with pytest.raises(Corrupt, match="has the manifest of kmnist/1"):
        versions.find(store, "mnist/2")
    assert len(versions.versions(store, DATASET)) == 1
