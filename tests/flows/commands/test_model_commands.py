"""Commands that hand a model on: what they print, and what they refuse before any work is done."""

from pathlib import Path

import pytest

from artifacts.registry import versions
from artifacts.registry.card import CARD, of_folder
from data.errors import BadInput, UnknownName
from flows.commands.main import app
from flows.settings import temporary_home
from tests.artifacts.registry import nights


def run(command: str) -> None:
    """Run a command in this process."""
    app(command, result_action="return_value", exit_on_error=False, print_error=False)


def test_a_card_is_printed_for_new_and_old_versions(capsys: pytest.CaptureFixture[str]) -> None:
    """The one that is stored; of a version without one, the same from its documents."""
    with temporary_home() as settings:
        nights.night(settings.store, "a")
        version = versions.find(settings.store, "mnist/1")
        run("card mnist")
        stored = capsys.readouterr().out
        assert stored == (version.folder / CARD).read_text()
        assert stored == of_folder("mnist/1", version.folder)


def test_what_cannot_be_handed_on_is_refused(tmp_path: Path) -> None:
    """Without a champion, a dataset, a format, or a port."""
    with temporary_home() as settings:
        with pytest.raises(UnknownName, match="mnist has no champion yet"):
            run(f"export mnist --to onnx {tmp_path}")
        with pytest.raises(BadInput, match="at least one dataset"):
            run("serve")
        with pytest.raises(UnknownName, match="'mnits'"):
            run("serve mnits")
        nights.night(settings.store, "a")
        with pytest.raises(UnknownName, match="no export format"):
            run(f"export mnist --to tflite {tmp_path}")
        with pytest.raises(BadInput, match="cannot listen on"):
            run("serve mnist --port 70000")
