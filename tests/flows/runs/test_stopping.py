"""Ctrl-C and SIGTERM: the right exit code, one line, a record that says so, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from data.home import journal
from data.home.processes import Process, descendants
from data.home.store import Store
from flows.runs.stopping import LINE

RUN = """
import hashlib, subprocess, sys, time
from pathlib import Path
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process, descendants
from data.home.store import Store
from flows.runs import stopping
stopping.GRACE_S = 0.5
store = Store(Path(sys.argv[1]))
with stopping.stopping_promptly(store, lambda: Path(sys.argv[1], "cleaned-up").touch()):
    journal.write(store, Record(
        id="a1", kind="train", run="r", dataset="mnist", process=Process.current(), began=journal.now()))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    {work}
"""
READY = "print(child.pid, flush=True)"
DEAF = f'{READY}; hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes in which Python handles no signal'
STUBBORN = f"""
    while True:
        try:
            {READY}
            time.sleep(300)
        except BaseException:
            pass
"""


@contextmanager
def run(store: Store, work: str) -> Iterator[tuple[subprocess.Popen[str], Process]]:
    """Start a process that works and has a child; yields both, and kills them in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN.format(work=work), str(store.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout
        yield process, Process.of(int(process.stdout.readline()))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.fault("F-18")
@pytest.mark.parametrize("work", [DEAF, STUBBORN], ids=["in native code", "catches everything"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_run_that_does_not_react_is_ended(store: Store, work: str, number: signal.Signals, code: int) -> None:
    """With its children; its record says that it was cancelled, so the next run finds nothing crashed."""
    with run(store, work) as (process, child):
        if work == DEAF:
            inside_native_code(process.pid)
        process.send_signal(number)
        _, printed = process.communicate(timeout=120)
        assert process.returncode == code
        assert printed == LINE + "\n"
        gone_soon(child)
    (record,) = journal.read(store)
    assert (record.state, record.reason) == ("cancelled", f"stopped by {number.name}")
    assert (store.root / "cleaned-up").exists()


def test_run_that_reacts_leaves_by_the_ordinary_way(store: Store) -> None:
    """The signal is an exception that says which exit code it stands for."""
    caught = f"""
    try:
        {READY}
        time.sleep(300)
    except KeyboardInterrupt as stopped:
        child.kill()
        print(stopped.exit_code, stopped, flush=True)
"""
    with run(store, caught) as (process, _):
        process.send_signal(signal.SIGTERM)
        printed, errors = process.communicate(timeout=120)
    assert (printed, errors) == ("143 SIGTERM\n", "")
    assert process.returncode == 0


def test_second_ctrl_c_does_not_wait(store: Store) -> None:
    """Whoever presses it twice means it."""
    with run(store, f"stopping.GRACE_S = 1e6; {DEAF}") as (process, _):
        inside_native_code(process.pid)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        assert process.returncode == 130


def inside_native_code(pid: int) -> None:
    """Wait until a process that said READY works; before, the signal would end it in the ordinary way."""
    used = os.sysconf("SC_CLK_TCK") // 10  # far more than the step from the one to the other takes
    ready = cpu_ticks(pid)
    deadline = time.monotonic() + 120
    while cpu_ticks(pid) < ready + used and time.monotonic() < deadline:
        time.sleep(0.05)


def cpu_ticks(pid: int) -> int:
    """Return the CPU time that a process has used."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11])


def gone_soon(process: Process) -> None:
    """Wait until a process has ended."""
    deadline = time.monotonic() + 60
    while not process.gone and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.gone


@pytest.mark.fault("F-17", "F-18")
@pytest.mark.slow
@pytest.mark.parametrize("how", ["interrupt", "terminate", "kill"])
def test_night_leaves_nothing_running(tmp_path: Path, how: str) -> None:
    """Signals to the whole group, as a terminal and a service manager send them, while it trains; and kill -9."""
    home = Store(tmp_path / "home")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "NIGHTSHIFT_"))}
    night = subprocess.Popen(
        [
            Path(sys.executable).parent / "nightshift",
            "retrain",
            "mnist-sample",
            "--recipe",
            "tiny:epochs=1000,hidden=1024",
        ],
        env={**environment, "NIGHTSHIFT_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert night.stdout
        printed = ""
        for line in night.stdout:
            printed += line
            if line.startswith("train tiny"):
                break
        else:
            raise AssertionError(f"it did not train:\n{printed}")
        children = [Process.of(pid) for pid in descendants(night.pid)]
        assert children
        if how == "kill":
            night.kill()
        else:
            os.killpg(night.pid, signal.SIGINT if how == "interrupt" else signal.SIGTERM)
        rest, _ = night.communicate(timeout=300)
    finally:
        if night.poll() is None:
            os.killpg(night.pid, signal.SIGKILL)
    assert night.returncode == {"interrupt": 130, "terminate": 143, "kill": -9}[how]
    for child in children:
        gone_soon(child)
    states = {one.kind: one.state for one in journal.read(home)}
    if how == "kill":
        assert all(one.lost for one in journal.read(home))
    else:
        assert rest.count(LINE) == 1, rest
        assert "Traceback" not in rest
        assert set(states.values()) == {"cancelled"}, states
