"""Is the pipeline doing its work? Read from the home alone, so that it can be asked when the server is dead."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from artifacts.registry import champions, ledger
from data import journal
from data.journal import Record
from data.store import Store


@dataclass(frozen=True)
class Limits:
    """When to raise an alert.

    Args:
        not_promoted_nights: so many nights in a row without a new champion.
        champion_days: age of a champion.
        success_hours: time since the last night that came to its end.
    """

    not_promoted_nights: int = 30
    champion_days: int = 90
    success_hours: int = 36


@dataclass(frozen=True)
class Alert:
    """One thing that a person should look at.

    Args:
        subject: the dataset.
        problem: what is wrong.
        hint: what to do.
    """

    subject: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}"


def nights(store: Store) -> dict[str, list[Record]]:
    """Return the nights of every dataset, the oldest first: no dry runs, and none that was cancelled."""
    found: dict[str, list[Record]] = {}
    for record in journal.read(store):
        if record.kind == "retrain" and record.mode != "dry-run" and record.state != "cancelled":
            found.setdefault(record.dataset, []).append(record)
    return found


def find_alerts(store: Store, limits: Limits, now: datetime | None = None) -> list[Alert]:
    """Return everything that wants a person's attention; nothing when all is well.

    Args:
        store: the home; only read.
        limits: when to raise an alert.
        now: UTC; the present moment when not given.

    Raises:
        Corrupt: a ledger is damaged.
    """
    now = now or datetime.now(UTC)
    found = nights(store)
    if not found:
        return [Alert("all", "no night has ever run in this home", "run: nightshift retrain")]
    return [alert for name in sorted(found) for alert in _dataset(store, name, found[name], limits, now)]


def _dataset(store: Store, dataset: str, records: list[Record], limits: Limits, now: datetime) -> Iterator[Alert]:
    over = [record for record in records if record.lost or not record.active]
    finished = [record for record in over if record.state == "finished"]
    if over and over[-1].state != "finished":
        yield Alert(dataset, _how_it_ended(over[-1]), f"mend it, then: nightshift retrain {dataset}")
    last_first = [record.promoted for record in reversed(finished)]
    in_vain = last_first.index(True) if True in last_first else len(last_first)
    if in_vain >= limits.not_promoted_nights:
        problem = f"nothing was promoted in {in_vain} nights, the limit is {limits.not_promoted_nights}"
        yield Alert(dataset, problem, f"see why: nightshift history {dataset}")
    since = datetime.fromisoformat(finished[-1].ended if finished else records[0].began)
    if now - since > timedelta(hours=limits.success_hours):
        what = "the last night to reach its end did so" if finished else "no night has reached its end; the first began"
        yield Alert(dataset, f"{what} {_ago(now - since)} ago", "see whether the server is up: nightshift server up")
    moves = [entry for entry in champions.history(store, dataset) if entry.action in ledger.MOVES]
    age = now - datetime.fromisoformat(moves[-1].when) if moves else timedelta()
    if age > timedelta(days=limits.champion_days):
        problem = f"{moves[-1].to_version} has been champion for {_ago(age)}, the limit is {limits.champion_days} days"
        yield Alert(dataset, problem, f"see why nothing replaced it: nightshift history {dataset}")


def _how_it_ended(last: Record) -> str:
    if last.lost:
        return f"the last night, {last.run}, crashed: {last.process} died without a word"
    return f"the last night, {last.run}, {last.state}: {last.reason.splitlines()[0] if last.reason else 'no reason'}"


def _ago(span: timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"
