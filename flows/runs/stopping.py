"""Ctrl-C and SIGTERM end a run in a terminal within GRACE_S seconds, whatever it is doing.

Python handles signals between two steps of the main thread, which may be inside TensorFlow for minutes, and Prefect
waits for a server that it cannot reach. So a thread waits beside: when the time is up, or at a second Ctrl-C, it
records that the runs of this process were cancelled, kills the processes that they started, and ends this one.
"""

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from data.home import journal
from data.home.processes import descendants
from data.home.store import Store

GRACE_S = 4.0  # for the ordinary way out
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LINE = "stopped; the next run resumes after the last complete step"


class Stopped(KeyboardInterrupt):
    """The process was asked to stop.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = exit_code(number)


def exit_code(number: int) -> int:
    """Return the exit code of a program that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number


@contextmanager
def stopping_promptly(store: Store, clean_up: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Raise Stopped in the main thread at the first signal, and end the process if that is not enough.

    The signals stay as they are set here: what follows the block, such as Prefect's threads, is covered, too.

    Args:
        store: the home, in whose journal the runs of this process are.
        clean_up: called before the process is ended by force; must be quick.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    terminal = os.dup(2)  # standard error may be redirected by then
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)  # the kernel's signal writes its number there
    for one in SIGNALS:
        signal.signal(one, _raise)
    args = (reading, terminal, store, clean_up)
    threading.Thread(target=_end_in_time, args=args, name="stopping", daemon=True).start()
    yield


def _raise(number: int, _: FrameType | None) -> None:
    for one in SIGNALS:
        signal.signal(one, lambda *_: None)  # the thread has seen the first one, and will see the next
    raise Stopped(number)


def _end_in_time(reading: int, terminal: int, store: Store, clean_up: Callable[[], object]) -> None:
    number = 0
    while number not in SIGNALS:
        number = os.read(reading, 1)[0]
    give_up = threading.Event()
    timer = threading.Timer(GRACE_S, give_up.set)
    timer.daemon = True
    timer.start()
    while not give_up.wait(0.05):
        ready, _, _ = select.select([reading], [], [], 0)
        if ready and os.read(reading, 1)[0] == signal.SIGINT:  # Prefect repeats SIGTERM, which counts once
            break
    _end(number, terminal, store, clean_up)


def _end(number: int, terminal: int, store: Store, clean_up: Callable[[], object]) -> None:
    with suppress(Exception):
        journal.cancel_own(store, f"stopped by {signal.Signals(number).name}")
    with suppress(OSError):
        shown = "\x1b[?25h\n" if os.isatty(terminal) else ""  # a progress bar hides the cursor
        os.write(terminal, f"{shown}{LINE}\n".encode())
    leave(exit_code(number), clean_up)


def leave(code: int, clean_up: Callable[[], object] = lambda: None) -> NoReturn:
    """End this process and all that it started at once, without waiting for threads or for memory to be freed.

    Args:
        code: its exit code.
        clean_up: called before.
    """
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    with suppress(Exception):
        clean_up()
    os._exit(code)
