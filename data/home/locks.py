"""Locks that the kernel releases when their holder dies, and one way to wait for them: report it once, then poll.

A lock that is kept for as long as something runs is also a sign of life for others: `keep` touches its file regularly,
for machines that do not see each other's locks.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from data.home import files

T = TypeVar("T")

POLL_S = 0.05
TOUCH_S = 30.0  # seconds between two signs of life of a lock that is kept
READER_S = 1.0  # a lock that is only being looked at is free again within microseconds


def try_lock(descriptor: int) -> bool:
    """Lock an open file exclusively unless another process holds its lock; return whether it is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for(
    attempt: Callable[[], T | None],
    on_wait: Callable[[], None] | None = None,
    *,
    timeout_s: float | None = None,
    poll_s: float = POLL_S,
) -> T:
    """Return the first result of `attempt` that is true, such as a lock that was free.

    Args:
        attempt: called until its result is true; the first time at once, even if `timeout_s` is 0.
        on_wait: called once, before the first pause; not at all if the first attempt succeeds.
        timeout_s: seconds after which to give up; None waits for ever.
        poll_s: seconds between two attempts.

    Raises:
        BlockingIOError: the time is up.
    """
    give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
    reported = False
    while not (result := attempt()):
        if give_up_at is not None and time.monotonic() >= give_up_at:
            raise BlockingIOError("another process holds the lock")
        if on_wait and not reported:
            on_wait()
        reported = True
        time.sleep(poll_s)
    return result


@dataclass(frozen=True)
class Sign:
    """What a lock's file says about its holder.

    Args:
        held: whether a process of this machine holds it, or of another one where the file system shares locks.
        silence: since its holder last touched it.
    """

    held: bool
    silence: timedelta


_kept: dict[Path, int] = {}  # open files by path
_guard = threading.Lock()


def keep(path: Path) -> bool:
    """Take a lock for this process, which keeps it until `release` or its death; return whether it is ours.

    Args:
        path: of the lock's file, which is created.

    Raises:
        StorageFailed: the file cannot be created or locked.
    """
    with _guard:
        if path in _kept:
            return True
        with files.storage_errors(path):
            files.make_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            try:
                wait_for(lambda: try_lock(descriptor), timeout_s=READER_S)
            except OSError as error:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    return False
                raise
        _kept[path] = descriptor
        _start_touching()
    return True


def release(path: Path) -> None:
    """Give back a lock that this process keeps; nothing happens if it does not."""
    with _guard:
        descriptor = _kept.pop(path, None)
    if descriptor is not None:
        os.close(descriptor)


def sign_of_life(path: Path) -> Sign | None:
    """Return whether a lock is held and when it was touched; None if that cannot be seen from here.

    Nothing is written, so a read-only home will do.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return Sign(held=False, silence=timedelta.max)
    except OSError:
        return None
    try:
        silence = timedelta(seconds=time.time() - os.fstat(descriptor).st_mtime)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not disturb each other
    except BlockingIOError:
        return Sign(held=True, silence=silence)
    except OSError:  # this file system has no locks
        return None
    finally:
        os.close(descriptor)
    return Sign(held=False, silence=silence)


def _start_touching() -> None:
    if not any(thread.name == "signs of life" for thread in threading.enumerate()):
        threading.Thread(target=_touch_for_ever, name="signs of life", daemon=True).start()


def _touch_for_ever() -> None:
    while True:
        time.sleep(TOUCH_S)
        touch()


def touch() -> None:
    """Show others that this process lives."""
    with _guard:
        for descriptor in _kept.values():
            with contextlib.suppress(OSError):
                os.utime(descriptor)
