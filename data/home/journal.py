"""Every run writes a record into the home when it begins and updates it when it ends, whatever the server knows.

A run that is killed cannot update its record: it stays `running`, and its process is gone. That is how the next run and
`nightshift status` detect it, with or without a server.
"""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from data.home.processes import Process
from data.home.store import SCHEMA, Store
from data.values import canonical_json, from_json

State = Literal["waiting", "running", "finished", "failed", "cancelled", "crashed"]
ACTIVE = ("waiting", "running")
KEEP_TRAININGS = timedelta(days=30)  # nights are kept for ever, at 1 kB each


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

    @property
    def active(self) -> bool:
        """Whether it has not ended, as far as the record knows."""
        return self.state in ACTIVE

    @property
    def lost(self) -> bool:
        """Whether its process died before it could record how it ended."""
        return self.active and self.process.gone


def now() -> str:
    """Return the current time as records hold it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(store: Store, record: Record) -> Record:
    """Write a record, in place of an earlier one of the same run."""
    store.write_bytes(store.journal(record.id), canonical_json({"schema": SCHEMA, **asdict(record)}))
    return record


def end(store: Store, record: Record, state: State, reason: str = "", **more: Any) -> Record:
    """Record how a run ended: its state, the reason in one sentence, and any other fields of Record."""
    return write(store, replace(record, state=state, reason=reason, ended=now(), **more))


def find(store: Store, id: str) -> Record | None:
    """Return the record of a run; None if there is none.

    Args:
        store: where records are kept.
        id: of the Prefect flow run.

    Raises:
        ValueError: the file holds no record.
    """
    try:
        value = json.loads(store.journal(id).read_bytes())
    except FileNotFoundError:
        return None
    del value["schema"]
    return from_json(Record, value)


def read(store: Store) -> list[Record]:
    """Return all records, the oldest first."""
    names = [path.stem for path in store.journals().glob("*.json") if re.fullmatch("[0-9a-f-]+", path.stem)]
    found = [record for name in names if (record := find(store, name))]
    return sorted(found, key=lambda record: (record.began, record.id))


def prune(store: Store) -> None:
    """Remove the records of trainings that ended and began more than `KEEP_TRAININGS` ago."""
    horizon = (datetime.now(UTC) - KEEP_TRAININGS).isoformat()
    for record in read(store):
        if record.kind == "train" and not record.active and record.began < horizon:
            store.journal(record.id).unlink(missing_ok=True)
