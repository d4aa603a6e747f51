"""What people change in the UI outlives `make deploy` and reboots, unless the files say otherwise."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolUpdate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from flows.server import deployments
from flows.server.deployments import Deployment, Plan, Schedule
from flows.server.private import PrivateServer

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    """A client of a server without workers, which has the pools."""
    with pytest.MonkeyPatch.context() as patch:
        folder: Path = tmp_path_factory.mktemp("prefect")
        patch.setenv("PREFECT_HOME", str(folder))
        server = PrivateServer()
    try:
        server.wait()
        own = {PREFECT_API_URL: server.url, PREFECT_HOME: folder}
        with temporary_settings(own), get_client(sync_client=True) as client:
            for name, pool in deployments.read_pools().items():
                deployments._apply_pool(client, name, pool)
            yield client
    finally:
        server.close()


def one_deployment(name: str, **schedule: object) -> tuple[Plan, Deployment]:
    """Return a plan with one deployment that has the schedule "nightly"."""
    when = Schedule.model_validate({"slug": "nightly", "cron": "30 3 * * *", "timezone": "UTC", **schedule})
    plan = deployments.read_plan()
    one = plan.deployments[0].model_copy(update={"name": name, "schedules": [when]})
    return plan.model_copy(update={"deployments": [one]}), one


def deploy(client: SyncPrefectClient, plan: Plan, one: Deployment) -> list[str]:
    """Deploy it, and check that the server has what the file says."""
    kept = deployments.apply(client, plan, one, deployments.flow_of(one.entrypoint))
    assert list(deployments.differences(client, plan, {})) == []
    return kept


def pause_schedule(client: SyncPrefectClient, one: Deployment) -> None:
    """Pause its only schedule, as in the UI."""
    found = client.read_deployment_by_name(one.full_name)
    (schedule,) = found.schedules
    client.update_deployment_schedule(found.id, schedule.id, active=False)


def test_schedule_that_was_paused_stays_paused_and_one_that_was_added_stays(client: SyncPrefectClient) -> None:
    """A sentence says so for each; otherwise somebody's stop would be undone by a reboot."""
    plan, one = one_deployment("kept")
    assert deploy(client, plan, one) == []
    pause_schedule(client, one)
    found = client.read_deployment_by_name(one.full_name)
    every_day = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(days=1)), active=True)
    client._client.post(
        f"/deployments/{found.id}/schedules", json=[every_day.model_dump(mode="json", exclude_unset=True)]
    ).raise_for_status()
    for _ in range(2):
        paused, added = sorted(deploy(client, plan, one), key=lambda line: "not in the files" in line)
        assert "nightly (30 3 * * * UTC) is paused and stays so" in paused
        assert "is not in the files and stays" in added
        there = client.read_deployment_by_name(one.full_name).schedules
        assert {(entry.slug, entry.active) for entry in there} == {("nightly", False), (None, True)}


def test_deployment_that_was_paused_stays_paused(client: SyncPrefectClient) -> None:
    """Until somebody resumes it with the command that is named."""
    plan, one = one_deployment("stopped")
    deploy(client, plan, one)
    client.update_deployment(client.read_deployment_by_name(one.full_name).id, DeploymentUpdate(paused=True))
    (line,) = deploy(client, plan, one)
    assert f"prefect deployment resume {one.full_name}" in line
    assert client.read_deployment_by_name(one.full_name).paused


def test_file_that_says_active_wakes_a_schedule(client: SyncPrefectClient) -> None:
    """What the file says wins, and the change is named before it is made."""
    plan, one = one_deployment("explicit")
    deploy(client, plan, one)
    pause_schedule(client, one)
    plan, one = one_deployment("explicit", active=True)
    (line,) = deployments.differences(client, plan, {})
    assert "retrain/explicit: expected schedules" in line
    assert deploy(client, plan, one) == []
    (entry,) = client.read_deployment_by_name(one.full_name).schedules
    assert entry.active


def test_pool_that_was_paused_stays_paused(client: SyncPrefectClient) -> None:
    """Its settings are those of the file all the same."""
    pool = deployments.read_pools()["gpu"]
    client.update_work_pool("gpu", WorkPoolUpdate(is_paused=True, description="changed by hand"))
    plan, _ = one_deployment("none")
    nothing = plan.model_copy(update={"deployments": []})
    (line,) = deployments.differences(client, nothing, {"gpu": pool})
    assert "changed by hand" in line
    deployments._apply_pool(client, "gpu", pool)
    found = client.read_work_pool("gpu")
    assert found.is_paused
    assert found.description == pool.description
    client.update_work_pool("gpu", WorkPoolUpdate(is_paused=False))
