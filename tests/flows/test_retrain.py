"""Nights from end to end, in one process and on a server of the tests' own: the bundled sample, the tiny recipe."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.testing.utilities import prefect_test_harness

from artifacts.gate.policy import policy_for
from artifacts.models import loading
from artifacts.operations.rollback import roll_back
from artifacts.operations.verify import find_problems
from artifacts.registry import champions, versions
from artifacts.reporting.measured import NIGHT
from artifacts.reporting.report import PAGE, REPORT
from artifacts.reporting.summary import NightReport
from artifacts.serving import check, probe
from data import adding, catalogue
from data.errors import BadInput, DataRefused, TrainingFailed
from data.home import journal
from data.home.store import Store
from data.importing.options import ImportOptions
from flows.approve import approve
from flows.retrain import retrain
from flows.settings import temporary_home
from tests.samples import write_idx_folder

pytestmark = pytest.mark.slow

SAMPLE = "mnist-sample"


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """A Prefect server that nobody else uses."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def empty_home() -> Iterator[Store]:
    """A home that is removed after the test."""
    with temporary_home() as settings:
        yield settings.store


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, server: None) -> tuple[Store, NightReport]:
    """A home after its first night, in which nothing was there to be used again, and the night's report."""
    with temporary_home() as settings:
        report = night()
        kept = shutil.copytree(settings.home, tmp_path_factory.mktemp("first") / "home")
    return Store(Path(kept)), report


@pytest.fixture
def home(first: tuple[Store, NightReport], empty_home: Store) -> Store:
    """A home in which the sample is prepared and `tiny` is trained, but nothing is decided; removed after the test."""
    for kind in ("raw", "validations", "prepared", "trained"):
        shutil.copytree(first[0].root / kind, empty_home.root / kind)
    return empty_home


class ProbeHere:
    """The serving check's child process, without the process: importing TensorFlow once more takes ten seconds."""

    def __init__(self, *_: object) -> None:
        """Start nothing."""

    def ask(self, request: dict[str, Any], **_: object) -> dict[str, Any]:
        """Measure the model in the folder."""
        return probe.measure(Path(request["folder"]))

    def close(self) -> None:
        """End nothing."""


@pytest.fixture
def probed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the serving check measure in this process; the first night and the rollback start a fresh one."""
    monkeypatch.setattr(check, "ChildProcess", ProbeHere)


def night(dataset: str = SAMPLE, recipe: str = "tiny", **parameters: object) -> NightReport:
    """Run one night and return its report, or raise the error that stopped it."""
    state = retrain(dataset, [recipe], device="cpu", return_state=True, **parameters)
    summary: NightReport = state.result()
    assert state.name == ("Promoted" if summary.promoted else "Not promoted")
    return summary


@pytest.mark.fault("F-45")
def test_the_first_night_promotes_and_the_second_says_why_not(
    first: tuple[Store, NightReport], empty_home: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first model that meets the requirements is champion; the same model again is recognised, nothing changes.

    The champion has answered as recorded today, so no model is loaded for that.
    """
    before, one = first
    shutil.copytree(before.root, empty_home.root, dirs_exist_ok=True)
    monkeypatch.setattr(loading, "load_recorded", lambda *_: pytest.fail("a model was loaded"))
    monkeypatch.setattr(check, "ChildProcess", lambda *_: pytest.fail("a process was started"))
    two = night()
    assert (one.headline, one.champion_before, one.champion_after) == ("PROMOTED", None, f"{SAMPLE}/1")
    assert two.headline == "NOT PROMOTED (UNCHANGED)"
    assert f"this exact model is {SAMPLE}/1" in two.reason
    assert two.candidates[0].reused
    (line,) = champions.history(empty_home, SAMPLE)
    assert one.ledger == two.ledger == f"1 {line.hash}"
    assert one.decided == two.decided == 1
    assert [test.passed for test in two.self_tests] == [True] * len(two.self_tests)
    assert len(two.self_tests) >= 3


def test_a_night_leaves_a_report_with_figures(first: tuple[Store, NightReport]) -> None:
    """The report opens with the verdict, shows the catch table, and the page beside it has the figures."""
    home, report = first
    folder = home.run(report.run)
    text = (folder / REPORT).read_text()
    assert text.startswith("# PROMOTED")
    assert "corrupted copies of tonight's data were caught" in text
    page = (folder / PAGE).read_text()
    for figure in ("Loss by epoch", "Which classes are confused", "Where the time went", "Images per class"):
        assert f"<figcaption>{figure}" in page
    recorded = json.loads((folder / NIGHT).read_bytes())
    assert {"download", "validate", "decide"} <= {step["name"] for step in recorded["steps"]}
    assert recorded["data"]["statistics"].keys() >= {"train mean", "train std", "test mean", "test std"}


def test_the_report_survives_json(first: tuple[Store, NightReport]) -> None:
    """`--json` is strict JSON and says what the screen says."""
    value = json.loads(json.dumps(first[1].to_json(), allow_nan=False))
    assert (value["headline"], value["champion_after"]) == ("PROMOTED", f"{SAMPLE}/1")


def test_a_dry_run_decides_and_changes_nothing(home: Store, probed_here: None) -> None:
    """A dry run says what would happen; there is no version, no champion and no ledger afterwards."""
    summary = night(mode="dry-run")
    assert summary.headline == "DRY RUN, nothing changed; would be PROMOTED"
    assert champions.champion_id(home, SAMPLE) is None
    assert not home.ledger(SAMPLE).exists()


def test_a_candidate_that_cannot_win_any_more_gives_up(home: Store, probed_here: None) -> None:
    """With race=yes, who is hopelessly behind stops; the report says so and the night goes on."""
    slow = "mlp:epochs=30,hidden=16,learning_rate=1e-06,race=yes"
    state = retrain(SAMPLE, ["tiny", slow], device="cpu", return_state=True)
    summary: NightReport = state.result()
    assert (summary.winner, summary.promoted) == ("tiny-seed0", True)
    assert "gave up after epoch 15 of 30" in (home.run(summary.run) / REPORT).read_text()


@pytest.mark.fault("F-35")
def test_below_the_floor_is_a_verdict_and_not_an_error(home: Store, probed_here: None) -> None:
    """A model below the accuracy that was asked for is rejected, the ledger says why, and no version appears."""
    summary = night(policy={"min_accuracy": 0.99})
    assert summary.headline == "NOT PROMOTED (REJECT)"
    assert "accuracy" in summary.reason
    (entry,) = champions.history(home, SAMPLE)
    assert entry.action == "reject"
    assert entry.decision["policy"] == policy_for(SAMPLE).changed({"min_accuracy": 0.99}).to_json()
    assert versions.versions(home, SAMPLE) == ()


def test_force_rollback_and_the_bar(home: Store) -> None:
    """A person may force what the floors allow; rolling back restores the old champion and bars the new one."""
    with pytest.raises(BadInput, match="needs a reason"):
        night(mode="force")
    night()
    forced = night(recipe="tiny:hidden=24", mode="force", reason="to see it serve")
    assert forced.headline == "PROMOTED BY FORCE"
    entry = roll_back(home, SAMPLE, who="a test", why="seen enough")
    assert (entry.from_version, entry.to_version) == (f"{SAMPLE}/2", f"{SAMPLE}/1")
    again = night(recipe="tiny:hidden=24")
    assert again.headline.startswith("NOT PROMOTED")
    assert champions.champion_id(home, SAMPLE) == f"{SAMPLE}/1"
    assert [entry.action for entry in champions.history(home, SAMPLE)][:3] == ["promote", "force", "rollback"]
    assert find_problems(home) == []


def test_a_night_that_asks_waits_for_the_flow_that_answers(home: Store, probed_here: None) -> None:
    """The run ends as waiting, with the report naming what waits; approved in the UI's flow, it is champion."""
    state = retrain(SAMPLE, ["tiny"], policy={"promotion": "ask"}, return_state=True)
    report = state.result()
    assert (state.name, report.verdict, report.promoted) == ("Waits for approval", "WAITING", False)
    assert champions.champion_id(home, SAMPLE) is None
    assert f"{SAMPLE}/1 waits for a person's approval until" in (home.run(report.run) / REPORT).read_text()
    assert [one.verdict for one in journal.read(home) if one.kind == "retrain"] == ["WAITING"]
    entry = approve(SAMPLE, "looked at its mistakes")
    assert (entry.action, entry.to_version) == ("promote", f"{SAMPLE}/1")
    assert champions.champion_id(home, SAMPLE) == f"{SAMPLE}/1"
    assert find_problems(home) == []


def test_a_version_that_does_not_hold_up_today_is_not_rolled_back_to(
    home: Store, probed_here: None, tmp_path: Path
) -> None:
    """The old champion is scored on today's images; below what it was promoted for, it is refused as a target."""
    size = {"height": 12, "width": 9, "n_classes": 3}
    adding.add(home, "mine", write_idx_folder(tmp_path / "then", **size))
    assert night("mine").champion_after == "mine/1"
    catalogue.remove(home, "mine")
    adding.add(home, "mine", write_idx_folder(tmp_path / "now", **size, first=1))
    summary = night("mine")
    assert summary.champion_after == "mine/2", summary.reason
    with pytest.raises(BadInput, match=r"mine/1 gets \d\.00 % of today's test images right, required are "):
        roll_back(home, "mine", who="a test", why="to see whether it would do")
    assert champions.champion_id(home, "mine") == "mine/2"
    assert [entry.action for entry in champions.history(home, "mine")] == ["promote", "promote"]


def test_several_seeds_send_the_median(home: Store, probed_here: None) -> None:
    """Of three seeds of one recipe, the one with the median validation accuracy goes before the gate."""
    summary = night(seeds=3)
    assert len(summary.candidates) == 3
    ranked = sorted(row.validation.accuracy for row in summary.candidates if row.validation)
    assert summary.winning is not None
    assert summary.winning.validation is not None
    assert summary.winning.validation.accuracy == ranked[1]


def test_a_failed_candidate_is_reported_and_not_fatal(home: Store, probed_here: None) -> None:
    """A candidate that diverges is named with its reason; the others go on. Without any other, the night fails."""
    wild = "mlp:learning_rate=10,weight_decay=1,epochs=10,hidden=8"
    state = retrain(SAMPLE, [wild, "tiny"], device="cpu", return_state=True)
    summary: NightReport = state.result()
    assert summary.promoted
    assert "finite" in summary.candidates[0].failed
    with pytest.raises(TrainingFailed, match="no candidate could be trained"):
        night(recipe=wild)


def test_a_dataset_of_ones_own(home: Store, probed_here: None, tmp_path: Path) -> None:
    """Four IDX files of another size and number of classes go all the way to a champion."""
    folder = write_idx_folder(tmp_path / "mine", height=12, width=9, n_classes=3)
    adding.add(home, "mine", folder, ImportOptions(classes=("left", "middle", "right")))
    summary = night("mine")
    assert summary.promoted
    assert summary.class_names == ("left", "middle", "right")


@pytest.mark.fault("F-30")
def test_refused_data_stops_everything(empty_home: Store, tmp_path: Path) -> None:
    """Data that is not what the reference says is refused with the expectation's name, and nothing is trained."""
    genuine = write_idx_folder(tmp_path / "good", height=12, width=12, n_classes=3)
    dark = write_idx_folder(tmp_path / "dark", height=12, width=12, n_classes=3, brightest=120)
    expected = adding.add(empty_home, "good", genuine).row.reference
    adding.add(empty_home, "dark", dark, expected=expected)
    with pytest.raises(DataRefused, match="expect_column"):
        night("dark")
    (run,) = empty_home.runs().iterdir()
    text = (run / PAGE).read_text()
    assert "NOT PROMOTED (REFUSED)" in text, "a night without a verdict has a report, too"
    assert "expect_column_mean_to_be_between" in text
    assert not (empty_home.root / "trained").exists()
    assert not (empty_home.root / "prepared").exists()


@pytest.mark.fault("F-49")
def test_a_damaged_champion_is_never_replaced_silently(home: Store, probed_here: None) -> None:
    """When the champion's file has changed on disk, the night holds and says what to do."""
    night()
    champion = champions.champion(home, SAMPLE)
    assert champion is not None
    champion.model.chmod(0o644)
    with champion.model.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\0" * 8)
    summary = night(recipe="tiny:hidden=24")
    assert summary.verdict == "HOLD"
    assert "corrupt" in summary.reason
    assert champions.champion_id(home, SAMPLE) == f"{SAMPLE}/1"


def test_unknown_names_stop_the_run_with_advice(home: Store) -> None:
    """A misspelt dataset fails the run itself, too, with the nearest name."""
    with pytest.raises(ParameterTypeError, match="did you mean 'mnist-sample'"):
        night("mnist-sampel")


def test_a_warm_start_is_shown_beside_a_cold_one(empty_home: Store, probed_here: None) -> None:
    """The first night has no champion and says so; the next one trains both from the same data, a row for each."""
    cold, warm = "mlp:hidden=32", "mlp:hidden=32,warm_start=champion"
    one = night(recipe=warm)
    assert one.candidates[0].start == "cold start: there is no champion yet"
    assert one.promoted
    state = retrain(SAMPLE, [cold, warm], seed=1, device="cpu", return_state=True)
    rows = state.result().candidates
    assert [row.name for row in rows] == ["mlp-hidden32-seed1", "mlp-hidden32-warm_startchampion-seed1"]
    assert [row.start for row in rows] == ["", f"began with the weights of {SAMPLE}/1"]
    assert len(rows[1].history) == len(rows[0].history) / 2
    assert all(row.validation and row.validation.accuracy > 0.85 and row.seconds for row in rows)
    text = (empty_home.run(state.result().run) / REPORT).read_text()
    assert f"began with the weights of {SAMPLE}/1" in text
