"""When each step of a night began and ended."""

import time
from datetime import datetime

from artifacts.recipes.candidate import Candidate
from artifacts.reporting.measured import Step
from data.errors import BadInput
from data.home import journal
from data.home.journal import Record
from data.home.store import Store
from tasks.progress import Event


class Timeline:
    """Listens to the progress of a run in this process; a step begins where the one before it was last heard of."""

    def __init__(self) -> None:
        self._zero = time.monotonic()
        self._last = 0.0
        self._steps: dict[str, tuple[float, float]] = {}

    def __call__(self, event: Event) -> None:
        """Note that a step is under way, or has ended."""
        now = time.monotonic() - self._zero
        began = now if event.done == 0.0 else self._last
        self._steps[event.step] = (self._steps.get(event.step, (began, 0.0))[0], now)
        self._last = now

    def steps(self) -> list[Step]:
        """Return the steps so far, in the order in which they were first heard of."""
        return [Step(name, round(began, 3), round(ended, 3)) for name, (began, ended) in self._steps.items()]


def trainings(store: Store, night: Record) -> list[Step]:
    """Return when candidates were trained by workers during a night, to the second; their records say so.

    Args:
        store: the home.
        night: the record of the night; one night per dataset runs at a time.
    """
    zero, found = datetime.fromisoformat(night.began), []
    for record in journal.read(store):
        if (record.kind, record.dataset) != ("train", night.dataset) or record.began < night.began or not record.ended:
            continue
        began, ended = ((datetime.fromisoformat(at) - zero).total_seconds() for at in (record.began, record.ended))
        found.append(Step(f"train {_candidate(record)}", began, ended))
    return found


def _candidate(record: Record) -> str:
    try:
        return Candidate.parse(record.result["recipe"], record.result["seed"]).name
    except (KeyError, BadInput):
        return record.run
