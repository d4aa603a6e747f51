"""What the commands about datasets change on a running server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.exceptions import ObjectNotFound

from flows.server import schedules
from tests.flows.live import Live
from tests.samples import write_idx_folder

pytestmark = pytest.mark.server


@pytest.fixture
def mine(live: Live, tmp_path: Path) -> Iterator[str]:
    """A dataset that was added while the server runs."""
    folder = write_idx_folder(tmp_path / "mine", height=9, width=12, n_classes=3)
    done = live.command("datasets", "add", "mine", str(folder))
    assert done.returncode == 0, done.stderr
    assert "the run form of the server lists the datasets anew" in done.stdout
    yield "mine"
    for name in ("mine", "yours"):
        live.command("datasets", "remove", name, "--files")


def ask(live: Live, deployment: str, **parameters: Any) -> httpx.Response:
    """Ask the API for a run in a year's time, with its parameters checked, as the run form does."""
    request = {
        "parameters": parameters,
        "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2099-01-01T00:00:00Z"}},
    }
    with live.client() as client:
        found = client.read_deployment_by_name(deployment)
        try:
            return client._client.post(f"/deployments/{found.id}/create_flow_run", json=request)
        except httpx.HTTPStatusError as error:
            return error.response


def listed(live: Live, deployment: str) -> list[str]:
    """The datasets in a deployment's form."""
    with live.client() as client:
        schema = client.read_deployment_by_name(deployment).parameter_openapi_schema
    return list(schema["properties"]["dataset"]["enum"])


def test_an_added_dataset_is_in_form_and_api_at_once(live: Live, mine: str) -> None:
    """No other deploy is needed, and one that is removed is refused again."""
    assert mine in listed(live, "retrain/manual")
    assert mine in listed(live, "rollback/manual")
    assert ask(live, "retrain/manual", dataset=mine).status_code == 201
    assert ask(live, "retrain/manual", dataset="nothing").status_code in (409, 422)
    assert live.command("datasets", "remove", mine, "--files").returncode == 0
    assert mine not in listed(live, "retrain/manual")
    assert ask(live, "retrain/manual", dataset=mine).status_code in (409, 422)


def test_a_scheduled_dataset_has_its_nights_until_it_is_switched_off(live: Live, mine: str) -> None:
    """The deployment is there at once, survives a deploy, is shown, changes its time, and goes."""
    done = live.command("datasets", "schedule", mine, "--cron", "15 2 * * *", "--timezone", "Europe/Berlin")
    assert done.returncode == 0, done.stderr
    assert "by retrain/mine-nightly" in done.stdout
    assert _times(live) == [("15 2 * * *", "Europe/Berlin")]
    assert ask(live, "retrain/mine-nightly").status_code == 201
    deployed = live.command("deploy", **live.client_env)
    assert "retrain/mine-nightly" in deployed.stdout.split(), deployed.stderr
    assert live.command("datasets", "schedule", mine, "--every", "week").returncode == 0
    assert _times(live) == [("30 5 * * 0", "UTC")]
    assert "retrain/mine-nightly at '30 5 * * 0' UTC" in live.command("datasets", "show", mine).stdout
    assert live.command("datasets", "schedule", mine, "--off").returncode == 0
    with pytest.raises(ObjectNotFound):
        _times(live)


def test_a_renamed_dataset_takes_its_nights_along(live: Live, mine: str) -> None:
    """The old deployment goes, the new one trains the new name."""
    assert live.command("datasets", "schedule", mine, "--every", "night").returncode == 0
    done = live.command("datasets", "rename", mine, "yours")
    assert done.returncode == 0, done.stderr
    assert "its nights are now retrain/yours-nightly" in done.stdout
    with pytest.raises(ObjectNotFound):
        _times(live)
    assert _times(live, "yours") == [("30 5 * * *", "UTC")]
    assert "yours" in listed(live, "retrain/manual")


def test_a_schedule_that_was_removed_while_the_server_was_down_goes_with_the_next_deploy(live: Live, mine: str) -> None:
    """`make server` and `make deploy` make the server as the home is."""
    assert live.command("datasets", "schedule", mine, "--every", "night").returncode == 0
    schedules.remove(live.store, mine)  # what `--off` does without a server
    assert live.command("deploy", **live.client_env).returncode == 0
    with pytest.raises(ObjectNotFound):
        _times(live)


def _times(live: Live, dataset: str = "mine") -> list[tuple[str, str]]:
    with live.client() as client:
        found = client.read_deployment_by_name(f"retrain/{dataset}-nightly")
    assert found.parameters == {"dataset": dataset, "mode": "normal"}
    return [(one.schedule.cron, one.schedule.timezone) for one in found.schedules]  # type: ignore[union-attr]
