"""Locks that the kernel releases when their holder dies, and one way to wait for them: report it once, then poll."""

import fcntl
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.05


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
