"""What prefect.yaml and pools/*.json may say."""

import json
from pathlib import Path
from typing import Any

import prefect.settings
import pytest
import yaml
from prefect.workers.process import ProcessWorker

from data.errors import BadFile
from data.home.store import Store
from flows.server import deployments, stack


def _changed(tmp_path: Path, change: Any) -> Path:
    value = yaml.safe_load(deployments.FILE.read_text())
    change(value)
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def test_every_deployment_of_the_pipeline_is_in_the_file() -> None:
    """The nights, one by hand, training on either pool, the smoke run, rollback, approval, the morning's checks."""
    assert {one.full_name for one in deployments.read_plan().deployments} == {
        "retrain/mnist-nightly",
        "retrain/fashion-mnist-nightly",
        "retrain/manual",
        "train/gpu",
        "train/cpu",
        "smoke/ci",
        "rollback/manual",
        "approve/manual",
        "verify/nightly",
        "gc/nightly",
    }


def test_what_the_file_names_is_there() -> None:
    """Every entrypoint is a flow whose parameters are the file's, and every pool has its file."""
    pools = deployments.read_pools()
    for one in deployments.read_plan().deployments:
        flow = deployments.flow_of(one.entrypoint)
        assert one.work_pool.name in pools
        assert flow.validate_parameters({**one.parameters, **_required(flow.name)}) is not None


def _required(flow: str) -> dict[str, Any]:
    return {
        "rollback": {"dataset": "mnist", "reason": "a test"},
        "approve": {"dataset": "mnist", "reason": "a test"},
        "train": {"prepared": {"dataset": "mnist", "digest": "0" * 64}},
    }.get(flow, {})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda plan: plan["deployments"][0].update(concurency_limit=1), "deployments.0.concurency_limit"),
        (lambda plan: plan["deployments"][0]["work_pool"].update(job_variable={}), "work_pool.job_variable"),
        (lambda plan: plan["deployments"][0]["schedules"][0].update(timezon="UTC"), "schedules.0.timezon"),
        (lambda plan: plan["deployments"][0]["schedules"][0].update(timezone="Berlin"), "schedules.0.timezone"),
        (lambda plan: plan["deployments"][0]["schedules"][0].pop("timezone"), "schedules.0.timezone"),
        (lambda plan: plan["deployments"][0]["schedules"][0].update(cron="at night"), "schedules.0.cron"),
        (lambda plan: plan["deployments"][0].update(entrypoint="flows.retrain.retrain"), "deployments.0.entrypoint"),
        (lambda plan: plan["deployments"][0]["work_pool"].update(name="gpus"), "work_pool.name"),
        (lambda plan: plan.update(deployment=[]), "deployment"),
    ],
)
def test_a_key_that_prefect_would_drop_is_refused_by_name(tmp_path: Path, change: Any, named: str) -> None:
    """Prefect ignores what it does not know; here it is an error that says where."""
    with pytest.raises(BadFile, match=named.replace(".", r"\.")):
        deployments.read_plan(_changed(tmp_path, change))


def test_a_misspelt_key_of_a_pool_is_refused(tmp_path: Path) -> None:
    """The pools' files are read as strictly."""
    for path in deployments.POOLS.glob("*.json"):
        value = json.loads(path.read_text())
        (tmp_path / path.name).write_text(json.dumps({**value, "concurency_limit": 1}))
    with pytest.raises(BadFile, match="concurency_limit"):
        deployments.read_pools(tmp_path)


def test_pools_have_the_job_template_of_the_prefect_that_is_installed() -> None:
    """Only defaults and descriptions are our own; another Prefect that adds a variable is noticed here."""
    theirs = ProcessWorker.get_default_base_job_template()
    for pool in deployments.read_pools().values():
        ours = pool.base_job_template
        assert ours["job_configuration"] == theirs["job_configuration"]
        assert set(ours["variables"]["properties"]) == set(theirs["variables"]["properties"])


def test_every_setting_of_the_server_is_known_to_the_prefect_that_is_installed(store: Store) -> None:
    """Prefect ignores a variable that it does not know; here its absence from Prefect's settings is an error."""
    names = set(stack.server_environment(store, "http://127.0.0.1:4200/api"))
    names |= {name for pool in deployments.read_pools().values() for name in _pool_environment(pool)}
    assert [name for name in names if name.startswith("PREFECT_") and not hasattr(prefect.settings, name)] == []


def _pool_environment(pool: deployments.Pool) -> dict[str, str]:
    return dict(pool.base_job_template["variables"]["properties"]["env"]["default"])


def test_a_gpu_worker_takes_one_run_at_a_time_and_grows_its_memory() -> None:
    """One run per device, and two may share one in an emergency."""
    pool = deployments.read_pools()["gpu"]
    env = _pool_environment(pool)
    assert pool.worker_limit == 1
    assert env["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert env["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
