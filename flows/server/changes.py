"""What the commands about datasets change on a running server at once, without another `make deploy`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from data.errors import BadInput, Broken
from data.home.store import Store
from flows.server import deployments, schedules, stack
from flows.server.schedules import Schedule
from flows.settings import names_a_server, prepare_environment

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


@contextmanager
def connected(store: Store) -> Iterator["SyncPrefectClient | None"]:
    """Yield a client of the server at PREFECT_API_URL, else of this home's; None if there is none.

    Raises:
        Broken: the server refused what was sent, or does not answer.
    """
    here = None if names_a_server() else stack.running(store)
    if here is None and not names_a_server():
        yield None
        return
    prepare_environment()
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    own = {PREFECT_API_URL: here.url, PREFECT_API_AUTH_STRING: stack.auth(store)} if here else {}
    try:
        with temporary_settings(own), get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectException) as error:
        raise Broken(
            f"the Prefect server did not take the change ({str(error).splitlines()[0]})",
            "check the server, then run: make deploy",
        ) from error


def refresh_forms(store: Store) -> bool:
    """Let the forms and the API of a running server know the datasets of this home; return whether there is a server.

    Raises:
        Broken: the server did not take it.
    """
    with connected(store) as client:
        if client is not None:
            _refresh(client, store)
        return client is not None


def _refresh(client: "SyncPrefectClient", store: Store) -> None:
    from prefect.client.schemas.actions import DeploymentUpdate
    from prefect.exceptions import ObjectNotFound
    from prefect.utilities.callables import parameter_schema

    for one in deployments.whole_plan(store).deployments:
        schema = parameter_schema(deployments.flow_of(one.entrypoint)).model_dump()
        try:
            found = client.read_deployment_by_name(one.full_name)
        except ObjectNotFound:
            continue  # nobody has deployed it: `make deploy` will, with the lists of that day
        if found.parameter_openapi_schema != schema:  # an update removes planned runs until the scheduler runs again
            client.update_deployment(found.id, DeploymentUpdate(parameter_openapi_schema=schema))


def schedule(store: Store, dataset: str, when: Schedule) -> str:
    """Keep when a dataset is trained by itself, and deploy that on the running server.

    Returns:
        The deployment's full name.

    Raises:
        BadInput: no server is running; or prefect.yaml has the dataset's nights.
        Broken: the server did not take it.
    """
    # whoever gives this command wants nights, even if an earlier schedule was paused
    one = deployments.nightly(dataset, when.model_copy(update={"active": True}))
    _require_not_in_the_file(one, dataset)
    with connected(store) as client:
        if client is None:
            raise BadInput(
                "no Prefect server is running, so nothing would start the nights",
                "start one with 'make server', or set PREFECT_API_URL, and give this command again",
            )
        plan = deployments.read_plan()
        _refresh(client, store)  # the server checks the parameters against the lists it has
        deployments.apply(client, plan, one, deployments.flow_of(one.entrypoint))
        schedules.write(store, dataset, when)
    return one.full_name


def unschedule(store: Store, dataset: str) -> bool:
    """Forget when a dataset is trained by itself, here and on the running server; return whether it was.

    Raises:
        BadInput: prefect.yaml has the dataset's nights.
        Broken: the server did not take it.
    """
    when = Schedule(slug="nightly", cron=schedules.EVERY["night"], timezone="UTC")
    one = deployments.nightly(dataset, when)
    if not schedules.remove(store, dataset):
        _require_not_in_the_file(one, dataset)
        return False
    with connected(store) as client:
        if client is not None:
            _delete(client, one.full_name)
    return True


def rename(store: Store, dataset: str, new: str) -> bool:
    """Let what trains a dataset by itself train it under its new name; return whether anything does.

    Raises:
        Corrupt: the schedule is not readable.
        Broken: the server did not take it.
    """
    when = schedules.read(store).get(dataset)
    if when is None:
        return False
    schedules.write(store, new, when)
    unschedule(store, dataset)
    with connected(store) as client:
        if client is not None:
            one = deployments.nightly(new, when)
            _refresh(client, store)
            deployments.apply(client, deployments.read_plan(), one, deployments.flow_of(one.entrypoint))
    return True


def _delete(client: "SyncPrefectClient", full_name: str) -> None:
    from prefect.exceptions import ObjectNotFound

    try:
        client.delete_deployment(client.read_deployment_by_name(full_name).id)
    except ObjectNotFound:
        return


def _require_not_in_the_file(one: deployments.Deployment, dataset: str) -> None:
    if one.full_name in {other.full_name for other in deployments.read_plan().deployments}:
        raise BadInput(
            f"the nights of {dataset} are scheduled in {deployments.FILE.name} ({one.full_name})",
            f"change its schedules in {deployments.FILE.name}, then run: make deploy",
        )
