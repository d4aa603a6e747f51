"""A night in this process, on Prefect's embedded server: what `nightshift retrain` and `nightshift smoke` do."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.commands.console import native_messages_to
from flows.runs.stopping import stopping_promptly
from flows.server import connection
from flows.settings import names_a_server, prepare_environment, remove_private_home, settings

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
        Stopped: the process was asked to stop.
    """
    prepare_environment()
    given = {name: value for name, value in parameters.items() if value not in (None, (), "")}
    _refuse_early(given)
    home = settings().store
    with stopping_promptly(home), _with_server(console) as ready, _showing_progress(console, home.root / "native.log"):
        from flows.retrain import retrain

        ready()
        state: State[Any] = retrain(**given, return_state=True)
        night: NightReport = state.result()  # raises the error that stopped the night
    return night


def run_smoke(console: Console) -> "Outcome":
    """Run the flow `smoke` in this process, on a private server that is removed afterwards.

    Raises:
        Broken: corrupted data or a bad model was accepted, or a good model was not.
        Stopped: the process was asked to stop.
    """
    prepare_environment(private_server=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        stopping_promptly(settings().store, remove_private_home),
        _with_server(console) as ready,
        _showing_progress(console, Path(folder) / "native.log"),
    ):
        from flows.smoke import smoke

        ready()
        state: State[Any] = smoke(return_state=True)
        outcome: Outcome = state.result()
    return outcome


@contextmanager
def _with_server(console: Console) -> Iterator[Callable[[], None]]:
    """Use the server at PREFECT_API_URL, or start a private one, beside which slow libraries can be imported.

    Yields:
        A function that waits until the server answers.

    Raises:
        Broken: it does not answer, or failed during the block.
    """
    if not names_a_server():
        console.print("starting a Prefect server for this run", style="dim")
    with connection.server() as ready, connection.explained():
        yield ready


@contextmanager
def _showing_progress(console: Console, log: Path) -> Iterator[None]:
    """Show progress while the block runs, and import slow libraries in the meantime."""
    threading.Thread(target=_import_slow_libraries, name="imports", daemon=True).start()
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
    from artifacts.upkeep.preflight import preflight
    from data import catalogue

    store = settings().store
    row = catalogue.get(store, given["dataset"])
    for recipe in given.get("recipes", ()):
        Candidate.parse(recipe)
    Policy().changed(given.get("policy", {}))
    preflight(store, row.bytes_needed)  # its warnings come with the run
