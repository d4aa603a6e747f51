"""The checks at the start of every run that writes: milliseconds now instead of a failure after hours of training."""

import errno
from datetime import UTC, datetime, timedelta
from importlib import metadata

from artifacts.registry import champions, versions
from data.errors import NightshiftError, StorageFailed
from data.home import files, locks, schema
from data.home.files import ADVICE, storage_errors
from data.home.store import Store
from data.values import canonical_json

TOLERANCE = timedelta(minutes=5)  # by which clocks of machines that share a home may differ


def preflight(store: Store, need_bytes: int = 0) -> list[str]:
    """Check that a run can do its work here, before it begins.

    Args:
        store: the home; created if it is not there.
        need_bytes: what the run will write.

    Returns:
        Warnings, a sentence each: a clock that is behind what was recorded.

    Raises:
        Broken: newer code has written here.
        StorageFailed: the home cannot be written, fsync or locks do not work, or the disk is nearly full.
    """
    known = schema.require_known(store)
    store.preflight(need_bytes)
    if not known:
        content = schema.document(metadata.version("nightshift"))
        store.write_bytes(store.home_document(), canonical_json(content))
    require_locks(store)
    return clock_warnings(store)


def require_locks(store: Store) -> None:
    """Check that a lock which is held keeps others out; some network and user-space file systems only say so.

    Raises:
        StorageFailed: there are no locks here.
    """
    path = store.lock_file("preflight")
    with storage_errors(path):
        files.make_folder(path.parent)
        with path.open("ab") as first, path.open("ab") as second:
            # another run may be at the same check: then somebody holds it, and locks work
            if locks.try_lock(first.fileno()) and locks.try_lock(second.fileno()):
                problem = f"two processes can hold the same lock in {path.parent}: its file system has no real locks"
                raise StorageFailed(problem, ADVICE[errno.ENOLCK])


def clock_warnings(store: Store, now: datetime | None = None) -> list[str]:
    """Return a sentence for each ledger whose newest line lies in the future.

    The order of events is the ledger's and not the clock's, so nothing is refused; but the error budget of a year and
    the ages of files go by the clock.
    """
    now, found = now or datetime.now(UTC), []
    for dataset in versions.datasets(store):
        try:
            entries = champions.history(store, dataset)
            newest = max((datetime.fromisoformat(entry.when) for entry in entries), default=now)
        except (NightshiftError, OSError, ValueError):
            continue  # a finding of `verify`
        if newest - now > TOLERANCE:
            found.append(
                f"the clock says {now:%Y-%m-%d %H:%M} UTC, but the ledger of {dataset} has a line from"
                f" {newest:%Y-%m-%d %H:%M}: set the clock, if it is wrong"
            )
    return found
