"""What is deployed, read strictly from prefect.yaml and pools/*.json, sent to a server, and read back.

Prefect ignores keys it does not know: a misspelt `concurency_limit` or a schedule one level too deep would be dropped
silently. Here an unknown key is an error, and the server's state is compared with the files after deploying.
"""

import json
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml  # type: ignore[import-untyped]  # Prefect brings it, without types
from pydantic import Field, StringConstraints, ValidationError

from artifacts.models.provenance import CHECKOUT
from data import catalogue
from data.errors import BadFile, Broken
from data.home.store import Store
from flows.server import alerts, schedules
from flows.server.schedules import Schedule, Strict
from flows.settings import settings

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

FILE = CHECKOUT / "prefect.yaml"
POOLS = CHECKOUT / "pools"
ABOUT_POOLS = {"description", "concurrency_limit", "base_job_template"}
OWN = "own-dataset"  # tag of the deployments that come from schedules in the home


Model = TypeVar("Model", bound=Strict)


class WorkPool(Strict):
    """Where a deployment runs."""

    name: Literal["cpu", "gpu"]
    work_queue_name: str = "default"


class Deployment(Strict):
    """One deployment; its flow's name is the function's."""

    name: str
    description: str
    entrypoint: Annotated[str, StringConstraints(pattern=r"^flows/[a-z_]+\.py:[a-z_]+$")]
    tags: list[str]
    work_pool: WorkPool
    schedules: list[Schedule] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    enforce_parameter_schema: bool = True

    @property
    def full_name(self) -> str:
        """The name on the server, such as retrain/manual."""
        return f"{self.entrypoint.partition(':')[2]}/{self.name}"


class Plan(Strict):
    """The whole of prefect.yaml."""

    name: str
    prefect_version: str = Field(alias="prefect-version")
    pull: list[dict[str, dict[str, str]]]
    deployments: list[Deployment]

    def pull_from(self, checkout: Path) -> list[dict[str, Any]]:
        """Return the pull steps with `{{ $PWD }}`, which is what `prefect deploy` calls a checkout, filled in."""
        steps = [{name: dict(inputs) for name, inputs in step.items()} for step in self.pull]
        for step in steps:
            for inputs in step.values():
                inputs.update({key: value.replace("{{ $PWD }}", str(checkout)) for key, value in inputs.items()})
        return steps


class Pool(Strict):
    """One work pool: what its runs are started with, and how many at once."""

    type: Literal["process"]
    description: str
    concurrency_limit: int | None
    worker_limit: int | None
    queues: dict[str, int | None]
    base_job_template: dict[str, Any]


def read_plan(path: Path = FILE) -> Plan:
    """Return the content of prefect.yaml.

    Raises:
        BadFile: a key is unknown or missing, or a value is invalid; the message names it.
    """
    return _checked(Plan, path, yaml.safe_load(path.read_text(encoding="utf-8")))


def nightly(dataset: str, when: Schedule) -> Deployment:
    """Return the deployment that trains a user's dataset by itself."""
    return Deployment(
        name=f"{dataset}-nightly",
        description=f"Retrain on {dataset}, and promote only what the dataset's policy allows.",
        entrypoint="flows/retrain.py:retrain",
        tags=["nightshift", "nightly", OWN],
        work_pool=WorkPool(name="cpu"),
        schedules=[when],
        parameters={"dataset": dataset, "mode": "normal"},
    )


def whole_plan(store: Store) -> Plan:
    """Return the content of prefect.yaml with the nights of the home's own datasets.

    Raises:
        BadFile: as for `read_plan`.
        Corrupt: a schedule in the home is not readable.
    """
    plan = read_plan()
    known = {one.full_name for one in plan.deployments}
    own = [nightly(name, when) for name, when in schedules.read(store).items() if name in catalogue.names(store)]
    return plan.model_copy(
        update={"deployments": [*plan.deployments, *(one for one in own if one.full_name not in known)]}
    )


def schedules_of(store: Store, dataset: str) -> tuple[str, ...]:
    """Return the deployments that train a dataset by themselves: "retrain/mine-nightly at '0 3 * * *' UTC"."""
    return tuple(
        f"{one.full_name} at '{when.cron}' {when.timezone}"
        for one in whole_plan(store).deployments
        for when in one.schedules
        if one.parameters.get("dataset") == dataset
    )


def read_pools(folder: Path = POOLS) -> dict[str, Pool]:
    """Return the work pools by name.

    Raises:
        BadFile: as for `read_plan`.
    """
    return {
        path.stem: _checked(Pool, path, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*.json"))
    }


def _checked(model: type[Model], path: Path, value: Any) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise BadFile(f"{path.name} is invalid: {found}", "fix the keys or values named") from error


def deploy(say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Send pools and deployments, those of the home's own datasets too, to the server at PREFECT_API_URL.

    They are read back and compared. What the files say replaces what was changed on the server. What they do not say
    stays as it is there: whether a schedule or deployment is paused, and schedules with another slug or none.

    Unlike `prefect deploy --all`, which drops unknown keys (docs/decisions/0009-server.md).

    Args:
        say: called with a sentence for each setting that was changed on the server, and for each that was kept.

    Returns:
        The full names of the deployments, in the order of the file.

    Raises:
        BadFile: a file is invalid; nothing was sent.
        Broken: the server's state differs from the files afterwards.
    """
    from prefect.client.orchestration import get_client

    plan, pools = whole_plan(settings().store), read_pools()
    flows = {one.entrypoint: flow_of(one.entrypoint) for one in plan.deployments}
    with get_client(sync_client=True) as client:
        for line in differences(client, plan, pools):
            say(f"changed as the files say: {line}")
        for name, pool in pools.items():
            _apply_pool(client, name, pool)
        for one in plan.deployments:
            for line in apply(client, plan, one, flows[one.entrypoint]):
                say(line)
        _delete_forgotten(client, plan)
        alerts.apply(client)
        wrong = list(differences(client, plan, pools))
    if wrong:
        raise Broken(
            f"the server differs from what was sent: {'; '.join(wrong)}",
            "run make deploy again; is someone else deploying?",
        )
    return [one.full_name for one in plan.deployments]


def flow_of(entrypoint: str) -> "Flow[..., Any]":
    """Return the flow at an entrypoint such as flows/retrain.py:retrain."""
    path, _, name = entrypoint.partition(":")
    found: Flow[..., Any] = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
    return found


def apply(client: "SyncPrefectClient", plan: Plan, one: Deployment, flow: "Flow[..., Any]") -> list[str]:
    """Create a deployment, or update the one of this name.

    Returns:
        A sentence for each setting of a person that was kept.
    """
    from prefect.utilities.callables import parameter_schema

    found = _find(client, one)
    client.create_deployment(  # updates the one of this name, and replaces all of its schedules
        flow_id=client.create_flow_from_name(flow.name),
        name=one.name,
        description=one.description,
        entrypoint=one.entrypoint,
        path=".",
        pull_steps=plan.pull_from(CHECKOUT),
        tags=one.tags,
        schedules=_schedules(one, found),
        parameters=one.parameters,
        parameter_openapi_schema=parameter_schema(flow).model_dump(),
        enforce_parameter_schema=one.enforce_parameter_schema,
        work_pool_name=one.work_pool.name,
        work_queue_name=one.work_pool.work_queue_name,
        paused=found.paused if found else False,
    )
    return list(_kept(one, found)) if found else []


def _find(client: "SyncPrefectClient", one: Deployment) -> "DeploymentResponse | None":
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(one.full_name)
    except ObjectNotFound:
        return None


def _schedules(one: Deployment, found: "DeploymentResponse | None") -> "list[DeploymentScheduleCreate]":
    """Return the schedules of the file, paused where a person has paused them, and those that people have added."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    there = found.schedules if found else []
    active = {entry.slug: entry.active for entry in there}
    ours = [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=when.cron, timezone=when.timezone),
            active=when.active if "active" in when.model_fields_set else active.get(when.slug, when.active),
            slug=when.slug,
        )
        for when in one.schedules
    ]
    theirs = [
        DeploymentScheduleCreate(
            schedule=entry.schedule, active=entry.active, slug=entry.slug, parameters=entry.parameters
        )
        for entry in _added(one, found)
    ]
    return ours + theirs


def _added(one: Deployment, found: "DeploymentResponse | None") -> "list[DeploymentSchedule]":
    slugs = {when.slug for when in one.schedules}
    return [entry for entry in found.schedules if entry.slug not in slugs] if found else []


def _kept(one: Deployment, found: "DeploymentResponse") -> Iterator[str]:
    """Yield a sentence for each setting of a person that a deploy keeps."""
    if found.paused:
        yield f"{one.full_name} is paused and stays so; to resume it: prefect deployment resume {one.full_name}"
    explicit = {when.slug for when in one.schedules if "active" in when.model_fields_set}
    for entry in found.schedules:
        what = f"{one.full_name}: the schedule {_shown(entry)}"
        if entry in _added(one, found):
            yield f"{what} is not in the files and stays; remove it in the UI"
        elif not entry.active and entry.slug not in explicit:
            yield f"{what} is paused and stays so; resume it in the UI"


def _shown(entry: "DeploymentSchedule") -> str:
    when = entry.schedule.model_dump()
    text = when.get("cron") or when.get("rrule") or f"every {when.get('interval')}"
    return f"{entry.slug or 'without a name'} ({text} {when.get('timezone') or 'UTC'})"


def _delete_forgotten(client: "SyncPrefectClient", plan: Plan) -> None:
    """Delete the nights of the home's own datasets whose schedules were removed while the server was down."""
    from prefect.client.schemas.filters import DeploymentFilter

    wanted = {one.full_name.partition("/")[2] for one in plan.deployments if OWN in one.tags}
    for found in client.read_deployments(deployment_filter=DeploymentFilter.model_validate({"tags": {"all_": [OWN]}})):
        if found.name not in wanted:
            client.delete_deployment(found.id)


def _apply_pool(client: "SyncPrefectClient", name: str, pool: Pool) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    try:
        paused = client.read_work_pool(name).is_paused
    except ObjectNotFound:
        paused = False
    about = pool.model_dump(include=ABOUT_POOLS)
    client.create_work_pool(WorkPoolCreate(name=name, is_paused=paused, type=pool.type, **about), overwrite=True)
    for queue, limit in pool.queues.items():
        try:
            found = client.read_work_queue_by_name(queue, work_pool_name=name)
            client.update_work_queue(found.id, concurrency_limit=limit)
        except ObjectNotFound:
            client.create_work_queue(queue, concurrency_limit=limit, work_pool_name=name)


def differences(client: "SyncPrefectClient", plan: Plan, pools: dict[str, Pool]) -> Iterator[str]:
    """Yield a sentence for each setting of the files that the server has otherwise; what it lacks is no difference."""
    from prefect.exceptions import ObjectNotFound

    for one in plan.deployments:
        found = _find(client, one)
        if found:
            yield from _mismatches(one.full_name, _wanted(plan, one), _present(one, found))
    for name, pool in pools.items():
        try:
            there = client.read_work_pool(name)
        except ObjectNotFound:
            continue
        has = {key: getattr(there, key) for key in ABOUT_POOLS}
        has["queues"] = {
            queue.name: queue.concurrency_limit
            for queue in client.read_work_queues(work_pool_name=name)
            if queue.name in pool.queues
        }
        yield from _mismatches(f"pool {name}", pool.model_dump(include=ABOUT_POOLS | {"queues"}), has)


def missing(client: "SyncPrefectClient", plan: Plan) -> Iterator[str]:
    """Yield the full names of the deployments that the server does not have."""
    yield from (one.full_name for one in plan.deployments if _find(client, one) is None)


def paused(client: "SyncPrefectClient", plan: Plan, pools: dict[str, Pool]) -> Iterator[str]:
    """Yield a sentence for each deployment, schedule and pool that somebody has paused."""
    from prefect.exceptions import ObjectNotFound

    for one in plan.deployments:
        found = _find(client, one)
        if found and found.paused:
            yield f"{one.full_name} is paused"
        for entry in found.schedules if found else ():
            if not entry.active:
                yield f"{one.full_name}: the schedule {_shown(entry)} is paused"
    for name in pools:
        with suppress(ObjectNotFound):
            if client.read_work_pool(name).is_paused:
                yield f"the work pool {name} is paused"


def _wanted(plan: Plan, one: Deployment) -> dict[str, Any]:
    return {
        "description": one.description,
        "entrypoint": one.entrypoint,
        "pull": plan.pull_from(CHECKOUT),
        "tags": sorted(one.tags),
        "pool": one.work_pool.name,
        "queue": one.work_pool.work_queue_name,
        "parameters": one.parameters,
        "enforce_parameter_schema": one.enforce_parameter_schema,
        "schedules": {
            when.slug: (when.cron, when.timezone, when.active if "active" in when.model_fields_set else None)
            for when in one.schedules
        },
    }


def _present(one: Deployment, found: "DeploymentResponse") -> dict[str, Any]:
    explicit = {when.slug: "active" in when.model_fields_set for when in one.schedules}
    times = {
        entry.slug: (entry.schedule.model_dump(), entry.active if explicit[entry.slug] else None)
        for entry in found.schedules
        if entry.slug in explicit
    }
    return {
        "description": found.description,
        "entrypoint": found.entrypoint,
        "pull": found.pull_steps,
        "tags": sorted(found.tags),
        "pool": found.work_pool_name,
        "queue": found.work_queue_name,
        "parameters": found.parameters,
        "enforce_parameter_schema": found.enforce_parameter_schema,
        "schedules": {slug: (when.get("cron"), when.get("timezone"), active) for slug, (when, active) in times.items()},
    }


def _mismatches(subject: str, wants: dict[str, Any], has: dict[str, Any]) -> Iterator[str]:
    for key, value in wants.items():
        if has[key] != value:
            yield f"{subject}: expected {key} {_short(value)}, got {_short(has[key])}"


def _short(value: Any) -> str:
    return textwrap.shorten(repr(value), 200, placeholder="...")
