import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from artifacts.models.provenance import CHECKOUT
from artifacts.operations.verify import find_problems
from artifacts.registry import bars, champions, ledger, versions
from artifacts.upkeep.repair import repair
from data.errors import BadInput, Conflict, Corrupt, NightshiftError, UnknownName
from data.home.store import MANIFEST, Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.invariants import assert_clean, assert_hold
from tests.artifacts.registry.nights import DATASET


@pytest.mark.fault("F-28")
@pytest.mark.parametrize("name", ["..", ".", "../x", "a/b", "", "A", ".hidden", "-x", "x" * 101])
def test_a_dataset_name_that_leaves_the_home_is_refused(store: Store, name: str) -> None:
    """Names are checked before they become paths, for readers and writers alike."""
    for operation in (champions.champion, versions.versions, champions.history, repair):
        with pytest.raises(BadInput):
            operation(store, name)
    assert not store.root.exists()


@pytest.mark.fault("F-28")
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
    assert nights.champion_id(store) == version.id


def test_the_registry_opens_without_keras_prefect_or_numpy() -> None:
    """A fresh interpreter reads the registry with nothing but Python."""
    heavy = ("keras", "tensorflow", "prefect", "great_expectations", "numpy", "pyarrow", "pandas")
    imported = "artifacts.registry.champions, artifacts.operations.verify"
    code = f"import sys, {imported}; print(*sys.modules.keys() & set({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_the_first_night_has_a_champion_and_a_line(store: Store) -> None:
    """From no champion to one, with the numbers that decided."""
    assert champions.champion(store, DATASET) is None
    assert champions.generation(store, DATASET) == 0
    version = nights.register(store, "a")
    entry = nights.promote(store, version, who="schedule", why="first night")
    assert nights.champion_id(store) == "mnist/1"
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
    assert nights.champion_id(store) == "mnist/2"
    assert [version.id for version in versions.versions(store, DATASET)] == ["mnist/1", "mnist/2"]


@pytest.mark.fault("F-26")
def test_a_version_that_changed_is_not_promoted(store: Store) -> None:
    """Neither with a changed file nor with a changed file and a manifest to match, once the ledger knows it."""
    first, second = nights.night(store, "a"), nights.register(store, "b")
    nights.flip(second.model)
    with pytest.raises(Corrupt, match=r"model.keras has changed"):
        nights.promote(store, second)
    third = nights.night(store, "c")
    nights.flip(first.folder / MANIFEST)
    with pytest.raises(NightshiftError):
        champions.rollback(store, DATASET, to=first.id, **nights.BY_ME)
    assert nights.champion_id(store) == third.id
    assert champions.generation(store, DATASET) == 2


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
    assert nights.champion_id(store) == "mnist/2"
    again = nights.register(store, "c", "another run")
    with pytest.raises(BadInput, match=r"mnist/4 is barred since .* by ada: it confuses 4 and 9"):
        nights.promote(store, again)
    assert champions.rollback(store, DATASET, **nights.BY_ME).to_version == "mnist/1"
    with pytest.raises(BadInput, match="no earlier champion that is not barred"):
        champions.rollback(store, DATASET, **nights.BY_ME)
    bars.lift(store, "mnist/3", who="ada", why="it was the camera")
    nights.promote(store, again)
    assert nights.champion_id(store) == "mnist/4"


def test_a_rollback_may_name_any_version_and_lifts_its_bar(store: Store) -> None:
    """A mistaken rollback is undone by naming the version; it is then barred no more, and what it replaces is."""
    for label in "ab":
        nights.night(store, label)
    challenger = nights.register(store, "c")
    champions.rollback(store, DATASET, **nights.BY_ME)
    entry = champions.rollback(store, DATASET, to="mnist/2", who="ada", why="that was a mistake")
    assert entry.digests["lifted"] == nights.weights("b")
    assert nights.champion_id(store) == "mnist/2"
    assert list(ledger.barred(champions.history(store, DATASET))) == [nights.weights("a")]
    assert champions.rollback(store, DATASET, to=challenger.id, **nights.BY_ME).to_version == "mnist/3"


@pytest.mark.fault("F-29")
def test_a_rollback_is_refused_with_a_reason(store: Store) -> None:
    """No champion, an unknown version, the champion itself, its twin, a stale token, no reason, a damaged target."""
    with pytest.raises(BadInput, match="no champion to roll back from"):
        champions.rollback(store, DATASET, **nights.BY_ME)
    first = nights.night(store, "a")
    nights.night(store, "b")
    twin = nights.register(store, "b", "another run")
    with pytest.raises(UnknownName):
        champions.rollback(store, DATASET, to="mnist/9", **nights.BY_ME)
    for same in ("mnist/2", twin.id):
        with pytest.raises(BadInput, match="is the model that is champion already"):
            champions.rollback(store, DATASET, to=same, **nights.BY_ME)
    with pytest.raises(Conflict):
        champions.rollback(store, DATASET, generation=1, **nights.BY_ME)
    with pytest.raises(BadInput, match="needs who and why"):
        champions.rollback(store, DATASET, who="me", why="")
    first.model.unlink()
    with pytest.raises(Corrupt, match=r"model.keras is missing"):
        champions.rollback(store, DATASET, **nights.BY_ME)
    shutil.rmtree(first.folder)
    with pytest.raises(UnknownName):
        champions.rollback(store, DATASET, **nights.BY_ME)
    assert nights.champion_id(store) == "mnist/2"


def test_a_rollback_that_was_interrupted_after_the_move_may_be_repeated(store: Store) -> None:
    """With the target and the token it was begun with, it gives the same line and goes no further back."""
    for label in "abc":
        nights.night(store, label)
    entry = champions.rollback(store, DATASET, to="mnist/2", generation=3, **nights.BY_ME)
    assert champions.rollback(store, DATASET, to="mnist/2", generation=3, **nights.BY_ME) == entry
    assert champions.generation(store, DATASET) == 4


def test_a_damaged_champion_can_be_rolled_back(store: Store) -> None:
    """Bit rot is found when the champion is read; the way out does not need the damaged files."""
    nights.night(store, "a")
    second = nights.night(store, "b")
    nights.flip(second.model)
    with pytest.raises(Corrupt, match=r"model.keras has changed"):
        champions.champion(store, DATASET)
    assert champions.champion_id(store, DATASET) == "mnist/2"
    assert [(found.subject, found.serious) for found in find_problems(store)] == [("mnist/2", True)]
    champions.rollback(store, DATASET, who="me", why="rotten")
    assert nights.champion_id(store) == "mnist/1"
    shutil.rmtree(second.folder)
    assert nights.register(store, "c").number == 3


def test_a_forced_promotion_is_written_down_as_one_and_lifts_a_bar(store: Store) -> None:
    """The gate's rule says that a person gave a reason."""
    nights.night(store, "a")
    nights.night(store, "b")
    champions.rollback(store, DATASET, **nights.BY_ME)
    forced = nights.register(store, "b", "by hand", decision=nights.decision(rule="forced", mode="force"))
    entry = nights.promote(store, forced, who="ada", why="the shop needs it")
    assert (entry.action, entry.who, entry.why) == ("force", "ada", "the shop needs it")
    assert ledger.barred(champions.history(store, DATASET)) == {}
    assert_hold(store, ("mnist/3",))


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
    assert nights.champion_id(store) == "mnist/1"
    for action, verdict in (("promote", "PROMOTE"), ("hold", "REJECT"), ("reject", "HOLD")):
        with pytest.raises(BadInput):
            champions.record(store, DATASET, action, **held | {"decision": nights.decision(verdict)})
    with pytest.raises(BadInput, match="dry run"):
        champions.record(store, DATASET, "hold", **held | {"decision": nights.decision("HOLD", mode="dry-run")})


@pytest.mark.fault("F-39")
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
    assert at(noon + timedelta(days=400)) == nights.champion_id(store) == "mnist/4"
    assert at((noon + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-8)))) == "mnist/1"
    with pytest.raises(BadInput, match="no time zone"):
        at(datetime(2026, 11, 20))


def test_the_history_of_a_version_has_every_line_about_it(store: Store) -> None:
    """Its decision, and the lines that made it champion, replaced it, and concern its weights."""
    nights.night(store, "a")
    nights.night(store, "b")
    nights.night(store, "c")
    champions.rollback(store, DATASET, to="mnist/1", **nights.BY_ME)
    found = champions.version_history(store, "mnist/1")
    assert found.decision == nights.decision()
    assert [entry.action for entry in found.entries] == ["promote", "promote", "rollback"]
    assert [entry.action for entry in champions.version_history(store, "mnist/3").entries] == ["promote", "rollback"]
    with pytest.raises(UnknownName):
        champions.version_history(store, "mnist/8")


@pytest.mark.fault("F-29")
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
    champions.rollback(two, DATASET, **nights.BY_ME)
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
