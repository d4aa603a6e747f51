"""The page docs/growing-data.md does what it says: every block is run, in order, in an empty folder."""

import re
import sys
from pathlib import Path

import pytest

from artifacts.registry import champions
from data import catalogue
from data.home import journal
from data.home.store import Store
from data.snapshots import nights
from flows.settings import temporary_home

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "growing-data.md"
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command line in this process, and return what it printed; it must succeed, or promote nothing."""
    from flows.commands.main import main

    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert ended.value.code in (0, None, 3), out + err
    return out + err


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder grows: images, corrections, a broken file, a class; nights train, wait, and are replayed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "")  # so that it is as before afterwards: the first night names its server
    monkeypatch.delenv("PREFECT_API_URL")
    names: dict[str, object] = {}
    printed = []
    with temporary_home() as settings:
        for kind, text in BLOCKS:
            if kind == "python":
                exec(compile(text, str(PAGE), "exec"), names)
                continue
            printed += [run(line, monkeypatch, capfd) for line in filter(None, text.splitlines())]
        store = Store(settings.home)
        found = [night.sentence for night in nights.nights(store, "drawings") if night.changed]
        verdicts = [one.verdict for one in journal.read(store) if one.kind == "retrain"]
        assert found[:2] == ["600 images added", "5 labels changed, 200 images added, 1 new class, 1 left out"]
        assert catalogue.get(store, "drawings").class_names == ("cross", "disc", "square", "bar")
        assert verdicts[0] == "PROMOTE"
        assert verdicts[1] in ("PROMOTE", "HOLD"), "bar is new"
        assert verdicts[2:4] == ["POSTPONED", "POSTPONED"]
        assert verdicts[4] not in ("POSTPONED", "UNCHANGED"), "another recipe"
        assert str(champions.champion_id(store, "drawings")).startswith("drawings/")
    assert "the same weights, bit by bit" in printed[-1]
