"""A night in this process, on Prefect's embedded server: what `nightshift retrain` and `nightshift smoke` do."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.settings import prepare_environment, settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from artifacts.reporting.summary import NightReport
    from flows.smoke import Outcome


def run_night(console: Console, **parameters: Any) -> "NightReport":
    """Run the flow `retrain` here and show what it does.

    Args:
        console: where to show it.
        parameters: the flow's; what is None or empty is left to its defaults.

    Raises:
        NightshiftError: the night was refused or broke.
    """
    prepare_environment()
    given = {name: value for name, value in parameters.items() if value not in (None, (), "")}
    _refuse_early(given)
    with _at_work(console, settings().home / "native.log"):
        from flows.retrain import retrain

        state: State[Any] = retrain(**given, return_state=True)
    night: NightReport = state.result()  # raises what stopped the night
    return night


def run_smoke(console: Console) -> "Outcome":
    """Run the flow `smoke` here, on a private server that is gone afterwards.

    Raises:
        Broken: something got through that must not, or did not that must.
    """
    prepare_environment(alone=True)
    with tempfile.TemporaryDirectory() as folder, _at_work(console, Path(folder) / "native.log"):
        from flows.smoke import smoke

        state: State[Any] = smoke(return_state=True)
    outcome: Outcome = state.result()
    return outcome


@contextmanager
def _at_work(console: Console, log: Path) -> Iterator[None]:
    """Show what happens while the block runs, and import slow libraries while the server, another process, starts."""
    import_module("prefect.server.api.server")  # before the thread: both would import SQLAlchemy, each half of it
    threading.Thread(target=_import_slow_libraries, name="imports", daemon=True).start()
    console.print("starting the embedded Prefect server", style="dim")
    from flows.commands.console import native_messages_to
    from flows.commands.progress import showing

    with native_messages_to(log), showing(console):
        yield


def _import_slow_libraries() -> None:
    for module in ("great_expectations", "keras"):
        import_module(module)


def _refuse_early(given: dict[str, Any]) -> None:
    """Check what can be checked in milliseconds before seconds are spent on starting a server."""
    from artifacts.gate.policy import Policy
    from artifacts.recipes.candidate import Candidate
    from data import catalogue

    store = settings().store
    row = catalogue.get(store, given["dataset"])
    for recipe in given.get("recipes", ()):
        Candidate.parse(recipe)
    Policy().changed(given.get("policy", {}))
    store.preflight(row.bytes_needed)
