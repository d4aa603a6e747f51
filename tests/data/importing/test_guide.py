"""The page docs/your-own-data.md does what it says: every block is run, in order, in an empty folder."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import catalogue
from data.home.store import Store
from tests.data.importing.buckets import bucket, credentials

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[3] / "docs" / "your-own-data.md"
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command line in this process, and return what it printed; it must succeed."""
    from flows.commands.main import main

    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert ended.value.code in (0, None), out + err
    return out + err


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty home in an empty folder."""
    from flows import settings

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "")  # so that it is as before afterwards: the first night names its server
    monkeypatch.delenv("PREFECT_API_URL")
    token = settings._override.set(settings.Settings(home=tmp_path / "home", mirrors=()))
    yield Store(tmp_path / "home")
    settings._override.reset(token)


def test_the_page_is_true(
    home: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Datasets are added, nights promote a model, and it recognises a drawing."""
    pytest.importorskip("obstore")
    names: dict[str, object] = {}
    printed = {}
    with bucket(tmp_path) as endpoint:
        for name, value in credentials(endpoint).items():
            monkeypatch.setenv(name, value)
        for kind, text in BLOCKS:
            if kind == "python":
                exec(compile(text, str(PAGE), "exec"), names)
                continue
            for line in filter(None, text.splitlines()):
                printed[line] = run(line, monkeypatch, capfd)
    assert "disc" in printed["nightshift predict drawings/disc/001.png --model drawings"]
    rows = {
        name: catalogue.get(home, name) for name in ("drawings", "from-the-hub", "from-kaggle", "inks", "from-a-bucket")
    }
    assert rows["drawings"].geometry.shape == (20, 20)
    assert rows["from-the-hub"].geometry.shape == (20, 20)
    assert rows["from-the-hub"].class_names == ("cross", "disc", "square")
    assert rows["from-kaggle"].n_train + rows["from-kaggle"].n_test == 400
    assert rows["inks"].geometry.shape == (20, 20, 3)
    assert rows["from-a-bucket"].n_train == rows["drawings"].n_train
