"""Which versions a rollback may need, and whether they load."""

import pytest

from artifacts.operations import loads
from artifacts.operations.verify import check_home
from artifacts.registry import bars, champions
from artifacts.serving import check
from artifacts.serving.check import InfraResult
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import DATASET
from tests.artifacts.trained import TrainedHome


def test_the_champion_and_earlier_ones_that_are_not_barred_may_be_needed(store: Store) -> None:
    """The newest first; a version that never was champion, or whose weights are barred, is not among them."""
    for label in "abcd":
        nights.night(store, label)
    nights.register(store, "e")
    champions.rollback(store, DATASET, **nights.BY_ME)
    bars.bar(store, "mnist/1", **nights.BY_ME)
    assert [version.id for version in loads.for_rollback(store, DATASET)] == ["mnist/3", "mnist/2"]


def test_a_version_that_no_longer_loads_is_a_finding(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is loaded in a fresh process; without `load` nothing is loaded, and nothing is said about it."""
    asked = []

    def infra_check(folder: object, budgets: check.Budgets) -> InfraResult:
        asked.append(folder)
        message = "Unloadable: model.keras is as it was written, but Keras 3.16.0 cannot load it\n  -> install"
        return InfraResult(False, message, "")

    monkeypatch.setattr(check, "infra_check", infra_check)
    assert "versions loaded" not in check_home(two).counts
    report = check_home(two, load=True)
    assert report.counts["versions loaded"] == len(asked) == 2
    assert [(one.subject, one.problem.splitlines()) for one in report.serious] == [
        (name, ["Unloadable: model.keras is as it was written, but Keras 3.16.0 cannot load it"])
        for name in ("mnist/2", "mnist/1")
    ]


@pytest.mark.slow
def test_versions_that_load_are_no_findings(trained: TrainedHome) -> None:
    """Real models, each in a fresh process; one that another Keras would refuse is named beside the one that loads."""
    trained.promote(0)
    other = trained.promote(1)
    report = check_home(trained.store, load=True)
    assert report.findings == ()
    assert report.counts["versions loaded"] == 2
    assert [subject.name for subject in loads.LOADED.subjects(trained.store)] == [other.id, "mnist-sample/1"]
