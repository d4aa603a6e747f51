"""The environments that people really have: proxies, dead servers, no user name, closed pipes, read-only homes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from data.home.store import Store
from flows import settings
from flows.commands.console import native_messages_to
from tests import boxes

NIGHTSHIFT = str(Path(sys.executable).parent / "nightshift")
DEAD = "http://127.0.0.1:9/api"


def shell(script: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which $N is the command line."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NIGHTSHIFT_"))}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        env={**keep, "NIGHTSHIFT_HOME": str(home), "N": NIGHTSHIFT, **env},
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("command", ["retrain mnist-sample --recipe tiny", "reconcile", "deploy"])
def test_server_that_is_down_is_one_sentence(tmp_path: Path, command: str) -> None:
    """The shell still points at a server of yesterday: refused before anything slow is imported."""
    done = shell(f"$N {command}", tmp_path, PREFECT_API_URL=DEAD)
    assert done.returncode == 1
    assert f"no Prefect server answers at {DEAD}, which PREFECT_API_URL names" in done.stderr
    assert "-> unset PREFECT_API_URL to do without one, or start it: make server" in done.stderr
    assert "Traceback" not in done.stderr


def test_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """Nothing is printed about it, and the exit code is that of the work."""
    done = shell("$N recipes | true; $N recipes --json | head -1", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """Such as a log on a full disk."""
    done = shell("$N recipes > /dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "broken: standard output could not be written: No space left on device\n"


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "<&- 2>&-"])
def test_closed_streams_do_not_matter(tmp_path: Path, closed: str) -> None:
    """As some schedulers start programs."""
    done = shell(f"$N recipes {closed}", tmp_path)
    assert done.returncode == 0
    assert "tiny" in done.stdout


def test_characters_that_a_terminal_lacks_are_escaped(tmp_path: Path) -> None:
    """Nothing ends in a UnicodeEncodeError."""
    done = shell("$N --help; $N recipes; $N status", tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert "Error" not in done.stderr
    assert "tiny" in done.stdout


@pytest.mark.fault("F-43")
@pytest.mark.parametrize("home", ["~nobody-of-this-name/x"])
def test_home_that_cannot_be_used_is_one_sentence(tmp_path: Path, home: str) -> None:
    """The variable is named."""
    done = shell("$N status", tmp_path, NIGHTSHIFT_HOME=home)
    assert done.returncode == 2
    assert "NIGHTSHIFT_HOME" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["with blanks and 'quotes'", "größe-日本", "a;b&c$HOME"])
def test_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Even one that shells and URLs treat specially."""
    done = shell("$N status", tmp_path / name)
    assert "no run has ever started" in done.stdout, done.stderr
    Store(tmp_path / name).preflight()


@pytest.mark.parametrize("name", ["what?", "50%20off", "größe mit blank"])
def test_database_of_prefect_lies_in_the_home_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """SQLAlchemy reads the address as an address: without quoting it would be a file beside the home."""
    from sqlalchemy import make_url

    for variable in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL"):
        monkeypatch.delenv(variable, raising=False)
    found = settings.database_in(tmp_path / name)
    address = next(iter(found.values()), f"sqlite+aiosqlite:///{tmp_path / name / 'prefect.db'}")
    assert make_url(address).database == str(tmp_path / name / "prefect.db")


def test_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    """`NIGHTSHIFT_HOME=` is not the folder one happens to be in."""
    script = "from flows.settings import settings; print(settings().home)"
    done = shell(f'cd /; "{sys.executable}" -c "{script}"', tmp_path, NIGHTSHIFT_HOME="", PYTHONPATH=str(CHECKOUT))
    assert done.stdout.strip() == str(CHECKOUT / "var")


def test_native_messages_go_elsewhere_where_the_home_cannot_be_written(tmp_path: Path) -> None:
    """Whoever only asks needs no write access; here a file is in the folder's place, which stops root as well."""
    (tmp_path / "file").touch()
    with native_messages_to(tmp_path / "file" / "native.log"):
        os.write(2, b"a message of TensorFlow's\n")


@pytest.mark.parametrize("before", [{}, {"no_proxy": "a.example"}, {"NO_PROXY": "a.example, b.example"}])
def test_own_server_is_asked_without_the_proxy(monkeypatch: pytest.MonkeyPatch, before: dict[str, str]) -> None:
    """What was listed stays, and both spellings agree: libraries differ in which one they read."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    settings._spare_own_addresses()
    both = {os.environ["no_proxy"], os.environ["NO_PROXY"]}
    assert len(both) == 1
    listed = both.pop().split(",")
    assert {"127.0.0.1", "localhost"} <= set(listed)
    assert all(name in listed for value in before.values() for name in value.split(", "))


def test_user_without_a_name_is_known_by_number() -> None:
    """As in containers that run as an arbitrary user."""
    script = "from flows.settings import user_name; print(user_name())"
    alone = ["env", "-i", f"PYTHONPATH={CHECKOUT}", sys.executable, "-c", script]
    done = subprocess.run(boxes.with_user(54321, alone), capture_output=True, text=True, check=False)
    assert done.stdout == "uid 54321\n", done.stderr
    named = [*alone[:2], "LOGNAME=somebody", *alone[2:]]
    assert (
        subprocess.run(boxes.with_user(54321, named), capture_output=True, text=True, check=True).stdout == "somebody\n"
    )


@pytest.mark.fault("F-43")
def test_read_only_home_can_be_asked(tmp_path: Path) -> None:
    """Status, history and verify write nothing; a night is refused in one sentence."""
    home = tmp_path / "home"
    Store(home).preflight()
    commands = "$N status; $N history mnist; $N verify; $N retrain mnist-sample; $N reconcile"
    done = subprocess.run(
        boxes.read_only(home, f"N={NIGHTSHIFT}; {commands}"),
        env={**os.environ, "NIGHTSHIFT_HOME": str(home)},
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Read-only file system") == 2, done.stderr
    assert "no run has ever started" in done.stdout
