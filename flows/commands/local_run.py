"""A night in this process, on Prefect's embedded server: what `nightshift retrain` and `nightshift smoke` do."""

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
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


SLOW_LIBRARIES = ("great_expectations", "keras")


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
    slow = () if _done_before(given) else SLOW_LIBRARIES
    log = home.root / "native.log"
    with stopping_promptly(home), _with_server(console) as ready, _showing_progress(console, log, slow):
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
        _showing_progress(console, Path(folder) / "native.log", SLOW_LIBRARIES),
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
def _showing_progress(console: Console, log: Path, slow: Sequence[str]) -> Iterator[None]:
    """Show progress while the block runs, and import slow libraries in the meantime."""
    threading.Thread(target=lambda: [import_module(one) for one in slow], name="imports", daemon=True).start()
    from flows.commands.progress import showing

    with native_messages_to(log), showing(console):
        yield


def _done_before(given: dict[str, Any]) -> bool:
    """Whether the results of an earlier night are most likely all that is needed: see `flows.runs.due.done_before`."""
    from artifacts.recipes.catalogue import DEFAULT_CANDIDATES
    from data import catalogue
    from flows.runs import due

    store, recipes = settings().store, given.get("recipes", DEFAULT_CANDIDATES)
    asked = due.candidates(recipes, given.get("seed", 0), given.get("seeds", 1))
    return due.done_before(store, catalogue.get(store, given["dataset"]), due.asked_for(asked, given.get("policy", {})))


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
