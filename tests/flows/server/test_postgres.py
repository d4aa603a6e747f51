"""A server on PostgreSQL: deploy, run, restart the server in the middle of the run, finish."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.live import Live, free_port, until

pytestmark = pytest.mark.server


def _binaries() -> Path | None:
    """Return where PostgreSQL's programs are: on the path, or where Debian puts them."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (str(debian[-1]) if debian else None)
    return Path(found).resolve().parent if found else None


@pytest.fixture
def database() -> Iterator[str]:
    """An empty database on a PostgreSQL server of our own, as a URL for Prefect."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not here: apt-get install postgresql")
    owner = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
    port = free_port()
    # not below pytest's own folder, which nobody else may enter
    with tempfile.TemporaryDirectory(prefix="nightshift-postgres-", ignore_cleanup_errors=True) as folder:
        if owner:
            shutil.chown(folder, owner, owner)

        def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
            command = [str(binaries / program), *arguments]
            return subprocess.run(
                command, user=owner, group=owner, cwd="/", capture_output=True, timeout=120, check=False
            )

        made = run("initdb", "-D", f"{folder}/data", "-U", "prefect", "-A", "trust", "-E", "UTF8")
        assert made.returncode == 0, made.stderr
        where = f"-p {port} -k {folder} -h 127.0.0.1"
        try:
            begun = run("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-w", "-t", "60", "-o", where, "start")
            assert begun.returncode == 0, begun.stderr
            asked = ("-h", "127.0.0.1", "-p", str(port), "-U", "prefect", "-d", "postgres")
            assert run("psql", *asked, "-c", "create database prefect").returncode == 0
            yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
        finally:
            run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")


@pytest.mark.fault("F-14")
def test_night_on_postgres_survives_a_restart_of_the_server(database: str, tmp_path: Path) -> None:
    """Everything is deployed, a night runs, and its server goes away for some seconds while it trains."""
    live = Live(tmp_path / "home", PREFECT_SERVER_DATABASE_CONNECTION_URL=database)
    try:
        assert live.up().returncode == 0
        night = live.night("tiny")
        live.training(night)
        before = live.started.services["server"]
        os.kill(before.pid, signal.SIGTERM)
        until(lambda: live.started.services["server"] != before and live.healthy(), "the server to answer again")
        assert live.ended(night).state_name == "Promoted"
        assert not list((live.store.root / "server" / "prefect").glob("*.db"))
        ours = [live.started.supervisor, *live.started.services.values()]
        assert "stopped the server" in live.down().stdout
        assert all(process.gone for process in ours)
    finally:
        live.down()
