"""Secrets stay where they are: canaries in the environment appear nowhere, and nothing reads a pickle."""

import ast
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from artifacts.models.provenance import CHECKOUT
from artifacts.upkeep.backup import backup, restore
from data.errors import BadInput
from data.home.processes import Process, descendants
from data.home.store import Store
from data.importing.places.locations import open_place
from flows.doctor.examination import examine
from flows.server import stack
from flows.server.started import Started
from flows.server.supervisor import Supervisor
from tests import boxes
from tests.test_house import TOP, modules

CANARY = "canary-8f41c7"
SECRETS = {
    "HTTPS_PROXY": f"http://me:{CANARY}@127.0.0.1:9",
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "PREFECT_API_AUTH_STRING": f"me:{CANARY}",
    "PREFECT_API_KEY": CANARY,
    "NIGHTSHIFT_TOKEN": CANARY,
}
PICKLING = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
NIGHT = "retrain", "mnist-sample", "--recipe", "tiny"


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a person, with a home and more."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NIGHTSHIFT_"))}
    return {**keep, "NIGHTSHIFT_HOME": str(home), **more}


def command_lines(pid: int, found: list[bytes], stop: threading.Event) -> None:
    """Collect the command lines of a process and all that it starts: every user of the machine can read them."""
    while not stop.wait(0.2):
        for one in (pid, *descendants(pid)):
            try:
                found.append(Path(f"/proc/{one}/cmdline").read_bytes())
            except OSError:
                continue


@pytest.mark.slow
@pytest.mark.fault("F-48")
def test_a_night_keeps_secrets_and_its_backup_goes_on_elsewhere(tmp_path: Path) -> None:
    """No canary in any file, output or command line; restored under another host name, the next night is UNCHANGED."""
    home = Store(tmp_path / "home")
    night = subprocess.Popen(
        [Path(sys.executable).parent / "nightshift", *NIGHT],
        env=environment(home.root, **SECRETS),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[bytes] = []
    stop = threading.Event()
    watcher = threading.Thread(target=command_lines, args=(night.pid, lines, stop))
    watcher.start()
    try:
        printed, _ = night.communicate(timeout=600)
    finally:
        stop.set()
        watcher.join()
        night.kill()
    assert night.returncode == 0, printed
    assert CANARY not in printed
    assert any(b"flows.server.web" in line for line in lines)
    assert not [line for line in lines if CANARY.encode() in line]
    assert holding(home.root, CANARY) == []
    _goes_on_elsewhere(home, tmp_path)


def _goes_on_elsewhere(home: Store, tmp_path: Path) -> None:
    """Back up, restore with the record of the old host's server, and run a night under another host name."""
    backup(home, tmp_path / "home.tar")
    new = Store(tmp_path / "elsewhere")
    restore(new, tmp_path / "home.tar")
    (new.root / "server").mkdir(mode=0o700)
    old = Process("old-host", "another-boot", os.getpid(), "1", "pid:[1]")
    Started("http://127.0.0.1:9/api", old, {"server": old}, ready=True).write(new)
    assert [one.subject for one in examine(new, repair=False).serious] == ["server/started.json"]
    assert examine(new, repair=True).serious == []
    script = "import sys; from flows.commands.main import main; main()"
    elsewhere = subprocess.run(
        boxes.command(boxes.HOST, "another-host", script, *NIGHT),
        env=environment(new.root),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert elsewhere.returncode == 3, elsewhere.stdout + elsewhere.stderr
    assert "NOT PROMOTED (UNCHANGED)" in elsewhere.stdout
    assert examine(new).serious == []


def holding(folder: Path, text: str) -> list[Path]:
    """The files below a folder that hold a text."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.fault("F-48")
def test_a_mirror_with_a_password_is_refused_without_showing_it(tmp_path: Path) -> None:
    """Neither on the screen nor in the home."""
    done = subprocess.run(
        [Path(sys.executable).parent / "nightshift", "retrain", "mnist", "--recipe", "no-such-recipe"],
        env=environment(tmp_path, NIGHTSHIFT_MIRRORS=f"http://me:{CANARY}@127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert CANARY not in done.stdout + done.stderr
    assert holding(tmp_path, CANARY) == []


@pytest.mark.fault("F-48")
@pytest.mark.parametrize("url", [f"https://me:{CANARY}@127.0.0.1:9/x.zip", f"https://127.0.0.1:9/x.zip?token={CANARY}"])
def test_a_source_with_a_secret_in_its_address_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    """A row would keep it."""
    with pytest.raises(BadInput) as refused:
        open_place(url, tmp_path, lambda *_: None)
    assert CANARY not in str(refused.value)


@pytest.mark.fault("F-48")
def test_only_the_owner_can_read_what_leads_to_the_server(store: Store) -> None:
    """Password and environment files, whatever the umask; no command line has the password."""
    before = os.umask(0)
    try:
        password = stack.auth(store).partition(":")[2]
        stack._write_environment(store, "http://127.0.0.1:9/api")
    finally:
        os.umask(before)
    folder = store.root / "server"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "auth": 0o600,
        "environment": 0o600,
        "environment.plain": 0o600,
    }
    supervisor = Supervisor(store, "http://127.0.0.1:9/api")
    for service in (supervisor.server, *supervisor.workers):
        assert password not in " ".join(service.command)


@pytest.mark.fault("F-50")
def test_nothing_reads_a_pickle() -> None:
    """No module imports a library that does, and arrays are read and written without."""
    wrong = []
    for path in modules(*TOP):
        for node in ast.walk(ast.parse((CHECKOUT / path).read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or "", *(one.name for one in node.names)]
                bad = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} & {
                    n.split(".")[0] for n in names
                }
                wrong += [(str(path), name) for name in bad]
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "np.save", "numpy.load"):
                given = {one.arg: ast.unparse(one.value) for one in node.keywords}
                wrong += [(str(path), node.lineno)] if given.get("allow_pickle") != "False" else []
    assert wrong == []


@pytest.mark.fault("F-50")
def test_results_of_prefect_are_json(tmp_path: Path) -> None:
    """In a terminal and on workers."""
    code = "from flows.settings import prepare_environment; prepare_environment(); import os; "
    code += "print(os.environ['PREFECT_RESULTS_DEFAULT_SERIALIZER'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "json\n"
    for pool in (CHECKOUT / "pools").glob("*.json"):
        assert '"PREFECT_RESULTS_DEFAULT_SERIALIZER": "json"' in pool.read_text(), pool.name
