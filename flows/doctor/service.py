"""Checks of the home's own Prefect server: does it run, does it answer, has it what the files say?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from artifacts.upkeep.findings import Finding
from data.errors import BadInput, Corrupt
from data.home.store import Store
from flows.server import deployments, stack
from flows.server.changes import connected
from flows.server.started import Started, record_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

UP = "nightshift server up"
DEPLOY = "make deploy, which keeps what is paused"


def summary(store: Store) -> str:
    """Return in one sentence which server there is."""
    now = Started.read(store) if _readable(store) else None
    if now is None:
        return "this home has none"
    return f"{now.ui} answers" if stack.running(store) else f"{now.ui}, which does not answer"


def repair(store: Store) -> list[str]:
    """Clear the record of a server that certainly does not run; mark runs that died, if the server runs."""
    if not store.root.exists():
        return []
    done: list[str] = []
    with store.lock("server"):
        now = Started.read(store) if _readable(store) else None
        if now and not now.runs(store):
            stack.clear(store, now, done.append)
            done.append(f"cleared the record of the server at {now.ui}, which does not run any more")
    if _readable(store) and stack.running(store):
        with connected(store) as client:
            if client is not None:
                from flows.runs.reconcile import reconcile

                done += reconcile(store)
    return done


def _readable(store: Store) -> bool:
    try:
        Started.read(store)
    except Corrupt:
        return False
    return True


def _record(store: Store) -> Iterator[Finding]:
    """Yield what the record of what was started says that is not so."""
    now = Started.read(store)  # raises if it cannot be read, which is a finding, too
    if now is None:
        return
    name = str(record_of(store).relative_to(store.root))
    if not now.runs(store):
        hint = f"{UP}; or nightshift doctor --repair, if none is wanted"
        yield Finding(name, f"the server that was started at {now.ui} does not run any more", hint)
        yield from _port(now)
    elif not stack.healthy(now.url):
        where = "" if now.supervisor.here else f" It runs as {now.supervisor}, elsewhere."
        problem = f"the server at {now.ui} runs, but does not answer.{where}"
        yield Finding(name, problem, f"read {store.root}/server/server.log; nightshift server down, then {UP}")
    for service, process in now.services.items() if now.runs(store) else ():
        if process.gone:
            hint = f"its supervisor starts it again; if it keeps dying, read {store.root}/server/{service}.log"
            yield Finding(service, f"{process} has ended", hint)


def _port(now: Started) -> Iterator[Finding]:
    port = int(now.url.rpartition(":")[2].removesuffix("/api"))
    try:
        stack.require_free(port)
    except BadInput as error:
        yield Finding(f"port {port}", error.problem, error.hint, serious=False)


def _on_the_server(store: Store) -> Iterator[Finding]:
    """Yield what the running server has otherwise than the files say, and what is paused there."""
    if not _readable(store) or stack.running(store) is None:
        return
    with connected(store) as client:
        if client is not None:
            yield from _deployed(client, store)


def _deployed(client: "SyncPrefectClient", store: Store) -> Iterator[Finding]:
    from flows.runs.reconcile import stuck

    plan, pools = deployments.whole_plan(store), deployments.read_pools()
    for line in deployments.differences(client, plan, pools):
        yield Finding("deployments", line, DEPLOY)
    for line in deployments.missing(client, plan):
        yield Finding("deployments", f"{line} is not on the server", DEPLOY)
    for line in deployments.paused(client, plan, pools):
        yield Finding("deployments", line, "resume it in the UI, if that is not meant", serious=False)
    for name, why in stuck(client, store):
        yield Finding(name, f"the server believes that it runs, but {why}", "nightshift doctor --repair")


CHECKS = {"server": _record, "deployments": _on_the_server}
