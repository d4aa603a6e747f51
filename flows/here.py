"""A night in this process, on Prefect's embedded server: what `nightshift retrain` and `nightshift smoke` do."""

import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.settings import prepare_environment, settings

if TYPE_CHECKING:
    from artifacts.report import NightReport


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
    _import_behind(("great_expectations", "tensorflow"))
    console.print("starting the embedded Prefect server", style="dim")
    from flows.live import showing
    from flows.quiet import native_messages_to
    from flows.retrain import retrain

    with native_messages_to(settings().home / "native.log"), showing(console):
        state = retrain(**given, return_state=True)
    night: NightReport = state.result()  # raises what stopped the night
    return night


def _refuse_early(given: dict[str, Any]) -> None:
    """Check what can be checked in milliseconds before seconds are spent on starting a server."""
    from artifacts.recipes.base import Candidate
    from data import catalogue

    store = settings().store
    catalogue.get(store, given["dataset"])
    for recipe in given.get("recipes", ()):
        Candidate.parse(recipe)
    store.preflight()


def _import_behind(modules: tuple[str, ...]) -> None:
    """Import slow libraries while the server, another process, starts: 9 s of waiting that cost nothing this way."""

    def load() -> None:
        for module in modules:
            import_module(module)

    threading.Thread(target=load, name="imports", daemon=True).start()
