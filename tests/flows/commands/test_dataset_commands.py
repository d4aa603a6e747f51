"""`nightshift datasets`: add, show, update, rename, remove, schedule, as a person types them."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from artifacts.operations.known_dataset import known
from data import catalogue
from data.errors import BadInput, UnknownName
from data.home import journal
from data.home.processes import Process
from data.home.store import Store
from flows.commands import datasets, tables
from flows.server import changes, schedules
from flows.settings import Settings
from tests.flows.commands.test_main import nightshift
from tests.samples import write_idx_folder

Say = Any


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A home with the dataset "mine", for commands that are called in this process."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    store = Store(tmp_path / "home")
    for module in ("flows.commands.datasets.store", "flows.commands.console.store"):
        monkeypatch.setattr(module, lambda: store)
    monkeypatch.setattr("flows.settings._from_environment", lambda: Settings(home=store.root))
    folder = write_idx_folder(tmp_path / "source", height=9, width=12, n_classes=3)
    datasets.add("mine", str(folder), title="My own", options={"classes": ("a", "b", "c")})
    return store


def test_what_was_guessed_is_said_when_a_dataset_is_added(home: Store, capsys: Say) -> None:
    """Kind of source, size, ground, images per class, contact sheet, what a model needs, and the next command."""
    folder = Path(str(catalogue.get(home, "mine").origin.location))  # type: ignore[union-attr]
    capsys.readouterr()
    datasets.add("again", str(folder))
    said = capsys.readouterr()
    assert "again: 240 + 60 images of 9 × 12 pixels, grey, others padded, ground " in said.out
    assert "IDX" in said.out
    assert "2       80         20" in said.out
    assert f"look at it: {home.about('again') / 'contact-sheet.png'}" in said.out
    assert "a model needs a test accuracy of 66.7 % and a recall of 10 % in every class" in said.out
    assert "60 test images cannot show gains below 15.00 points" in said.out
    assert said.out.endswith("  -> nightshift retrain again\n")
    assert (home.about("again") / "contact-sheet.png").is_file()
    assert "images" in said.err  # progress, where it does not disturb a script


def test_a_dataset_is_shown_with_its_origin_and_what_refers_to_it(home: Store, capsys: Say) -> None:
    """Options are shown as they are typed; nights, versions and schedules are counted; JSON has the same."""
    _night(home, "finished")
    schedules.write(home, "mine", schedules.schedule("0 4 * * *", "UTC"))
    capsys.readouterr()
    datasets.show("mine")
    shown = capsys.readouterr().out
    assert "--classes a b c" in shown
    assert "retrain/mine-nightly at '0 4 * * *' UTC" in shown
    assert "1, the last 2026-11-20 03:00 UTC, finished HOLD" in shown
    assert "My own" in shown
    datasets.show("mine", json=True)
    value = json.loads(capsys.readouterr().out)
    assert value["origin"]["options"] == {"classes": ["a", "b", "c"]}
    assert value["classes"][0] == {"name": "a", "train": 80, "test": 20}
    assert value["referred_to_by"]["schedules"] == ["retrain/mine-nightly at '0 4 * * *' UTC"]
    assert value["contact_sheet"] == str(home.about("mine") / "contact-sheet.png")


def test_a_built_in_dataset_is_shown_too(home: Store, capsys: Say) -> None:
    """With its nights in prefect.yaml; there is no origin and no sheet."""
    datasets.show("mnist")
    shown = capsys.readouterr().out
    assert "retrain/mnist-nightly at '30 3 * * *' Europe/Berlin" in shown
    assert "read from" not in shown
    assert "98.5 %" in shown


def test_findings_are_shown_with_their_remedies(home: Store, capsys: Say) -> None:
    """When it is added, and later."""
    about = home.about("mine") / "found.json"
    found = json.loads(about.read_text())
    found["findings"] = [{"rule": "x", "refuses": False, "sentence": "too dark", "remedy": "a lamp"}]
    about.write_text(json.dumps(found))
    datasets.show("mine")
    assert "note: too dark\n  -> a lamp" in capsys.readouterr().out
    about.write_text("damaged")
    datasets.show("mine")
    assert "note:" not in capsys.readouterr().out


def test_many_classes_are_cut_short_on_the_screen(home: Store) -> None:
    """A thousand classes are no screen; the JSON has all."""
    found = known(home, "mine")
    many = SimpleNamespace(counts=[(f"class {k}", 1, 1) for k in range(100)])
    shown = tables._classes(many)  # type: ignore[arg-type]
    assert len(shown.rows) == tables.MANY_CLASSES + 1
    assert len(tables._classes(found).rows) == 3


def test_an_update_reads_the_source_again_with_the_same_options(home: Store, tmp_path: Path, capsys: Say) -> None:
    """Classes are not asked for again; what changed is said, or that nothing did."""
    capsys.readouterr()
    datasets.update("mine")
    assert "3 classes; unchanged" in capsys.readouterr().out
    write_idx_folder(tmp_path / "source", height=9, width=12, n_classes=3, n_train=270)
    datasets.update("mine")
    assert "mine: 270 + 60 images" in (said := capsys.readouterr().out)
    assert "updated, before 240 + 60 images" in said
    assert catalogue.get(home, "mine").class_names == ("a", "b", "c")
    shutil.rmtree(tmp_path / "source")
    with pytest.raises(Exception, match="source"):
        datasets.update("mine")
    assert catalogue.get(home, "mine").n_train == 270


def test_renaming_moves_data_sheet_and_schedule(home: Store, capsys: Say) -> None:
    """Everything but what is registered goes on under the new name, and nothing is left under the old one."""
    schedules.write(home, "mine", schedules.schedule("0 4 * * *", "UTC"))
    before = catalogue.get(home, "mine")
    capsys.readouterr()
    datasets.rename("mine", "yours")
    said = capsys.readouterr().out
    assert said == "mine is now yours\nits nights are now retrain/yours-nightly\n"
    row = catalogue.get(home, "yours")
    assert (row.title, row.files, row.origin) == (before.title, before.files, before.origin)
    assert all(home.raw("yours", file.name).is_file() for file in row.files.values())
    assert (home.about("yours") / "contact-sheet.png").is_file()
    assert list(schedules.read(home)) == ["yours"]
    assert not home.raw("mine", "x").parent.exists()
    assert not home.about("mine").exists()
    with pytest.raises(UnknownName):
        catalogue.get(home, "mine")


def test_registered_versions_keep_their_name(home: Store, capsys: Say) -> None:
    """A rename is refused until one says that they stay, and then says so; a removal says it, too."""
    _version(home)
    with pytest.raises(BadInput, match="2 versions are registered as mine/1 to mine/2, and versions never") as refused:
        datasets.rename("mine", "yours")
    assert "--leave-models" in str(refused.value)
    assert catalogue.get(home, "mine").name == "mine"
    datasets.rename("mine", "yours", leave_models=True)
    assert "2 versions stay registered under mine; yours has no champion yet" in capsys.readouterr().out
    datasets.rename("yours", "mine")
    datasets.remove("mine")
    said = capsys.readouterr().out
    assert "2 registered versions stay, mine/1 to mine/2" in said
    assert f"its images stay in {home.raw('mine', 'x').parent}" in said
    assert (home.versions("mine") / "2").is_dir()


def test_nothing_is_left_where_the_files_go_too(home: Store, capsys: Say) -> None:
    """`--files` removes the imported images; the schedule goes with the dataset in any case."""
    schedules.write(home, "mine", schedules.schedule("0 4 * * *", "UTC"))
    _night(home, "finished")
    capsys.readouterr()
    datasets.remove("mine", files=True)
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == ["mine is removed", "its nights are not scheduled any more"]
    assert "the reports of 1 nights stay" not in said
    assert "the report of 1 night stays" in said
    assert not home.raw("mine", "x").parent.exists()
    assert schedules.read(home) == {}


def test_what_a_running_night_reads_is_not_changed(home: Store) -> None:
    """Updating, renaming and removing wait for the night's end; a night whose process is gone does not count."""
    _night(home, "running")
    for command in (datasets.update, datasets.remove, lambda name: datasets.rename(name, "yours")):
        with pytest.raises(BadInput, match=r"a night of mine is running \(20261120-mine\)"):
            command("mine")
    gone = Process(Process.current().host, Process.current().boot, Process.current().pid, "1")
    _night(home, "running", process=gone)
    datasets.remove("mine")


@pytest.mark.parametrize("name", ["mnist", "nothing"])
def test_only_datasets_of_ones_own_are_renamed_or_removed(home: Store, name: str) -> None:
    """A built-in one is refused, an unknown one named."""
    for command in (datasets.remove, lambda name: datasets.rename(name, "yours"), datasets.update):
        with pytest.raises(BadInput, match=r"built in|no dataset is called"):
            command(name)


@pytest.mark.parametrize("new", ["mnist", "Mine", "a/b", "..", "", "x" * 41])
def test_a_name_that_cannot_be_one_changes_nothing(home: Store, new: str) -> None:
    """Taken or malformed names are refused, and the dataset stays as it is."""
    with pytest.raises(BadInput):
        datasets.rename("mine", new)
    assert catalogue.get(home, "mine").name == "mine"
    assert (home.about("mine") / "contact-sheet.png").is_file()


def test_a_schedule_needs_a_server_and_one_time(home: Store, capsys: Say) -> None:
    """Without a server nothing would start the nights; two times or none are refused; off is always possible."""
    with pytest.raises(BadInput, match="no Prefect server is running"):
        datasets.schedule("mine", every="night")
    for times in ({}, {"cron": "0 3 * * *", "every": "night"}, {"every": "week", "off": True}):
        with pytest.raises(BadInput, match="one of --cron, --every and --off is needed"):
            datasets.schedule("mine", **times)  # type: ignore[arg-type]
    with pytest.raises(UnknownName):
        datasets.schedule("nothing", every="night")
    with pytest.raises(BadInput, match=r"are scheduled in prefect\.yaml"):
        datasets.schedule("mnist", every="night")
    assert schedules.read(home) == {}
    datasets.schedule("mine", off=True)
    assert "was not scheduled; nothing changed" in capsys.readouterr().out
    schedules.write(home, "mine", schedules.schedule("0 4 * * *", "UTC"))
    datasets.schedule("mine", off=True)
    assert schedules.read(home) == {}
    assert not changes.refresh_forms(home)


def test_a_server_that_does_not_answer_leaves_the_dataset_added(
    home: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    """The dataset is added; a note says that the form does not list it yet, and what to do."""

    def refuse(_: object) -> bool:
        from data.errors import Broken

        raise Broken("the Prefect server did not take the change (no)", "run: make deploy")

    monkeypatch.setattr(changes, "refresh_forms", refuse)
    datasets.add("more", str(tmp_path / "source"))
    said = capsys.readouterr()
    assert "note: the Prefect server did not take the change" in said.err
    assert "-> nightshift retrain more" in said.out


@pytest.mark.slow
def test_the_commands_work_from_a_terminal(tmp_path: Path) -> None:
    """Options are parsed, JSON is JSON, and refusals have their exit code."""
    home, folder = tmp_path / "home", write_idx_folder(tmp_path / "source", height=9, width=12, n_classes=3)
    added = nightshift(
        home, "datasets", "add", "mine", str(folder), "--classes", "a", "b", "c", "--ground", "0", "--json"
    )
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["origin"]["options"] == {"classes": ["a", "b", "c"], "ground": [0]}
    assert json.loads(nightshift(home, "datasets", "rename", "mine", "yours", "--json").stdout)["dataset"] == "yours"
    assert nightshift(home, "datasets", "schedule", "yours", "--every", "noon").returncode == 2
    removed = nightshift(home, "datasets", "remove", "yours", "--files", "--json")
    assert json.loads(removed.stdout) == {"dataset": "yours", "versions_left": []}
    assert nightshift(home, "datasets", "show", "yours").returncode == 2


def _night(home: Store, state: journal.State, process: Process | None = None) -> None:
    record = journal.Record(
        id="00000000-0000-0000-0000-000000000001",
        kind="retrain",
        run="20261120-mine",
        dataset="mine",
        process=process or Process.current(),
        began="2026-11-20T03:00:00+00:00",
        state=state,
        verdict="HOLD" if state == "finished" else "",
    )
    journal.write(home, record)


def _version(home: Store) -> None:
    for number in ("1", "2"):
        (home.versions("mine") / number).mkdir(parents=True)
