"""What a run says while it works: to whoever listens in this process, to the log, and as a note in the Prefect UI."""

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
    """One thing worth showing.

    Args:
        step: which step speaks, such as "download" or "train cnn".
        text: what it says, one line.
        done: how much of the step is done, in [0, 1]; None when it cannot be said.
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
    """Tell the listeners; write a line to the run's log for what is not mere progress."""
    for listener in _listeners:
        listener(Event(step, text, done))
    if done is None or done >= 1:
        with _inside_a_run() as inside:
            if inside:
                get_run_logger().info("%s: %s", step, text)


class Bar:
    """A progress note in the Prefect UI, and the same to the listeners.

    Args:
        step: which step it belongs to.
        every_s: the least time in seconds between two updates of the note: each is a request to the server.
    """

    def __init__(self, step: str, every_s: float = 1.0) -> None:
        self._step = step
        self._every_s = every_s
        self._last = 0.0
        self._note: UUID | None = None
        with _inside_a_run() as inside:
            if inside:
                self._note = _id(create_progress_artifact(0.0, description=step))

    def __call__(self, done: float, text: str) -> None:
        """Move to `done` in [0, 1]."""
        say(self._step, text, done)
        now = time.monotonic()
        if self._note and (done >= 1 or now - self._last >= self._every_s):
            update_progress_artifact(self._note, progress=100 * done, description=f"{self._step}: {text}")
            self._last = now


def _id(note: object) -> UUID:
    assert isinstance(note, UUID)  # outside async code Prefect answers with the id itself
    return note


@contextmanager
def _inside_a_run() -> Iterator[bool]:
    """Whether Prefect runs us: the same code serves tests and notebooks without a server."""
    try:
        get_run_context()
    except MissingContextError:
        yield False
    else:
        yield True
