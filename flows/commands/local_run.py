"""A night in this process, on Prefect's embedded server: what `nightshift retrain` and `nightshift smoke` do."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.commands.console import native_messages_to
from flows.settings import prepare_environment, settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from artifacts.reporting.summary import NightReport
    from flows.smoke import Outcome


def run_night(console: Console, **parameters: Any) -> "NightReport":
    """Run the flow `retrain` in this process and show its progress.

    Args:
        console: where to show it.
        parameters: of the flow; None, "" and () stand for its defaults.

    Raises:
        NightshiftError: the night was refused or failed.
    """
    prepare_environment()
    given = {name: value for name, value in parameters.items() if value not in (None, (), "")}
    _refuse_early(given)
    with _showing_progress(console, settings().home / "native.log"):
        from flows.retrain import retrain

        state: State[Any] = retrain(**given, return_state=True)
    night: NightReport = state.result()  # raises the error that stopped the night
    return night


def run_smoke(console: Console) -> "Outcome":
    """Run the flow `smoke` in this process, on a private server that is removed afterwards.

    Raises:
        Broken: corrupted data or a bad model was accepted, or a good model was not.
    """
    prepare_environment(private_server=True)
    with tempfile.TemporaryDirectory() as folder, _showing_progress(console, Path(folder) / "native.log"):
        from flows.smoke import smoke

        state: State[Any] = smoke(return_state=True)
    outcome: Outcome = state.result()
    return outcome


@contextmanager
def _showing_progress(console: Console, log: Path) -> Iterator[None]:
    """Show progress while the block runs, and import slow libraries while the server, another process, starts."""
    import_module("prefect.server.api.server")  # first: two threads must not import SQLAlchemy at once
    threading.Thread(target=_import_slow_libraries, name="imports", daemon=True).start()
    console.print("starting the embedded Prefect server", style="dim")
    from flows.commands.progress import showing

    with native_messages_to(log), showing(console):
        yield


def _import_slow_libraries() -> None:
    for module in ("great_expectations", "keras"):
        import_module(module)


def _refuse_early(given: dict[str, Any]) -> None:
    """Refuse bad input in milliseconds, before a server is started, which takes seconds."""
    from artifacts.gate.policy import Policy
    from artifacts.recipes.candidate import Candidate
    from data import catalogue

    store = settings().store
    row = catalogue.get(store, given["dataset"])
    for recipe in given.get("recipes", ()):
        Candidate.parse(recipe)
    Policy().changed(given.get("policy", {}))
    store.preflight(row.bytes_needed)
