"""What a run shows of itself in a list of runs: its name and, if it failed, what to do on the first line."""

from collections.abc import Callable
from datetime import UTC
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from prefect import runtime
from prefect.states import Failed

from data.errors import NightshiftError
from data.home.files import disk_failures

P = ParamSpec("P")
R = TypeVar("R")


def night_name() -> str:
    """Return the name of a run of `retrain`: "mnist · 2026-11-20 · nightly"; the date is UTC."""
    parameters, tags = runtime.flow_run.parameters or {}, runtime.flow_run.tags or ()
    kind = "nightly" if "auto-scheduled" in tags else "manual"
    mode = parameters.get("mode", "normal")
    day = runtime.flow_run.scheduled_start_time.astimezone(UTC)
    return f"{parameters.get('dataset')} · {day:%Y-%m-%d} · {kind if mode == 'normal' else mode}"


def errors_to_failed_state(body: Callable[P, R]) -> Callable[P, R]:
    """Decorate a flow so that a NightshiftError ends it as Failed, with `failure_message` as the state's message.

    Whoever asks for the result gets the error itself. Any other exception is left to Prefect.
    """

    @wraps(body)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with disk_failures():
                return body(*args, **kwargs)
        except NightshiftError as error:
            return cast(R, Failed(message=failure_message(error), data=error))

    return wrapper


def failure_message(error: NightshiftError) -> str:
    """Return the problem and what to do on one line, and the details, if there are any, below."""
    first, *details = error.problem.splitlines()
    hint = f" -> {error.hint}" if error.hint else ""
    return "\n".join((first.rstrip(":") + hint, *details))
