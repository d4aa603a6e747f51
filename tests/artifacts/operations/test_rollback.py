"""Rolling back: the earlier version is served and scored again first."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.gate.policy import Policy
from artifacts.operations import rollback
from artifacts.registry import champions, ledger
from artifacts.registry.pointer import RegistryLost
from artifacts.serving import check
from artifacts.serving.check import Budgets, InfraResult
from data.errors import BadInput, Broken, Conflict, UnknownName
from tests.artifacts.registry import nights
from tests.artifacts.trained import LENIENT, SAMPLE, TrainedHome


class Served:
    """A serving check that always gives the same result, so that no process is started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.result = InfraResult(True, "reproduced 64 recorded answers", "")
        self.budgets: list[Budgets] = []
        self.folders: list[Path] = []
        monkeypatch.setattr(check, "start_infra_check", self.start)

    @contextmanager
    def start(self, budgets: Budgets) -> Iterator["Served"]:
        """Take the place of `start_infra_check`."""
        self.budgets.append(budgets)
        yield self

    def finish(self, folder: Path) -> InfraResult:
        """Give the result, and remember what was asked about."""
        self.folders.append(folder)
        return self.result


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """The serving check of the test."""
    return Served(monkeypatch)


def champion(home: TrainedHome) -> str | None:
    """The champion's name."""
    return champions.champion_id(home.store, SAMPLE)


def test_a_version_that_passes_its_checks_is_champion_again(trained: TrainedHome, served: Served) -> None:
    """It is served within the limits of its own policy and scored, then the pointer moves and the old one is barred."""
    first = trained.promote(0, replace(LENIENT, max_latency_ms=123.0))
    trained.promote(1)
    entry = rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert (entry.action, entry.from_version, entry.to_version) == ("rollback", f"{SAMPLE}/2", first.id)
    assert served.folders == [first.folder]
    assert served.budgets[0].latency_ms == 123.0
    assert champion(trained) == first.id


def test_a_version_below_the_accuracy_of_its_policy_is_refused(trained: TrainedHome, served: Served) -> None:
    """The accuracy it was promoted under is required again; nothing moves, and it is not even served."""
    trained.promote(0, Policy(min_accuracy=1.0))
    trained.promote(1)
    with pytest.raises(
        BadInput, match=r"mnist-sample/1 gets \d\d\.\d\d % of today's test images right, required are 100"
    ):
        rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert served.folders == []
    assert champion(trained) == f"{SAMPLE}/2"


def test_the_required_accuracy_itself_is_enough(trained: TrainedHome) -> None:
    """A version that reaches exactly what is required passes."""
    version = trained.promote(0)
    accuracy = trained.trained[0].test.accuracy
    rollback.require_accuracy(trained.store, version.id, trained.prepared, version, accuracy)
    with pytest.raises(BadInput, match="required are"):
        rollback.require_accuracy(trained.store, version.id, trained.prepared, version, accuracy + 0.001)


@pytest.mark.fault("F-29")
def test_a_version_that_does_not_serve_is_refused(trained: TrainedHome, served: Served) -> None:
    """The serving check's message is the reason, and nothing moves."""
    trained.promote(0)
    trained.promote(1)
    served.result = replace(served.result, passed=False, message="it takes 99 s to load (at most 20.0)")
    with pytest.raises(BadInput, match="mnist-sample/1 fails the serving check: it takes 99 s to load"):
        rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert champion(trained) == f"{SAMPLE}/2"


def test_a_damaged_champion_can_be_rolled_back_from(trained: TrainedHome, served: Served) -> None:
    """Which images to score on is read from the ledger, not from the champion's folder."""
    trained.promote(0)
    damaged = trained.promote(1)
    for path in damaged.folder.iterdir():
        nights.flip(path)
    rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert champion(trained) == f"{SAMPLE}/1"
    assert len(served.folders) == 1


def test_without_the_test_images_there_is_no_rollback(trained: TrainedHome, served: Served) -> None:
    """The message says how to prepare them again."""
    trained.promote(0)
    trained.promote(1)
    (trained.store.prepared(trained.prepared.digest) / "test.parquet").unlink()
    with pytest.raises(Broken, match="the data that mnist-sample/2 was judged by are not on disk") as refused:
        rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert "nightshift retrain mnist-sample --mode dry-run" in refused.value.hint
    assert served.folders == []


@pytest.mark.fault("F-21")
def test_a_champion_that_changes_meanwhile_is_not_replaced(trained: TrainedHome, served: Served) -> None:
    """A rollback that took the serving check's time is refused if somebody else was faster."""
    trained.promote(0)
    trained.promote(1)
    result = served.result

    def finish(folder: Path) -> InfraResult:
        trained.promote(0)
        return result

    served.finish = finish  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert [entry.action for entry in champions.history(trained.store, SAMPLE)] == ["promote"] * 3


def test_a_version_that_does_not_exist_is_refused(trained: TrainedHome, served: Served) -> None:
    """Before a process is started."""
    trained.promote(0)
    with pytest.raises(UnknownName, match="mnist-sample/9"):
        rollback.roll_back(trained.store, SAMPLE, to=f"{SAMPLE}/9", **nights.BY_ME)
    assert served.budgets == []


def test_a_rollback_that_is_given_again_goes_back_once(trained: TrainedHome, served: Served) -> None:
    """Killed after the change, or its answer lost: the same words again change nothing, and say so."""
    for number in (0, 1, 0):
        trained.promote(number)
    before = rollback.lines_so_far(trained.store, SAMPLE)
    entry = rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert rollback.sentence(entry, before).endswith(
        f"is champion of {SAMPLE} again; {SAMPLE}/1 is barred from promotion"
    )
    before = rollback.lines_so_far(trained.store, SAMPLE)
    again = rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert again == entry
    assert f"{SAMPLE}/2 is champion of {SAMPLE} already: me rolled back on" in rollback.sentence(again, before)
    assert rollback.roll_back(trained.store, SAMPLE, to=f"{SAMPLE}/2", who="ada", why="other words") == entry
    assert champion(trained) == f"{SAMPLE}/2"
    assert len(served.folders) == 1


def test_a_rollback_whose_line_is_not_written_yet_is_done(
    trained: TrainedHome, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds it half done, in whatever words: the line is written, and nobody goes back twice."""
    for number in (0, 1, 0):
        trained.promote(number)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    entry = rollback.roll_back(trained.store, SAMPLE, who="ada", why="it is wrong")
    assert (entry.who, entry.to_version) == ("me", f"{SAMPLE}/2")
    assert ledger.read(trained.store, SAMPLE)[-1] == entry
    assert champion(trained) == f"{SAMPLE}/2"


def test_a_lost_registry_begins_again_with_the_version_that_a_person_names(
    trained: TrainedHome, served: Served
) -> None:
    """Without pointer and ledger no night counts as the first; a named version is checked, and is champion again."""
    trained.promote(0)
    trained.promote(1)
    for path in (trained.store.champion(SAMPLE), trained.store.ledger(SAMPLE)):
        path.unlink()
    with pytest.raises(RegistryLost, match="neither a champion pointer nor a promotion") as lost:
        rollback.roll_back(trained.store, SAMPLE, **nights.BY_ME)
    assert f"nightshift rollback {SAMPLE} --to VERSION --reason WHY" in lost.value.hint
    entry = rollback.roll_back(trained.store, SAMPLE, to=f"{SAMPLE}/2", **nights.BY_ME)
    assert rollback.sentence(entry, 0) == f"{SAMPLE}/2 is champion of {SAMPLE} again"
    assert champion(trained) == f"{SAMPLE}/2"
    assert [folder.name for folder in served.folders] == ["2"]
    trained.promote(0)
    assert champion(trained) == f"{SAMPLE}/1"
