"""`make server`, `make deploy` and `make down`, on a real server."""

import stat
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest

from data.home.processes import Process
from flows.server import deployments
from tests.flows.live import Live, until

pytestmark = pytest.mark.server


def test_server_comes_up_with_everything_and_a_second_time_does_nothing(live: Live) -> None:
    """A server and one worker per pool run; a second `make server` starts nothing and prints where it is."""
    before = live.started
    assert set(before.services) == {"server", "worker-cpu", "worker-gpu"}
    assert not any(process.gone for process in before.services.values())
    again = live.up()
    assert again.returncode == 0
    assert f"already running at {before.ui}" in again.stdout
    assert live.started == before


def test_server_has_what_the_files_say(live: Live) -> None:
    """Every deployment and pool is read back and compared, before and after a second deploy."""
    plan, pools = deployments.read_plan(), deployments.read_pools()
    with live.client() as client:
        assert list(deployments.differences(client, plan, pools)) == []
    done = live.command("deploy", **live.client_env)
    assert done.stdout.split() == [one.full_name for one in plan.deployments], done.stderr
    with live.client() as client:
        assert list(deployments.differences(client, plan, pools)) == []
        changed = pools["cpu"].model_copy(update={"description": "another"})
        assert len(list(deployments.differences(client, plan, {"cpu": changed}))) == 1


@pytest.mark.fault("F-39")
def test_scheduler_plans_the_nights_in_their_time_zone(live: Live) -> None:
    """The next nights are on the server, at half past three in Berlin."""
    from zoneinfo import ZoneInfo

    from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter

    # deploying removes the planned runs until the scheduler runs again
    planned = {"tags": {"all_": ["auto-scheduled"]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    of = DeploymentFilter.model_validate({"name": {"any_": ["mnist-nightly"]}})
    with live.client() as client:
        wanted = FlowRunFilter.model_validate(planned)
        runs = until(lambda: client.read_flow_runs(flow_run_filter=wanted, deployment_filter=of), "planned nights")
    times = [run.expected_start_time.astimezone(ZoneInfo("Europe/Berlin")) for run in runs if run.expected_start_time]
    assert {(time.hour, time.minute) for time in times} == {(3, 30)}
    assert min(times) > datetime.now(UTC)


def test_requests_without_the_password_are_refused(live: Live) -> None:
    """The API refuses requests without the password, which is in a file that only its owner can read."""
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{live.url}/admin/version", timeout=30)
    for name in ("auth", "environment"):
        assert stat.S_IMODE((live.store.root / "server" / name).stat().st_mode) == 0o600


def test_taken_port_is_refused_with_advice(live: Live, tmp_path: object) -> None:
    """A second home cannot use the same port, and the first home's server is not affected."""
    other = Live(live.store.root.parent / "other")
    other.port = live.port
    done = other.up()
    assert done.returncode == 2
    assert "make server PORT=" in done.stderr
    assert not live.started.supervisor.gone


def test_down_ends_what_was_started_and_nothing_else(live: Live) -> None:
    """Another home's `make down` ends nothing; nor does a record of a process whose id was reused since."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    try:
        other = Live(live.store.root.parent / "another")
        assert "nothing to stop" in other.down().stdout
        found = Process.of(stranger.pid)
        reused = Process(found.host, found.boot, found.pid, "1")  # the same id, another start time
        live.started.__class__(other.url, reused, {"server": reused}).write(other.store)
        assert other.down().returncode == 0
        assert stranger.poll() is None
        assert not live.started.supervisor.gone
    finally:
        stranger.kill()
        stranger.wait()
