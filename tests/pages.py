"""Runs the blocks of a page of docs/ as its reader would: Python in one namespace, commands line by line."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTHING_PROMOTED = 3


def run_page(
    name: str, run: Callable[[str], str], names: dict[str, Any] | None = None, replaced: tuple[str, str] = ("", "")
) -> Iterator[tuple[str, str]]:
    """Run all blocks marked as python or bash, in order; yields each command line with what it printed.

    Args:
        name: the file within docs/.
        run: called with each command line; returns what it printed.
        names: gets what the Python blocks assign.
        replaced: a text of the blocks, such as a port, and what takes its place.
    """
    page = DOCS / name
    names = {} if names is None else names
    for kind, block in re.findall(r"```(python|bash)\n(.*?)```", page.read_text(), re.DOTALL):
        text = block.replace(*replaced) if replaced[0] else block
        if kind == "python":
            exec(compile(text, str(page), "exec"), names)
        else:
            yield from ((line, run(line)) for line in filter(None, text.splitlines()))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Return what runs a command line in this process, in an empty folder; it must succeed, or promote nothing."""
    from flows.commands.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "")  # so that it is as before afterwards: the first night names its server
    monkeypatch.delenv("PREFECT_API_URL")

    def run(command: str) -> str:
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert ended.value.code in (0, None, NOTHING_PROMOTED), out + err
        return out + err

    return run
