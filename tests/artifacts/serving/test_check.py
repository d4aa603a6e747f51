"""The check that a model serves: the verdict, a process that misbehaves, and the real thing."""

import io
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.evaluation.evaluate import evaluate
from artifacts.models import bundle
from artifacts.recipes.candidate import Candidate
from artifacts.serving import check, probe
from artifacts.serving.check import Budgets, InfraResult
from artifacts.training.train import train
from data.errors import Broken, Corrupt
from data.home.store import Store
from data.values import canonical_json
from tests.artifacts.registry import nights
from tests.artifacts.small import prepare

pytestmark = pytest.mark.slow

MEASURED: dict[str, Any] = {
    "load_s": 0.1,
    "latency_ms": 5.0,
    "max_abs_diff": 1e-6,
    "argmax_equal": True,
    "n_requests": 64,
}


# -- the verdict on what was measured -----------------------------------------------------------------------------


def test_what_reproduces_within_the_budgets_passes() -> None:
    """And says how many answers it reproduced."""
    result = check.judged(InfraResult(False, "", "abc", **MEASURED), 1000, Budgets())
    assert (result.passed, result.size_bytes) == (True, 1000)
    assert result.message == "reproduced 64 recorded answers"
    assert InfraResult(**json.loads(canonical_json(result.to_json()))) == result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"argmax_equal": False}, "it does not give the recorded answers"),
        ({"max_abs_diff": 0.0011}, "differ from the recorded ones by 0.0011"),
        ({"max_abs_diff": float("nan")}, "differ from the recorded ones by nan"),
        ({"max_abs_diff": None}, "differ from the recorded ones by None"),
        ({"load_s": 20.1}, "takes 20.1 s to load"),
        ({"load_s": None}, "takes None s to load"),
        ({"latency_ms": 251.0}, "a single image takes 251.0 ms"),
        ({"latency_ms": None}, "a single image takes None ms"),
        ({"message": "Corrupt: it is gone"}, "Corrupt: it is gone"),
    ],
)
def test_what_breaks_a_budget_or_was_not_measured_fails(change: dict[str, Any], message: str) -> None:
    """Each limit on its own; what is missing or not a number never passes."""
    result = check.judged(
        InfraResult(**{"passed": True, "message": "", "model_sha256": "", **MEASURED, **change}), 1, Budgets()
    )
    assert not result.passed
    assert message in result.message


def test_the_size_counts() -> None:
    """A version with more bytes than the budget fails, one with as many passes."""
    measured = InfraResult(False, "", "abc", **MEASURED)
    assert check.judged(measured, 100, Budgets(size_bytes=100)).passed
    assert "its files have 101 bytes" in check.judged(measured, 101, Budgets(size_bytes=100)).message


# -- a process that misbehaves ------------------------------------------------------------------------------------


def stand_in(tmp_path: Path, body: str, options: str = "-S") -> str:
    """Write an interpreter that ignores what it is asked to run and runs `body` instead."""
    path = tmp_path / "python"
    path.write_text(f"#!{sys.executable} {options}\nimport os, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "print('out of luck', file=sys.stderr); sys.exit(7)",
            r"ended with exit code 7; its last output:\nout of luck",
        ),
        ("os.kill(os.getpid(), 9)", "ended with signal SIGKILL; it wrote no message"),
        ("sys.stdin.readline(); print('hello')", r"gave an invalid answer \('hello"),
        ('sys.stdin.readline(); print(\'{"result": {"speed": 1}}\')', r"gave an invalid answer \(the fields speed"),
        ("sys.stdin.readline(); print('[]')", "gave an invalid answer"),
        ("sys.stdin.readline()", "ended with exit code 0"),
        ("print('x' * 5000 + 'the end', file=sys.stderr); sys.exit(1)", r"its last output:\nx{1993}the end\n"),
    ],
)
def test_a_process_that_dies_or_answers_nonsense_is_reported_with_its_output(
    store: Store, tmp_path: Path, body: str, message: str
) -> None:
    """That says nothing about the model: the check could not be made, and the message ends with the last output."""
    folder = nights.candidate(store, "a", "run")
    with pytest.raises(Broken, match=message):
        check.infra_check(folder, stand_in(tmp_path, body))


def test_a_process_that_hangs_is_ended(store: Store, tmp_path: Path) -> None:
    """The time limit is kept and no process stays behind."""
    folder, pid_file = nights.candidate(store, "a", "run"), tmp_path / "pid"
    python = stand_in(tmp_path, f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    with pytest.raises(Broken, match=r"did not answer within 0\.5 s"):
        check.infra_check(folder, python, Budgets(timeout_s=0.5))
    if pid_file.exists() and pid_file.read_text():  # it may have been ended before it wrote
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid_file.read_text()), 0)


def test_a_check_that_is_not_needed_leaves_no_process(tmp_path: Path) -> None:
    """Started early and then not used, because the gate did not promote."""
    with check.start_infra_check(stand_in(tmp_path, "time.sleep(600)")) as started:
        pid = started.pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_interpreter_that_is_not_there_is_broken(store: Store) -> None:
    """The operating system's "No such file" is passed on."""
    with pytest.raises(Broken, match="No such file"):
        check.infra_check(nights.candidate(store, "a", "run"), "/nonexistent/python")


def test_a_folder_that_was_not_published_is_refused_before_anything_is_asked(store: Store, tmp_path: Path) -> None:
    """No manifest, or a manifest without a model."""
    with pytest.raises(Corrupt, match="no readable manifest"):
        check.infra_check(tmp_path, stand_in(tmp_path, ""))
    with store.publish(store.trained("0")) as draft:
        (draft.path / "notes.txt").write_text("hello")
    with pytest.raises(Corrupt, match=r"no model.keras"):
        check.infra_check(store.trained("0"), stand_in(tmp_path, ""))


# -- the real thing -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A home with a real model."""
    store = Store(tmp_path_factory.mktemp("trained"))
    prepared = prepare(store)
    with store.publish(store.trained("real")) as draft:
        train(store, prepared, Candidate.parse("tiny:epochs=1"), draft.path)
        evaluate(store, prepared, draft.path)
    return store


def republished(store: Store, name: str, file: str, content: bytes) -> Path:
    """Publish a copy of the real model's folder in which one file is another; its manifest is right."""
    with store.publish(store.trained(name)) as draft:
        for one in store.files(store.trained("real")):
            (draft.path / one).write_bytes((store.trained("real") / one).read_bytes())
        (draft.path / file).write_bytes(content)
    return store.trained(name)


def test_a_real_model_reproduces_its_answers_in_a_fresh_process(trained: Store, tmp_path: Path) -> None:
    """It is loaded by its hash, asked raw images, and gives what was recorded, without Prefect or our flows."""
    python = stand_in(
        tmp_path,
        "from tests.artifacts.backends.missing import Missing\n"
        "sys.meta_path.insert(0, Missing('prefect', 'great_expectations', 'flows', 'tasks'))\n"
        "import runpy; del sys.argv[1:]; runpy.run_module('artifacts.serving.probe', run_name='__main__')",
        options="",
    )
    result = check.infra_check(trained.trained("real"), python)
    assert result.passed, result.message
    assert (result.n_requests, result.argmax_equal) == (64, True)
    assert result.max_abs_diff is not None
    assert result.max_abs_diff < 1e-5
    assert result.model_sha256 == trained.files(trained.trained("real"))[bundle.MODEL]["sha256"]


def test_a_model_that_answers_otherwise_is_found(trained: Store) -> None:
    """Recorded answers of another class, or of another number of classes."""
    recorded = np.load(trained.trained("real") / bundle.RESPONSES)
    for name, answers in (("other", np.roll(recorded, 1, axis=1)), ("fewer", recorded[:, :-1])):
        content = io.BytesIO()
        np.save(content, answers)
        folder = republished(trained, name, bundle.RESPONSES, content.getvalue())
        if name == "fewer":
            with pytest.raises(ValueError, match=r"answers with shape \(64, 10\), recorded is \(64, 9\)"):
                probe.measure(folder)
            continue
        measured = probe.measure(folder)
        assert measured["argmax_equal"] is False
        assert measured["max_abs_diff"] > 0.01


@pytest.mark.fault("F-34")
def test_a_model_that_answers_nothing_finite_is_found(trained: Store) -> None:
    """NaN is never close to anything."""

    def nan(_: object, images: Any) -> Any:
        return np.full((len(images), 10), np.nan, np.float32)

    measured = probe.measure(trained.trained("real"), nan)
    assert measured["max_abs_diff"] == 1.0
    assert not check.judged(InfraResult(False, "", "", **measured), 1, Budgets()).passed


def test_on_the_command_line_a_model_that_cannot_be_loaded_is_an_answer_too(
    trained: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line of JSON with the error, whatever libraries print; a model file that was changed is not loaded."""
    no_model = republished(trained, "no-model", bundle.MODEL, b"PK\x03\x04 this is no model")
    changed = republished(trained, "changed", "history.json", b"[]")
    (changed / bundle.MODEL).write_bytes(b"changed after it was published")
    genuine = os.dup(1)
    try:
        for folder, error in ((no_model, "is not a model file"), (changed, "has changed since")):
            monkeypatch.setattr("sys.argv", ["probe", str(folder)])
            probe.main()
            os.dup2(genuine, 1)
            answer = json.loads(capfd.readouterr().out)
            assert answer.keys() == {"error"}
            assert error in answer["error"]
    finally:
        os.close(genuine)
