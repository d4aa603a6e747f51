"""The page docs/your-own-data.md does what it says: every block is run, in order, in an empty folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from data import catalogue
from data.home.store import Store
from flows.settings import temporary_home
from tests.data.importing.buckets import bucket, credentials
from tests.pages import run, run_page  # noqa: F401  a fixture

pytestmark = pytest.mark.slow


def test_the_page_is_true(
    run: Callable[[str], str],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Datasets are added, nights promote a model, and it recognises a drawing."""
    pytest.importorskip("obstore")
    with bucket(tmp_path) as endpoint, temporary_home() as settings:
        for name, value in credentials(endpoint).items():
            monkeypatch.setenv(name, value)
        printed = dict(run_page("your-own-data.md", run))
        home = Store(settings.home)
        rows = {name: catalogue.get(home, name) for name in catalogue.names(home)}
    assert "disc" in printed["nightshift predict drawings/disc/001.png --model drawings"]
    assert rows["drawings"].geometry.shape == (20, 20)
    assert rows["from-the-hub"].geometry.shape == (20, 20)
    assert rows["from-the-hub"].class_names == ("cross", "disc", "square")
    assert rows["from-kaggle"].n_train + rows["from-kaggle"].n_test == 400
    assert rows["inks"].geometry.shape == (20, 20, 3)
    assert rows["from-a-bucket"].n_train == rows["drawings"].n_train
