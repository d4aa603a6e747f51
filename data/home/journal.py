"""Every run writes a record into the home when it begins and updates it when it ends, whatever the server knows.

As long as its record is active, a run holds a lock, which the kernel releases when the process dies, in whatever
container, and touches the lock's file. A run that is killed cannot update its record: it stays `running`, and nobody
holds its lock. That is how the next run and `nightshift status` detect it, with or without a server.
"""

import contextlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from data.errors import Conflict, Corrupt
from data.home import locks
from data.home.locks import Sign
from data.home.processes import Process
from data.home.store import SCHEMA, Store
from data.values import canonical_json, from_json

State = Literal["waiting", "running", "finished", "failed", "cancelled", "crashed"]
ACTIVE = ("waiting", "running")
KEEP_TRAININGS = timedelta(days=30)  # nights are kept for ever, at 1 kB each
SILENCE = timedelta(minutes=15)  # after which a run of another machine counts as crashed; clocks must agree that far
WITHOUT_LOCK = timedelta(days=1)  # the same for one that holds no lock, as by earlier versions: no night takes longer


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run of `retrain` or `train`.

    Args:
        id: of the Prefect flow run, a UUID.
        kind: name of the flow, "retrain" or "train".
        run: readable id; for a night also the folder's name under runs/.
        dataset: name in the catalogue.
        process: the process that runs it.
        began: UTC, ISO 8601.
        mode: "normal", "dry-run" or "force".
        scheduled: started by a schedule, not by a person.
        deployment: id of the Prefect deployment; "" for a run in a terminal.
        slots: the scheduled times that this run covers, UTC, ISO 8601; more than one after downtime.
        state: `waiting` while another run of the same dataset is under way.
        ended: UTC, ISO 8601; "" while it is active.
        verdict: the gate's, or UNCHANGED; "" without one.
        promoted: whether there is a new champion.
        reason: one sentence.
        result: of a training: recipe, seed, digest, reused.
        locked: whether its process holds the run's lock for as long as the record is active.
        silent: on reading, whether the lock shows that the run is dead; None for a run without one. Never stored.
    """

    id: str
    kind: str
    run: str
    dataset: str
    process: Process
    began: str
    mode: str = "normal"
    scheduled: bool = False
    deployment: str = ""
    slots: tuple[str, ...] = ()
    state: State = "running"
    ended: str = ""
    verdict: str = ""
    promoted: bool = False
    reason: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    locked: bool = False
    silent: bool | None = field(default=None, compare=False)

    @property
    def active(self) -> bool:
        """Whether it has not ended, as far as the record knows."""
        return self.state in ACTIVE

    @property
    def lost(self) -> bool:
        """Whether its process died before it could record how it ended, or has been silent for too long."""
        if not self.active:
            return False
        if self.silent is not None:
            return self.silent
        age = datetime.now(UTC) - datetime.fromisoformat(self.began)
        return self.process.gone or (not self.process.here and age > WITHOUT_LOCK)

    @property
    def why_lost(self) -> str:
        """How it is known that a lost run died, in one sentence."""
        if self.process.same_kernel or self.process.gone:
            return f"{self.process} exited without recording a result"
        return f"{self.process} has shown no sign of life for {SILENCE.seconds // 60} minutes"

    @property
    def working(self) -> bool:
        """Whether its process certainly runs; False for one of another machine, of which nothing is certain here."""
        held = self.silent is False and self.process.same_kernel
        return self.active and (held or self.process.alive)


def now() -> str:
    """Return the current time as records hold it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(store: Store, record: Record) -> Record:
    """Write a record, in place of an earlier one of the same run; an active one of this process takes the run's lock.

    Returns:
        The record as it was written.

    Raises:
        Conflict: another process executes this run.
        StorageFailed: the home cannot be written, or its file system has no locks.
    """
    if record.active and record.process == Process.current():
        _take_lock(store, record)
        record = replace(record, locked=True)
    value = {"schema": SCHEMA, **asdict(record)}
    del value["silent"]
    store.write_bytes(store.journal(record.id), canonical_json(value))
    if not record.active:
        _remove_lock(store, record.id)
    return record


def _take_lock(store: Store, record: Record) -> None:
    if not locks.keep(_lock(store, record.id)):
        raise Conflict(
            f"run {record.id} is already executed by another process",
            "wait until that one has ended; nightshift status shows it",
        )


def _remove_lock(store: Store, id: str) -> None:
    """Forget the lock of a run whose record says how it ended."""
    with contextlib.suppress(OSError):  # only a leftover of a few bytes
        _lock(store, id).unlink(missing_ok=True)
    locks.release(_lock(store, id))


def _lock(store: Store, id: str) -> Path:
    return store.lock_file(f"run-{id}")


def end(store: Store, record: Record, state: State, reason: str = "", **more: Any) -> Record:
    """Record how a run ended: its state, the reason in one sentence, and any other fields of Record."""
    return write(store, replace(record, state=state, reason=reason, ended=now(), **more))


def end_lost(store: Store) -> list[str]:
    """End the records of runs that died, without telling a server; return a sentence for each."""
    done = []
    for record in read(store):
        now = find(store, record.id) if record.lost else None  # it may have ended since
        if now is not None and now.lost:
            end(store, now, "crashed", now.why_lost)
            done.append(f"{now.run} is recorded as crashed: {now.why_lost}")
    return done


def cancel_own(store: Store, reason: str) -> None:
    """Record that the runs of this process were cancelled: it is about to end."""
    for record in read(store):
        if record.active and record.process == Process.current():
            end(store, record, "cancelled", reason)


def find(store: Store, id: str) -> Record | None:
    """Return the record of a run; None if there is none.

    Args:
        store: where records are kept.
        id: of the Prefect flow run.

    Raises:
        Corrupt: the file holds no record that this version can read.
    """
    path = store.journal(id)
    if not path.exists():
        return None
    # first the lock, then the record: a run that ends in between has released one and completed the other
    sign = locks.sign_of_life(_lock(store, id))
    record = _read(path)
    if record is None or sign is None or not record.locked:
        return record
    return replace(record, silent=_shows_death(record.process, sign))


def _shows_death(process: Process, sign: Sign) -> bool:
    """Whether the state of its lock shows that a run is dead.

    On the kernel that the run was started on, the lock is proof. Another machine's locks may not be visible here, as on
    some network file systems, or outlive it; then its silence decides.
    """
    if process.same_kernel:
        return not sign.held
    return sign.silence > SILENCE or (process.gone and not sign.held)


def _read(path: Path) -> Record | None:
    try:
        value = json.loads(path.read_bytes())
        schema = value.pop("schema")
        if schema != SCHEMA:
            raise ValueError(f"it has schema {schema}, this version reads {SCHEMA}")
        record = from_json(Record, value)
        datetime.fromisoformat(record.began)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(
            f"{path} is not a record of a run that this version can read ({error})",
            "use the version that wrote it; if it is damaged, delete it: it only says how one run ended",
        ) from error
    return record


def read(store: Store) -> list[Record]:
    """Return all records that can be read, the oldest first; `damaged` names the others."""
    found = []
    for name in _names(store):
        with contextlib.suppress(Corrupt):  # one bad file must not stop every night
            found.append(find(store, name))
    return sorted(filter(None, found), key=lambda record: (record.began, record.id))


def damaged(store: Store) -> list[Corrupt]:
    """Return an error for each file of the journal that cannot be read."""
    found = []
    for name in _names(store):
        try:
            _read(store.journal(name))
        except Corrupt as error:
            found.append(error)
    return found


def _names(store: Store) -> list[str]:
    files = (path for path in store.journals().glob("*.json") if path.is_file())
    return sorted(path.stem for path in files if re.fullmatch("[0-9a-f-]+", path.stem))


def prune(store: Store) -> None:
    """Remove the records of trainings that ended and began more than `KEEP_TRAININGS` ago."""
    horizon = (datetime.now(UTC) - KEEP_TRAININGS).isoformat()
    for record in read(store):
        if record.kind == "train" and not record.active and record.began < horizon:
            store.journal(record.id).unlink(missing_ok=True)
