"""Progress events of a run: sent to listeners in this process, to the run's log and to artifacts in the Prefect UI."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import get_run_context
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger


@dataclass(frozen=True)
class Event:
    """A progress message of one step.

    Args:
        step: which step sent it, such as "download" or "train cnn".
        text: the message, one line.
        done: how much of the step is done, in [0, 1]; None if unknown.
    """

    step: str
    text: str
    done: float | None = None


_listeners: list[Callable[[Event], None]] = []


@contextmanager
def listening(listener: Callable[[Event], None]) -> Iterator[None]:
    """Send every event of this process to `listener` while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def say(step: str, text: str, done: float | None = None) -> None:
    """Send an event to the listeners; log it too, unless it is progress within a step (0 <= done < 1)."""
    for listener in _listeners:
        listener(Event(step, text, done))
    if done is None or done >= 1:
        with _inside_a_run() as inside:
            if inside:
                get_run_logger().info("%s: %s", step, text)


class Bar:
    """A progress artifact in the Prefect UI; every update is sent to the listeners as well.

    Args:
        step: which step it belongs to.
        every_s: least seconds between two updates of the artifact: each is a request to the server.
    """

    def __init__(self, step: str, every_s: float = 1.0) -> None:
        self._step = step
        self._every_s = every_s
        self._last = 0.0
        self._artifact: UUID | None = None
        with _inside_a_run() as inside:
            if inside:
                self._artifact = _id(create_progress_artifact(0.0, description=step))

    def __call__(self, done: float, text: str) -> None:
        """Set the progress to `done`, in [0, 1], with one line of text."""
        say(self._step, text, done)
        now = time.monotonic()
        if self._artifact and (done >= 1 or now - self._last >= self._every_s):
            update_progress_artifact(self._artifact, progress=100 * done, description=f"{self._step}: {text}")
            self._last = now


def _id(artifact: object) -> UUID:
    assert isinstance(artifact, UUID)  # a coroutine only in async code
    return artifact


@contextmanager
def _inside_a_run() -> Iterator[bool]:
    """Yield whether this code runs inside a Prefect run; tests and notebooks call it without a server."""
    try:
        get_run_context()
    except MissingContextError:
        yield False
    else:
        yield True
