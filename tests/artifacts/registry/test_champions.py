import json
import shutil
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from artifacts.models.provenance import CHECKOUT
from artifacts.operations.verify import find_problems, repair
from artifacts.registry import bars, champions, ledger, pointer, versions
from artifacts.registry.versions import numbers
from artifacts.serving.check import InfraResult
from data.errors import BadInput, Conflict, Corrupt, NightshiftError, UnknownName
from data.store import MANIFEST, Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.invariants import assert_clean, assert_hold
from tests.artifacts.registry.nights import DATASET

BY_ME: dict[str, Any] = {"who": "me", "why": "a test"}


def champion_id(store: Store) -> str | None:
    """The champion's name."""
    champion = champions.champion(store, DATASET)
    return champion.id if champion else None


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, read-only or not."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


# -- versions -----------------------------------------------------------------------------------------------------


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
    flip(nights.candidate(store, "a", "run-a") / "model.keras")
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


@pytest.mark.parametrize("name", ["..", ".", "../x", "a/b", "", "A", ".hidden", "-x", "x" * 101])
def test_a_dataset_name_that_leaves_the_home_is_refused(store: Store, name: str) -> None:
    """Names are checked before they become paths, for readers and writers alike."""
    for operation in (champions.champion, versions.versions, champions.history, repair):
        with pytest.raises(BadInput):
            operation(store, name)
    assert not store.root.exists()


def test_symbolic_links_are_refused_everywhere(store: Store) -> None:
    """A link to somewhere else is neither a version nor a folder of versions nor a model file nor a pointer."""
    version = nights.night(store, "a")
    aside = store.root / "aside"
    for path in (
        version.folder,
        version.model,
        store.versions(DATASET),
        store.champion(DATASET),
        store.ledger(DATASET),
    ):
        path.rename(aside)
        path.symlink_to(aside)
        with pytest.raises(Corrupt, match="symbolic link"):
            champions.champion(store, DATASET)
        assert any("symbolic link" in found.problem or "manifest" in found.problem for found in find_problems(store))
        path.unlink()
        aside.rename(path)
    assert champion_id(store) == version.id


def test_the_registry_opens_without_keras_prefect_or_numpy() -> None:
    """A fresh interpreter reads the registry with nothing but Python."""
    heavy = ("keras", "tensorflow", "prefect", "great_expectations", "numpy", "pyarrow", "pandas")
    imported = "artifacts.registry.champions, artifacts.operations.verify"
    code = f"import sys, {imported}; print(*sys.modules.keys() & set({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


# -- promotion and rollback -----------------------------------------------------------------------------------------


def test_the_first_night_has_a_champion_and_a_line(store: Store) -> None:
    """From no champion to one, with the numbers that decided."""
    assert champions.champion(store, DATASET) is None
    assert champions.generation(store, DATASET) == 0
    version = nights.register(store, "a")
    entry = nights.promote(store, version, who="schedule", why="first night")
    assert champion_id(store) == "mnist/1"
    assert champions.history(store, DATASET) == ledger.read(store, DATASET) == (entry,)
    assert (entry.action, entry.who, entry.why, entry.verdict) == ("promote", "schedule", "first night", "PROMOTE")
    assert (entry.from_version, entry.to_version, entry.generation, entry.run_id) == (None, "mnist/1", 1, "run-a")
    assert entry.decision == nights.decision()
    assert entry.digests == {
        "weights": nights.weights("a"),
        "raw": version.provenance().raw_digest,
        "prepared": version.provenance().prepared_digest,
        "test": version.provenance().test_digest,
        "model": store.files(version.folder)["model.keras"]["sha256"],
        "manifest": version.manifest_digest,
    }


def test_promoting_the_champion_again_changes_nothing(store: Store) -> None:
    """A run that died after its promotion comes back, with its old token, and gets the same line."""
    version = nights.register(store, "a")
    entry = nights.promote(store, version, generation=0)
    assert nights.promote(store, version, generation=0, who="somebody else") == entry
    assert champions.generation(store, DATASET) == 1


def test_a_promotion_over_another_champion_than_the_compared_one_is_refused(store: Store) -> None:
    """The loser keeps its version, as a challenger."""
    token = champions.generation(store, DATASET)
    slow = nights.register(store, "slow")
    nights.night(store, "fast")
    with pytest.raises(Conflict, match=r"compared with the champion of generation 0, but by now it is generation 1"):
        nights.promote(store, slow, generation=token)
    assert champion_id(store) == "mnist/2"
    assert [version.id for version in versions.versions(store, DATASET)] == ["mnist/1", "mnist/2"]


def test_a_version_that_changed_is_not_promoted(store: Store) -> None:
    """Neither with a changed file nor with a changed file and a manifest to match, once the ledger knows it."""
    first, second = nights.night(store, "a"), nights.register(store, "b")
    flip(second.model)
    with pytest.raises(Corrupt, match=r"model.keras has changed"):
        nights.promote(store, second)
    third = nights.night(store, "c")
    flip(first.folder / MANIFEST)
    with pytest.raises(NightshiftError):
        champions.rollback(store, DATASET, to=first.id, **BY_ME)
    assert champion_id(store) == third.id
    assert champions.generation(store, DATASET) == 2


def test_a_rewritten_manifest_is_found_by_the_ledger(store: Store) -> None:
    """Who changes the model and recomputes the manifest would have to rewrite the ledger and the pointer as well."""
    version = nights.night(store, "a")
    flip(version.model)
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


def test_rollback_goes_back_one_champion_at_a_time_and_bars_what_it_leaves(store: Store) -> None:
    """3 -> 2 -> 1, never back to what was left; automatic promotion of the same weights is refused until lifted."""
    for label in "abc":
        nights.night(store, label)
    assert champions.rollback_target(store, DATASET).id == "mnist/2"
    entry = champions.rollback(store, DATASET, who="ada", why="it confuses 4 and 9")
    assert (entry.action, entry.from_version, entry.to_version, entry.generation) == (
        "rollback",
        "mnist/3",
        "mnist/2",
        4,
    )
    assert entry.digests["barred"] == nights.weights("c")
    assert champion_id(store) == "mnist/2"
    again = nights.register(store, "c", "another run")
    with pytest.raises(BadInput, match=r"mnist/4 is barred since .* by ada: it confuses 4 and 9"):
        nights.promote(store, again)
    assert champions.rollback(store, DATASET, **BY_ME).to_version == "mnist/1"
    with pytest.raises(BadInput, match="no earlier champion that is not barred"):
        champions.rollback(store, DATASET, **BY_ME)
    bars.lift(store, "mnist/3", who="ada", why="it was the camera")
    nights.promote(store, again)
    assert champion_id(store) == "mnist/4"


def test_a_rollback_may_name_any_version_and_lifts_its_bar(store: Store) -> None:
    """A mistaken rollback is undone by naming the version; it is then barred no more, and what it replaces is."""
    for label in "ab":
        nights.night(store, label)
    challenger = nights.register(store, "c")
    champions.rollback(store, DATASET, **BY_ME)
    entry = champions.rollback(store, DATASET, to="mnist/2", who="ada", why="that was a mistake")
    assert entry.digests["lifted"] == nights.weights("b")
    assert champion_id(store) == "mnist/2"
    assert list(ledger.barred(champions.history(store, DATASET))) == [nights.weights("a")]
    assert champions.rollback(store, DATASET, to=challenger.id, **BY_ME).to_version == "mnist/3"


def test_a_rollback_is_refused_with_a_reason(store: Store) -> None:
    """No champion, an unknown version, the champion itself, its twin, a stale token, no reason, a damaged target."""
    with pytest.raises(BadInput, match="no champion to roll back from"):
        champions.rollback(store, DATASET, **BY_ME)
    first = nights.night(store, "a")
    nights.night(store, "b")
    twin = nights.register(store, "b", "another run")
    with pytest.raises(UnknownName):
        champions.rollback(store, DATASET, to="mnist/9", **BY_ME)
    for same in ("mnist/2", twin.id):
        with pytest.raises(BadInput, match="is the model that is champion already"):
            champions.rollback(store, DATASET, to=same, **BY_ME)
    with pytest.raises(Conflict):
        champions.rollback(store, DATASET, generation=1, **BY_ME)
    with pytest.raises(BadInput, match="needs who and why"):
        champions.rollback(store, DATASET, who="me", why="")
    first.model.unlink()
    with pytest.raises(Corrupt, match=r"model.keras is missing"):
        champions.rollback(store, DATASET, **BY_ME)
    shutil.rmtree(first.folder)
    with pytest.raises(UnknownName):
        champions.rollback(store, DATASET, **BY_ME)
    assert champion_id(store) == "mnist/2"


def test_a_rollback_that_was_interrupted_after_the_move_may_be_repeated(store: Store) -> None:
    """With the target and the token it was begun with, it gives the same line and goes no further back."""
    for label in "abc":
        nights.night(store, label)
    entry = champions.rollback(store, DATASET, to="mnist/2", generation=3, **BY_ME)
    assert champions.rollback(store, DATASET, to="mnist/2", generation=3, **BY_ME) == entry
    assert champions.generation(store, DATASET) == 4


def test_a_rotten_champion_can_be_rolled_back(store: Store) -> None:
    """Bit rot is found when the champion is read; the way out does not need the rotten files."""
    nights.night(store, "a")
    second = nights.night(store, "b")
    flip(second.model)
    with pytest.raises(Corrupt, match=r"model.keras has changed"):
        champions.champion(store, DATASET)
    assert champions.champion_id(store, DATASET) == "mnist/2"
    assert [(found.subject, found.serious) for found in find_problems(store)] == [("mnist/2", True)]
    champions.rollback(store, DATASET, who="me", why="rotten")
    assert champion_id(store) == "mnist/1"
    shutil.rmtree(second.folder)
    assert nights.register(store, "c").number == 3


def test_a_forced_promotion_is_written_down_as_one_and_lifts_a_bar(store: Store) -> None:
    """The gate's rule says that a person gave a reason."""
    nights.night(store, "a")
    nights.night(store, "b")
    champions.rollback(store, DATASET, **BY_ME)
    forced = nights.register(store, "b", "by hand", decision=nights.decision(rule="forced", mode="force"))
    entry = nights.promote(store, forced, who="ada", why="the shop needs it")
    assert (entry.action, entry.who, entry.why) == ("force", "ada", "the shop needs it")
    assert ledger.barred(champions.history(store, DATASET)) == {}
    assert_hold(store, ("mnist/3",))


def test_bar_and_lift_by_hand(store: Store) -> None:
    """Any version but the champion can be barred, once; lifting needs a bar."""
    nights.night(store, "a")
    challenger = nights.register(store, "b")
    with pytest.raises(BadInput, match="mnist/1 is champion"):
        bars.bar(store, "mnist/1", **BY_ME)
    with pytest.raises(BadInput, match="mnist/2 is not barred"):
        bars.lift(store, "mnist/2", **BY_ME)
    entry = bars.bar(store, "mnist/2", **BY_ME)
    assert bars.bar(store, "mnist/2", who="somebody else", why="too") == entry
    with pytest.raises(BadInput, match="is barred"):
        nights.promote(store, challenger)
    bars.lift(store, "mnist/2", **BY_ME)
    nights.promote(store, challenger)
    assert champion_id(store) == "mnist/2"


def test_holds_and_rejections_are_written_once_per_run_and_weights(store: Store) -> None:
    """They name the champion they were compared with, move nothing, and count as looks at the test set."""
    nights.night(store, "a")
    where = nights.provenance("b", "run-b")
    held: dict[str, Any] = {
        "decision": nights.decision("HOLD", "inside-noise"),
        "provenance": where,
        "who": "schedule",
        "why": "noise",
    }
    entry = champions.record(store, DATASET, "hold", **held)
    assert champions.record(store, DATASET, "hold", **held) == entry
    assert (entry.from_version, entry.to_version, entry.generation) == ("mnist/1", None, None)
    assert (entry.verdict, entry.run_id, entry.digests["weights"]) == ("HOLD", "run-b", nights.weights("b"))
    assert len(ledger.decided(champions.history(store, DATASET), where.test_digest)) == 2
    assert champion_id(store) == "mnist/1"
    for action, verdict in (("promote", "PROMOTE"), ("hold", "REJECT"), ("reject", "HOLD")):
        with pytest.raises(BadInput):
            champions.record(store, DATASET, action, **held | {"decision": nights.decision(verdict)})
    with pytest.raises(BadInput, match="dry run"):
        champions.record(store, DATASET, "hold", **held | {"decision": nights.decision("HOLD", mode="dry-run")})


# -- the story --------------------------------------------------------------------------------------------------------


def test_who_was_champion_on_a_day_follows_the_order_of_events_though_the_clock_jumps(store: Store) -> None:
    """A clock that ran a year ahead for one night, and one set back by an hour, do not change the order."""
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    nights.night(store, "a", when=noon)
    nights.night(store, "b", when=noon + timedelta(days=365))
    nights.night(store, "c", when=noon + timedelta(days=1))
    nights.night(store, "d", when=noon + timedelta(hours=23))

    def at(when: datetime) -> str | None:
        entry = champions.champion_at(store, DATASET, when)
        return entry.to_version if entry else None

    assert at(noon - timedelta(seconds=1)) is None
    assert at(noon) == "mnist/1"
    assert at(noon + timedelta(hours=22)) == "mnist/1"
    assert at(noon + timedelta(hours=23)) == "mnist/4"
    assert at(noon + timedelta(days=2)) == "mnist/4"
    assert at(noon + timedelta(days=400)) == champion_id(store) == "mnist/4"
    assert at((noon + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-8)))) == "mnist/1"
    with pytest.raises(BadInput, match="no time zone"):
        at(datetime(2026, 11, 20))


def test_why_tells_the_whole_story_of_a_version(store: Store) -> None:
    """Its decision, and the lines that made it champion, replaced it, and concern its weights."""
    nights.night(store, "a")
    nights.night(store, "b")
    nights.night(store, "c")
    champions.rollback(store, DATASET, to="mnist/1", **BY_ME)
    story = champions.version_history(store, "mnist/1")
    assert story.decision == nights.decision()
    assert [entry.action for entry in story.entries] == ["promote", "promote", "rollback"]
    assert [entry.action for entry in champions.version_history(store, "mnist/3").entries] == ["promote", "rollback"]
    with pytest.raises(UnknownName):
        champions.version_history(store, "mnist/8")


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
        champions.rollback(store, DATASET, to="kmnist/1", **BY_ME)
    shutil.copytree(version.folder, store.versions(DATASET) / "2")
    with pytest.raises(Corrupt, match="has the manifest of kmnist/1"):
        versions.find(store, "mnist/2")
    assert len(versions.versions(store, DATASET)) == 1


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(store: Store) -> Store:
    """A home with two versions, the second of them champion."""
    nights.night(store, "a")
    nights.night(store, "b")
    return store


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
    assert champion_id(two) == "mnist/2"
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
    assert champion_id(two) == "mnist/2"


def test_a_pointer_from_an_old_backup_is_refused(two: Store) -> None:
    """An old generation would bring back what was replaced, without a line that says so."""
    path = two.champion(DATASET)
    old = path.read_bytes()
    champions.rollback(two, DATASET, **BY_ME)
    path.write_bytes(old)
    with pytest.raises(Corrupt, match="older than the ledger: it names mnist/2, the ledger mnist/1"):
        champions.champion(two, DATASET)
    repair(two, DATASET)
    assert champion_id(two) == "mnist/1"


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
    assert champion_id(two) == "mnist/2"


def test_a_ledger_that_lost_lines_is_refused_and_not_repaired(two: Store) -> None:
    """The pointer remembers the newest move: a ledger that is too short for it is found. One line short is mended."""
    path = two.ledger(DATASET)
    content = path.read_bytes().splitlines(keepends=True)
    champions.rollback(two, DATASET, **BY_ME)
    path.write_bytes(b"".join(content[:1]))
    for operation in (champions.champion, repair):
        with pytest.raises(Corrupt, match="disagree: line 3"):
            operation(two, DATASET)
    path.write_bytes(b"".join(content))
    assert champion_id(two) == "mnist/1"
    assert [(found.serious, found.subject) for found in find_problems(two)] == [(False, "the ledger of mnist")]
    assert repair(two, DATASET) == ["wrote line 3, which only the pointer had, into the ledger"]
    assert len(ledger.read(two, DATASET)) == 3


def test_a_broken_ledger_stops_everything_that_relies_on_it(two: Store) -> None:
    """Nothing is promoted on top of a story that was changed."""
    path = two.ledger(DATASET)
    path.write_bytes(path.read_bytes().replace(b"schedule", b"somebody"))
    for operation in (champions.champion, repair):
        with pytest.raises(Corrupt, match="broken at line 1"):
            operation(two, DATASET)
    assert {found.subject for found in find_problems(two)} == {"the champion of mnist", "the ledger of mnist"}


def test_verify_names_everything_that_is_wrong(two: Store) -> None:
    """Half versions, damaged files, debris and damaged published folders, each with what to do; all else is well."""
    assert find_problems(two) == []
    with two.ledger(DATASET).open("ab") as stream:
        stream.write(b"{")
    assert [found.serious for found in find_problems(two)] == [False]
    assert repair(two, DATASET) == [f"removed the torn last line of {two.ledger(DATASET)}"]
    first = versions.find(two, "mnist/1")
    flip(first.folder / "metrics.json")
    (two.versions(DATASET) / "3").mkdir()
    (two.versions(DATASET) / "notes").mkdir()
    (nights.candidate(two, "c", "run-c") / "extra").write_bytes(b"x")
    (two.models() / "Not A Name").mkdir()
    findings = {found.subject: found for found in find_problems(two)}
    assert "metrics.json has changed" in findings["mnist/1"].problem
    assert "expected a complete version" in findings["mnist/3"].problem
    assert "expected a complete version" in findings["mnist/notes"].problem
    assert "not a valid name of a dataset" in findings["models/Not A Name"].problem
    assert "extra was added" in findings[next(name for name in findings if name.startswith("trained/"))].problem
    assert len(findings) == 5
    assert all(found.hint and found.to_json()["subject"] == found.subject for found in findings.values())
    assert champion_id(two) == "mnist/2"
    shutil.rmtree(first.folder)
    assert any("its folder is missing" in found.problem for found in find_problems(two))


def test_verify_reports_debris_as_harmless(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crashed run left behind is counted, and the next sweep removes it."""
    debris = two.scratch()
    debris.mkdir()
    tomorrow = debris.stat().st_mtime + 25 * 3600
    monkeypatch.setattr("time.time", lambda: tomorrow)
    assert [(found.subject, found.serious) for found in find_problems(two)] == [(f"tmp/{debris.name}", False)]
    assert two.sweep() == [debris]
    assert find_problems(two) == []


def test_a_rollback_waits_for_a_registration_that_is_under_way(two: Store) -> None:
    """The lock serialises them: both happen, whole, one after the other."""
    nights.candidate(two, "c", "run-c")
    barrier, versions = threading.Barrier(2), []

    def registering() -> None:
        barrier.wait(10)
        versions.append(nights.register(two, "c"))

    thread = threading.Thread(target=registering)
    thread.start()
    barrier.wait(10)
    champions.rollback(two, DATASET, **BY_ME)
    thread.join(30)
    assert [version.id for version in versions] == ["mnist/3"]
    assert_hold(two, ("mnist/1",))
    assert_clean(two)


def test_reading_needs_no_right_to_write(two: Store) -> None:
    """Nothing appears in the home while it is read."""
    before = nights.tree(two.root)
    champions.champion(two, DATASET)
    versions.versions(two, DATASET)
    champions.version_history(two, "mnist/1")
    champions.rollback_target(two, DATASET)
    find_problems(two)
    assert nights.tree(two.root) == before


# -- any order of anything --------------------------------------------------------------------------------------------


class Registry(RuleBasedStateMachine):
    """Registrations, promotions, rollbacks, bars, lifts, holds and crashes in any order, beside a model of them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=nights.MEMORY)
        self.store = Store(Path(self.folder.name) / "home")
        self.labels: list[str] = []  # by version number - 1
        self.moves: list[int] = []
        self.barred: set[str] = set()
        self.lines = 0

    def teardown(self) -> None:
        """Remove the home."""
        self.folder.cleanup()

    def moved(self, number: int) -> None:
        """What a successful move does to the model."""
        self.moves.append(number)
        self.barred.discard(self.labels[number - 1])
        self.lines += 1

    def name(self, data: st.DataObject) -> int:
        """Any version's number."""
        return data.draw(st.integers(1, len(self.labels)))

    @property
    def champion(self) -> str | None:
        """The label of the champion's weights."""
        return self.labels[self.moves[-1] - 1] if self.moves else None

    @initialize()
    def begin(self) -> None:
        """There is one version."""
        self.register("a")

    @rule(label=st.sampled_from("abcd"))
    def register(self, label: str) -> None:
        """A new run, perhaps with weights that were seen before."""
        version = nights.register(self.store, label, f"run-{len(self.labels)}")
        self.labels.append(label)
        assert version.number == len(self.labels)

    @rule(data=st.data(), stale=st.booleans())
    def promote(self, data: st.DataObject, stale: bool) -> None:
        """Any version, with the right token or an old one."""
        number = self.name(data)
        version = versions.find(self.store, f"mnist/{number}")
        token = len(self.moves) - stale
        if self.moves and self.moves[-1] == number:
            assert nights.promote(self.store, version, generation=token).to_version == version.id
        elif stale:
            with pytest.raises(Conflict):
                nights.promote(self.store, version, generation=token)
        elif self.labels[number - 1] in self.barred:
            with pytest.raises(BadInput):
                nights.promote(self.store, version, generation=token)
        else:
            nights.promote(self.store, version, generation=token)
            self.moved(number)

    @precondition(lambda self: self.moves)
    @rule(data=st.data(), named=st.booleans())
    def rollback(self, data: st.DataObject, named: bool) -> None:
        """To a named version, or to the newest earlier champion that is neither barred nor the same model."""
        number = self.name(data) if named else None
        if number is None:
            refused = {*self.barred, self.champion}
            number = next((past for past in reversed(self.moves) if self.labels[past - 1] not in refused), None)
        if number is None or self.labels[number - 1] == self.champion:
            last = champions.history(self.store, DATASET)
            repeated = number == self.moves[-1] and [e for e in last if e.generation][-1].action == "rollback"
            if not (named and repeated):
                with pytest.raises(BadInput):
                    champions.rollback(self.store, DATASET, to=f"mnist/{number}" if named else None, **BY_ME)
            return
        left = self.champion
        champions.rollback(self.store, DATASET, to=f"mnist/{number}" if named else None, **BY_ME)
        self.moved(number)
        assert left is not None
        self.barred.add(left)

    @rule(data=st.data())
    def bar(self, data: st.DataObject) -> None:
        """Any version; refused for the champion's model."""
        number = self.name(data)
        label = self.labels[number - 1]
        if label == self.champion:
            with pytest.raises(BadInput):
                bars.bar(self.store, f"mnist/{number}", **BY_ME)
            return
        bars.bar(self.store, f"mnist/{number}", **BY_ME)
        self.lines += label not in self.barred
        self.barred.add(label)

    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        """Any version; refused where there is no bar."""
        number = self.name(data)
        label = self.labels[number - 1]
        if label not in self.barred:
            with pytest.raises(BadInput):
                bars.lift(self.store, f"mnist/{number}", **BY_ME)
            return
        bars.lift(self.store, f"mnist/{number}", **BY_ME)
        self.lines += 1
        self.barred.discard(label)

    @rule(verdict=st.sampled_from(["HOLD", "REJECT"]), label=st.sampled_from("abcd"))
    def decide(self, verdict: str, label: str) -> None:
        """A night without a promotion."""
        champions.record(
            self.store,
            DATASET,
            verdict.lower(),
            decision=nights.decision(verdict),
            provenance=nights.provenance(label, f"night-{self.lines}"),
            **BY_ME,
        )
        self.lines += 1

    @precondition(lambda self: self.moves)
    @rule()
    def crash_before_the_line(self) -> None:
        """A pointer that moved and a ledger that does not know: the newest line is cut off if it is a move."""
        path = self.store.ledger(DATASET)
        content = path.read_bytes().splitlines(keepends=True)
        if content and content[-1].endswith(b"\n") and json.loads(content[-1])["generation"]:
            path.write_bytes(b"".join(content[:-1]) + content[-1][:20])

    @precondition(lambda self: self.moves)
    @rule()
    def lose_the_pointer(self) -> None:
        """A lost pointer, with everything in the ledger, is rebuilt as it was."""
        repair(self.store, DATASET)
        path = self.store.champion(DATASET)
        before = path.read_bytes()
        path.unlink()
        assert pointer.lock_name(DATASET)
        repair(self.store, DATASET)
        assert path.read_bytes() == before

    @invariant()
    def agrees_with_the_model(self) -> None:
        """Champion, bars, numbers and the length of the story are the model's."""
        expected = f"mnist/{self.moves[-1]}" if self.moves else None
        assert_hold(self.store, (expected,))
        entries = champions.history(self.store, DATASET)
        assert len(entries) == self.lines
        assert set(ledger.barred(entries)) == {nights.weights(label) for label in self.barred}
        assert self.champion not in self.barred
        assert numbers(self.store, DATASET) == tuple(range(1, len(self.labels) + 1))


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
