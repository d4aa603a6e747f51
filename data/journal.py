"""Every run leaves a record in the home when it begins and amends it when it ends, whatever the server knows.

A run that is killed cannot amend its record: it stays `running`, and its process is gone. That is how the next run, and
`nightshift status`, know of it, with or without a server.
"""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from data.processes import Process
from data.store import SCHEMA, Store
from data.values import canonical_json

State = Literal["waiting", "running", "finished", "failed", "cancelled", "crashed"]
ACTIVE = ("waiting", "running")
KEEP_TRAININGS = timedelta(days=30)  # nights are kept for ever, 1 kB each; nobody asks for an old training's record


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run of `retrain` or `train`.

    Args:
        id: the Prefect flow run's.
        kind: name of the flow.
        run: readable id; for a night also the folder's name under runs/.
        dataset: name in the catalogue.
        process: who does it.
        began: UTC, ISO 8601.
        mode: "normal", "dry-run" or "force".
        scheduled: started by a schedule, not by a person.
        deployment: id of the Prefect deployment; "" for a run in a terminal.
        slots: the scheduled times for which this run stands; more than one after downtime.
        state: what became of it; `waiting` for another night of the same dataset.
        ended: UTC, ISO 8601; "" while it is active.
        verdict: the gate's, or UNCHANGED.
        promoted: whether there is a new champion.
        reason: one sentence.
        result: what a training hands back: recipe, seed, digest, reused.
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
        """Whether its process died before it could say how it ended."""
        return self.active and self.process.gone


def now() -> str:
    """Return the present moment as records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(store: Store, record: Record) -> Record:
    """Keep a record, in place of an earlier one about the same run."""
    store.write_bytes(store.journal(record.id), canonical_json({"schema": SCHEMA, **asdict(record)}))
    return record


def end(store: Store, record: Record, state: State, reason: str = "", **more: Any) -> Record:
    """Write down how a run ended."""
    return write(store, replace(record, state=state, reason=reason, ended=now(), **more))


def find(store: Store, id: str) -> Record | None:
    """Return the record of a run, or None if it left none."""
    try:
        value = json.loads(store.journal(id).read_bytes())
    except FileNotFoundError:
        return None
    del value["schema"]
    return Record(**{**value, "process": Process(**value["process"]), "slots": tuple(value["slots"])})


def read(store: Store) -> list[Record]:
    """Return all records, the oldest first."""
    names = [path.stem for path in store.journals().glob("*.json") if re.fullmatch("[0-9a-f-]+", path.stem)]
    found = [record for name in names if (record := find(store, name))]
    return sorted(found, key=lambda record: (record.began, record.id))


def prune(store: Store) -> None:
    """Remove the records of old trainings."""
    horizon = (datetime.now(UTC) - KEEP_TRAININGS).isoformat()
    for record in read(store):
        if record.kind == "train" and not record.active and record.began < horizon:
            store.journal(record.id).unlink(missing_ok=True)
