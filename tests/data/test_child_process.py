"""The conversation with a child process, with children that take a moment to start."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.child_process import ChildFailed, ChildProcess
from data.errors import UnknownName
from data.home.processes import Process

CHILD = """
import os, sys, time
from data.child_process import serve
from data.errors import UnknownName

def answer(request, report):
    print("noise of a library")
    if "sum" in request:
        for done, _ in enumerate(request["sum"]):
            report({"done": done + 1})
        return {"sum": sum(request["sum"]), "variable": os.environ.get("VARIABLE")}
    if "name" in request:
        raise UnknownName.among("fruit", request["name"], ["apple"])
    exec(request["run"])
    return {}

if __name__ == "__main__":
    serve(answer, prepare=lambda: print("noise of an import"))
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    """A child that adds, knows an apple, and otherwise runs what it is sent."""
    (tmp_path / "adding_child.py").write_text(CHILD)
    monkeypatch.syspath_prepend(tmp_path)
    with ChildProcess("adding_child", {"VARIABLE": "a value"}) as started:
        yield started


def test_a_child_answers_reports_and_imports_from_where_we_do(child: ChildProcess) -> None:
    """What libraries print is no answer; progress arrives in order; the environment has the added variable."""
    seen: list[int] = []
    for numbers in ([1, 2, 3], [4]):
        answer = child.ask({"sum": numbers}, lambda now: seen.append(now["done"]))
        assert answer == {"sum": sum(numbers), "variable": "a value"}
    assert seen == [1, 2, 3, 1]


def test_an_error_there_is_the_same_error_here(child: ChildProcess) -> None:
    """Class, problem and hint; afterwards the child answers as before."""
    with pytest.raises(UnknownName, match="no fruit is called 'aple'") as raised:
        child.ask({"name": "aple"})
    assert "did you mean 'apple'?" in raised.value.hint
    assert child.ask({"sum": [1]})["sum"] == 1


@pytest.mark.parametrize(
    ("code", "how", "exit_code", "output"),
    [
        ("print('out of luck', file=sys.stderr); os._exit(7)", "ended with exit code 7", 7, "out of luck"),
        ("os.kill(os.getpid(), 9)", "ended with signal SIGKILL", -9, "noise of a library"),
        ("1 / 0", "ended with exit code 1", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_death_is_reported_with_the_last_output(
    child: ChildProcess, code: str, how: str, exit_code: int, output: str
) -> None:
    """Signal or exit code, and the end of standard error; a second request fails the same way at once."""
    for _ in range(2):
        with pytest.raises(ChildFailed, match=how) as failed:
            child.ask({"run": code})
        assert failed.value.code == exit_code
        assert failed.value.output.endswith(output)


def test_a_child_that_does_not_answer_in_time_is_reported(child: ChildProcess) -> None:
    """The time limit is kept, and leaving the block ends the process."""
    process = Process.of(child.pid)
    with pytest.raises(ChildFailed, match=r"did not answer within 0\.5 s") as failed:
        child.ask({"run": "time.sleep(600)"}, timeout_s=0.5)
    assert failed.value.code is None
    assert not process.gone
    child.close()
    assert process.gone


def test_a_child_ends_when_its_input_is_closed(child: ChildProcess) -> None:
    """Even in the middle of its work: that is how it notices that its parent is gone."""
    with pytest.raises(ChildFailed, match="did not answer"):
        child.ask({"run": "time.sleep(600)"}, timeout_s=0.5)
    process = Process.of(child.pid)
    assert child._process.stdin
    child._process.stdin.close()
    deadline = time.monotonic() + 30
    while not process.gone and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.gone
