"""`nightshift doctor`: whatever is wrong has one line with advice, and --repair leaves what needs a person."""

import json
import os
import subprocess
import sys

import pytest

from artifacts.models.provenance import CHECKOUT
from artifacts.upkeep import garbage
from artifacts.upkeep.findings import Finding
from data.home import journal
from data.home.journal import Record
from data.home.processes import Process
from data.home.store import Store
from flows.doctor.examination import Examination, examine
from flows.server import schedules, stack
from flows.server.started import Started, record_of
from tests.artifacts.registry import nights


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server and no proxy, whatever the machine has."""
    for name in os.environ:
        if name.startswith(("NIGHTSHIFT_", "PREFECT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def home(store: Store) -> Store:
    """A home with a champion."""
    nights.night(store, "a")
    return store


def found(store: Store, **options: bool) -> dict[str, Finding]:
    """The findings by subject."""
    return {one.subject: one for all_ in examine(store, **options).findings.values() for one in all_}


def dead_process() -> Process:
    """A process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = Process.of(child.pid)
    child.kill()
    child.wait()
    return process


def test_a_sound_home_needs_nothing(home: Store) -> None:
    """And nothing is made where there is none."""
    assert examine(home).serious == []
    none = Store(home.root.parent / "none")
    assert examine(none).serious == []
    assert not none.root.exists()


def test_variables_that_lead_nowhere_are_named_without_their_secrets(
    home: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misprint, a proxy and a server that are not there, certificates that are gone."""
    monkeypatch.setenv("NIGHTSHIFT_MIRROR", "/somewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary@127.0.0.1:9")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    findings = found(home)
    assert "did you mean NIGHTSHIFT_MIRRORS?" in findings["NIGHTSHIFT_MIRROR"].problem
    assert "cannot be reached" in findings["HTTPS_PROXY"].problem
    assert "no Prefect server answers" in findings["PREFECT_API_URL"].problem
    assert "is not there" in findings["SSL_CERT_FILE"].problem
    assert "canary" not in str(findings)


def test_a_run_that_died_is_found_and_marked(home: Store) -> None:
    """Without a server, too."""
    record = Record(
        id="abc-0000", kind="retrain", run="night-1", dataset="mnist", process=dead_process(), began=journal.now()
    )
    journal.write(home, record)
    assert "exited without recording a result" in found(home)["night-1"].problem
    result = examine(home, repair=True)
    assert any("night-1 is recorded as crashed" in line for line in result.repaired)
    assert result.serious == []
    assert journal.read(home)[0].state == "crashed"


def test_the_record_of_a_server_that_is_gone_is_found_and_cleared(home: Store) -> None:
    """As after a crash of the machine, or in a restored home."""
    (home.root / "server").mkdir(mode=0o700)
    Started("http://127.0.0.1:9/api", dead_process(), ready=True).write(home)
    assert "does not run any more" in found(home)["server/started.json"].problem
    assert examine(home, repair=True).serious == []
    assert not record_of(home).exists()


def test_a_record_that_cannot_be_read_hides_nothing_else(home: Store) -> None:
    """It stays, for a person to look at; damage elsewhere is found and repaired."""
    (home.root / "server").mkdir(mode=0o700)
    record_of(home).write_bytes(b"{")
    home.champion("mnist").write_bytes(b"junk")
    findings = found(home)
    assert "is not a record of a server" in findings["server"].problem
    assert "the champion of mnist" in findings
    left = examine(home, repair=True)
    assert [one.subject for one in left.serious] == ["server"]
    assert record_of(home).read_bytes() == b"{"


def test_secrets_that_others_can_read_are_closed(home: Store) -> None:
    """And the advice is to change them."""
    stack.auth(home)
    path = home.root / "server" / "auth"
    path.chmod(0o644)
    assert "change the password" in found(home)["server/auth"].hint
    assert examine(home, repair=True).serious == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_leftovers_logs_and_schedules_are_named(home: Store) -> None:
    """What only takes room is a note; a schedule that trains nothing is a problem."""
    left = home.scratch()
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    log = home.root / "native.log"
    log.write_bytes(b"x" * (garbage.LOG_BYTES + 1))
    schedules.write(home, "gone", schedules.schedule("0 3 * * *", "UTC"))
    findings = found(home)
    assert not findings[f"tmp/{left.name}"].serious
    assert not findings["native.log"].serious
    assert "--off" in findings["schedules/gone.json"].hint
    result = examine(home, repair=True)
    assert not left.exists()
    assert log.stat().st_size == garbage.LOG_BYTES // 2
    assert [one.subject for one in result.serious] == ["schedules/gone.json"]


def test_a_home_of_newer_code_is_not_repaired(home: Store) -> None:
    """Nothing of it is changed."""
    home.home_document().write_bytes(b'{"schema": 2, "version": "9"}')
    home.champion("mnist").write_bytes(b"junk")
    before = nights.tree(home.root)
    result = examine(home, repair=True)
    assert result.repaired == []
    assert nights.tree(home.root) == before
    assert "home.json" in {one.subject for one in result.serious}


def test_what_cannot_be_repaired_does_not_stop_the_rest(home: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a line of its own."""
    monkeypatch.setattr(journal, "end_lost", lambda _: (_ for _ in ()).throw(OSError("no")))
    home.champion("mnist").write_bytes(b"junk")
    result = examine(home, repair=True)
    assert "could not be repaired: no" in result.repaired
    assert result.serious == []


def test_the_command_has_an_exit_code_json_and_no_tensorflow(home: Store) -> None:
    """0 if nothing needs action, else 1; the same as a table for scripts."""

    def doctor(*options: str) -> subprocess.CompletedProcess[str]:
        code = (
            "import sys; from flows.commands.main import main; sys.argv[0] = 'nightshift'\n"
            "try: main()\n"
            "finally: assert not {'tensorflow', 'keras', 'great_expectations'} & {*sys.modules}"
        )
        return subprocess.run(
            [sys.executable, "-c", code, "doctor", *options],
            cwd=CHECKOUT,
            env={**os.environ, "NIGHTSHIFT_HOME": str(home.root)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    done = doctor()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("nothing needs action\n")
    home.champion("mnist").write_bytes(b"junk")
    broken = doctor("--json")
    assert broken.returncode == 1
    value = json.loads(broken.stdout)
    assert value["ok"] is False
    assert {one["area"] for one in value["findings"]} == {"home"}
    assert doctor("--repair").returncode == 0


def test_findings_of_all_areas_count() -> None:
    """A note is none."""
    notes = Examination({"server": [Finding("a", "b", "c", serious=False)]})
    assert notes.serious == []
    assert Examination({"environment": [Finding("a", "b", "c")]}).serious
