"""What a run shows of itself in a list of runs: a telling name, and on the first line of a failure what to do."""

from collections.abc import Callable
from datetime import UTC
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from prefect import runtime
from prefect.states import Failed

from data.errors import NightshiftError

P = ParamSpec("P")
R = TypeVar("R")


def night_name() -> str:
    """Return the name of a run of `retrain`: "mnist · 2026-11-20 · nightly"; the date is UTC."""
    asked, tags = runtime.flow_run.parameters or {}, runtime.flow_run.tags or ()
    kind = "nightly" if "auto-scheduled" in tags else "manual"
    mode = asked.get("mode", "normal")
    day = runtime.flow_run.scheduled_start_time.astimezone(UTC)
    return f"{asked.get('dataset')} · {day:%Y-%m-%d} · {kind if mode == 'normal' else mode}"


def explained(body: Callable[P, R]) -> Callable[P, R]:
    """Let a flow that an explained error stops end as Failed, with a message whose first line says what to do.

    Whoever asks for the result gets the error itself; any other exception is Prefect's to report.
    """

    @wraps(body)
    def explaining(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return body(*args, **kwargs)
        except NightshiftError as error:
            return cast(R, Failed(message=in_a_line(error), data=error))

    return explaining


def in_a_line(error: NightshiftError) -> str:
    """Return what came and what to do on one line, and the details, if there are any, below."""
    first, *details = error.problem.splitlines()
    hint = f" -> {error.hint}" if error.hint else ""
    return "\n".join((first.rstrip(":") + hint, *details))
