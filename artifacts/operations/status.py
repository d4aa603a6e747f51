"""Whether the pipeline works: alerts from the home alone, so that they work without a server."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from artifacts.registry import champions, ledger, versions, waiting
from artifacts.registry.waiting import Waiting
from data.errors import Corrupt
from data.home import journal
from data.home.journal import Record
from data.home.store import Store

IDLE = ("UNCHANGED", "POSTPONED")  # nights that found nothing new
NOTHING_TRIED = (*IDLE, "WAITING")  # nights in which there was no other model to promote


@dataclass(frozen=True)
class Limits:
    """When to raise an alert.

    Args:
        not_promoted_nights: after this many consecutive runs that tried another model and promoted none.
        champion_days: when a champion is older than this many days.
        success_hours: when the last run that finished is more than this many hours ago.
    """

    not_promoted_nights: int = 30
    champion_days: int = 90
    success_hours: int = 36


@dataclass(frozen=True)
class Alert:
    """One problem for a person to look at.

    Args:
        subject: the dataset's name, or "all".
        problem: what is wrong.
        hint: what to do.
    """

    subject: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}"


def nights(store: Store) -> dict[str, list[Record]]:
    """Return the records of every dataset's runs, the oldest first, without dry runs and cancelled runs."""
    found: dict[str, list[Record]] = {}
    for record in journal.read(store):
        if record.kind == "retrain" and record.mode != "dry-run" and record.state != "cancelled":
            found.setdefault(record.dataset, []).append(record)
    return found


def find_alerts(store: Store, limits: Limits, now: datetime | None = None) -> list[Alert]:
    """Return everything that needs a person's attention; an empty list when all is well.

    Args:
        store: the home; it is only read.
        limits: when to raise an alert.
        now: the present time in UTC; the clock's when not given.
    """
    now = now or datetime.now(UTC)
    found, damaged = nights(store), [Alert("all", error.problem, error.hint) for error in journal.damaged(store)]
    none = [Alert("all", "no run has ever started in this home", "run: nightshift retrain")]
    names = sorted({*found, *versions.datasets(store)})
    alerts = [alert for name in names for alert in _survey(store, name, found.get(name, []), limits, now)]
    return [*damaged, *alerts] if found else [*(damaged or none), *alerts]


def _survey(store: Store, dataset: str, records: list[Record], limits: Limits, now: datetime) -> list[Alert]:
    """Return the alerts about one dataset; a damaged registry is one of them, and hides none about another."""
    try:
        champions.history(store, dataset)
        return list(_dataset(store, dataset, records, limits, now)) if records else []
    except Corrupt as error:
        return [Alert(dataset, error.problem, error.hint)]


def notes(store: Store) -> list[str]:
    """Return what is no alarm: what waits for a person, and datasets whose last nights found nothing to try."""
    sentences = [
        f"{waits.sentence()}\n  -> nightshift approve {waits.version} --reason WHY, or decline"
        for waits in filter(None, (_waiting(store, name) for name in versions.datasets(store)))
    ]
    for name, records in sorted(nights(store).items()):
        verdicts = [record.verdict for record in reversed(records) if record.state == "finished"]
        idle = next((i for i, verdict in enumerate(verdicts) if verdict not in IDLE), len(verdicts))
        if idle > 1:
            sentences.append(f"{name}: nothing has changed for {idle} nights, so there was no other model to promote")
    return sentences


def _waiting(store: Store, dataset: str) -> Waiting | None:
    try:
        return waiting.current(champions.history(store, dataset))
    except Corrupt:
        return None  # an alert of its own


def _dataset(store: Store, dataset: str, records: list[Record], limits: Limits, now: datetime) -> Iterator[Alert]:
    over = [record for record in records if record.lost or not record.active]
    finished = [record for record in over if record.state == "finished"]
    if over and over[-1].state != "finished":
        yield Alert(dataset, _failure(over[-1]), f"fix it, then: nightshift retrain {dataset}")
    for shift in finished[-1].result.get("shifts", ()) if finished else ():
        yield Alert(
            dataset,
            f"the newest images differ: {shift}",
            "look at the report; if it is meant, nothing needs to be done",
        )
    promoted = [record.promoted for record in reversed(finished) if record.verdict not in NOTHING_TRIED]
    without = promoted.index(True) if True in promoted else len(promoted)
    if without >= limits.not_promoted_nights:
        problem = f"{without} consecutive runs without a promotion, the limit is {limits.not_promoted_nights}"
        yield Alert(dataset, problem, f"see why: nightshift history {dataset}")
    since = datetime.fromisoformat(finished[-1].ended if finished else records[0].began)
    if now - since > timedelta(hours=limits.success_hours):
        what = "the last run that finished did so" if finished else "no run has finished; the first started"
        yield Alert(dataset, f"{what} {_ago(now - since)} ago", "check that the server is up: nightshift server up")
    moves = [entry for entry in champions.history(store, dataset) if entry.action in ledger.MOVES]
    tried = [record.ended for record in finished if record.verdict not in NOTHING_TRIED]
    if not moves or not tried:
        return
    # a champion ages only as long as something could have replaced it: on data that never changes it is simply right
    crowned, last = datetime.fromisoformat(moves[-1].when), datetime.fromisoformat(tried[-1])
    if last - crowned > timedelta(days=limits.champion_days):
        age = _ago(now - crowned)
        problem = f"{moves[-1].to_version} has been champion for {age}, the limit is {limits.champion_days} days"
        yield Alert(dataset, problem, f"see why nothing replaced it: nightshift history {dataset}")


def _failure(last: Record) -> str:
    if last.lost:
        return f"the last run, {last.run}, crashed: {last.process} exited without recording a result"
    reason = last.reason.splitlines()[0] if last.reason else "no reason recorded"
    return f"the last run, {last.run}, {last.state}: {reason}"


def _ago(span: timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"
