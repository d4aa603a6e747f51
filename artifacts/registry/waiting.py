"""Candidates that passed the gate and wait for a person: at most one per dataset, found from the ledger alone.

A line "wait" begins a waiting; its version is stored, and the champion stays. The waiting ends with the line that has
the hash of this one in its digests["answers"]: promote, hold, reject, decline or expire; or with a later "wait", which
replaces it; or when the version becomes champion another way. See docs/decisions/0028-approval.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from artifacts.registry import ledger, pointer, signing
from artifacts.registry.champions import move, recorded_digests, require_generation, require_not_barred
from artifacts.registry.ledger import ANSWERS, Entry
from artifacts.registry.versions import DECISION, VERSION_ID, Version, require_verdict, verify_version
from data.errors import BadInput
from data.home.store import Store

RECIPE = "recipe"  # in the digests of a waiting's line: the fingerprint by which the gate counts its looks
USUAL_DAYS = 14


@dataclass(frozen=True)
class Waiting:
    """One waiting.

    Args:
        entry: the line with which it began.
        end: the line that ended it; None if there is none.
        until: when it expires, UTC.
    """

    entry: Entry
    end: Entry | None
    until: datetime

    @property
    def version(self) -> str:
        """The version that waits, as "mnist/3"."""
        return str(self.entry.to_version)

    def open(self, now: datetime | None = None) -> bool:
        """Whether it has not ended and not expired; by the clock when no time is given."""
        return self.end is None and (now or datetime.now(UTC)) < self.until

    def sentence(self, now: datetime | None = None) -> str:
        """Return what has become of it, in one clause that begins with the version."""
        if self.end is None:
            how = "waits for a person's approval until" if self.open(now) else "has waited for approval, and expired on"
            return f"{self.version} {how} {self.until:%Y-%m-%d %H:%M} UTC"
        end, day = self.end, self.end.when[:10]
        if end.action == "wait":
            return f"{self.version} no longer waits: {end.to_version} took its place on {day}"
        if end.action == "decline":
            return f"{self.version} was declined by {end.who} on {day}: {end.why}"
        if end.action == "expire":
            return f"{self.version} has waited for approval, and expired on {self.until:%Y-%m-%d %H:%M} UTC"
        if end.action in ledger.MOVES:
            return f"{self.version} was approved by {end.who} on {day}: {end.why}"
        return f"{self.version} was judged again on approval on {day}, and lost: {end.decision.get('reason', end.why)}"


# -- reading ------------------------------------------------------------------------------------------------------


def waitings(entries: Sequence[Entry]) -> list[Waiting]:
    """Return every waiting of a dataset, ended or not, oldest first."""
    found: list[Waiting] = []
    for entry in entries:
        if found and found[-1].end is None and _ends(entry, found[-1].entry):
            found[-1] = Waiting(found[-1].entry, entry, found[-1].until)
        if entry.action == "wait":
            days = entry.decision.get("policy", {}).get("approval_days", USUAL_DAYS)
            found.append(Waiting(entry, None, datetime.fromisoformat(entry.when) + timedelta(days=days)))
    return found


def current(entries: Sequence[Entry], now: datetime | None = None) -> Waiting | None:
    """Return what waits for a person; None if nothing does. Whether it has expired is by the clock if not given."""
    found = waitings(entries)
    return found[-1] if found and found[-1].open(now) else None


def of_version(entries: Sequence[Entry], version: str) -> Waiting | None:
    """Return the newest waiting of a version; None if it never waited."""
    return next((one for one in reversed(waitings(entries)) if one.version == version), None)


def _ends(entry: Entry, begun: Entry) -> bool:
    replaced = entry.action == "wait"
    promoted = entry.action in ledger.MOVES and entry.to_version == begun.to_version
    return replaced or promoted or entry.digests.get(ANSWERS) == begun.hash


# -- writing ------------------------------------------------------------------------------------------------------


def wait(
    store: Store, version: Version, *, recipe: str, generation: int, who: str, why: str, when: datetime | None = None
) -> Entry:
    """Let a registered version wait for a person, in place of one that waits already.

    Args:
        store: the home.
        version: what `versions.register` returned.
        recipe: the fingerprint by which the gate counts its looks.
        generation: what `champions.generation` returned before the comparison.
        who: a person or a schedule.
        why: the decision in one sentence.
        when: the time, with a time zone; now when not given.

    Returns:
        The ledger line, or the earlier one if it waits already.

    Raises:
        Conflict: the champion has changed since the comparison.
        BadInput: the weights are barred.
        Corrupt: the version's files have changed.
        StorageFailed: the home cannot be written.
    """
    with pointer.writing(store, version.dataset) as now:
        known = of_version(now.entries, version.id)
        if known:
            return known.entry
        require_generation(version, generation, now)
        verify_version(store, version, now.entries)
        decision = version.document(DECISION)
        require_verdict(decision, "PROMOTE")
        require_not_barred(version, now)
        digests = recorded_digests(store, version) | {RECIPE: recipe}
        return _append(
            store,
            version.dataset,
            now,
            action="wait",
            who=who,
            why=why,
            when=when,
            to_version=version.id,
            verdict=decision["verdict"],
            run_id=version.run_id,
            digests=digests,
            decision=decision,
        )


def approve(
    store: Store,
    version: Version,
    *,
    decision: Mapping[str, Any],
    generation: int,
    who: str,
    why: str,
    when: datetime | None = None,
) -> Entry:
    """Make a version that waits the champion, with the same single rename as `champions.promote`.

    Args:
        store: the home.
        version: a version that waits.
        decision: the gate's decision against the champion of this generation, as JSON; without a look if the
            comparison of the night stands, because that has counted it.
        generation: what `champions.generation` returned before the comparison.
        who: the person who approves.
        why: the reason.
        when: the time, with a time zone; now when not given.

    Returns:
        The ledger line, or the earlier one if the version is champion already.

    Raises:
        Conflict: the champion has changed since the comparison.
        BadInput: it does not wait any more, or its weights are barred.
        Corrupt: the version's files have changed; nothing was promoted.
        StorageFailed: the home cannot be written; the message says whether the champion has changed.
    """
    with pointer.writing(store, version.dataset) as now:
        if now.pointer and now.pointer.version == version.number:
            return now.pointer.event
        waiting = require_open(now.entries, version.id, when)
        require_generation(version, generation, now)
        verify_version(store, version, now.entries)
        require_verdict(decision, "PROMOTE")
        require_not_barred(version, now)
        event: dict[str, Any] = {"who": who, "why": why, "when": when, "verdict": "PROMOTE", "decision": decision}
        run_id, begun = version.run_id, waiting.entry.hash
        return move(store, version, now, answers=begun, action="promote", run_id=run_id, **event)


def lose(store: Store, version: Version, *, decision: Mapping[str, Any], generation: int, who: str, why: str) -> Entry:
    """Record that a version which waits was judged again and not promoted; it waits no longer.

    Raises:
        Conflict: the champion has changed since the comparison.
        BadInput: it does not wait any more.
        StorageFailed: the home cannot be written.
    """
    with pointer.writing(store, version.dataset) as now:
        waiting = require_open(now.entries, version.id)
        require_generation(version, generation, now)
        digests = version.provenance().digests | {ANSWERS: waiting.entry.hash}
        event = {"action": decision["verdict"].lower(), "verdict": decision["verdict"], "run_id": version.run_id}
        return _append(store, version.dataset, now, who=who, why=why, decision=decision, digests=digests, **event)


def decline(store: Store, name: str, *, who: str, why: str, when: datetime | None = None) -> Entry:
    """End the waiting of a version, whose files may be damaged or missing; the champion stays.

    Returns:
        The ledger line, or the earlier one if it was declined already.

    Raises:
        BadInput: it does not wait.
        StorageFailed: the home cannot be written.
    """
    if not VERSION_ID.fullmatch(name):
        raise BadInput(f"{name!r} is not a version", "name one such as mnist/3")
    with pointer.writing(store, name.partition("/")[0]) as now:
        known = of_version(now.entries, name)
        if known and known.end and known.end.action == "decline":
            return known.end
        waiting = require_open(now.entries, name, when)
        return _end(store, now, waiting, action="decline", who=who, why=why, when=when)


def expire(store: Store, dataset: str, *, who: str, when: datetime | None = None) -> Entry | None:
    """Record that what waited has expired; return the ledger line, None if nothing has.

    Raises:
        StorageFailed: the home cannot be written.
    """
    known = waitings(pointer.state(store, dataset).entries)
    if not known or known[-1].end or known[-1].open(when):
        return None  # every night asks, and most of them have nothing to write
    with pointer.writing(store, dataset) as now:
        last = waitings(now.entries)[-1]
        if last.end or last.open(when):
            return None
        days = round((last.until - datetime.fromisoformat(last.entry.when)) / timedelta(days=1))
        why = f"nobody approved or declined it within {days} days"
        return _end(store, now, last, action="expire", who=who, why=why, when=when)


def require_open(entries: Sequence[Entry], version: str, when: datetime | None = None) -> Waiting:
    """Return the waiting of a version.

    Raises:
        BadInput: it does not wait; the message says what has become of it.
    """
    dataset = version.partition("/")[0]
    found = of_version(entries, version)
    if found is None:
        raise BadInput(f"{version} does not wait for approval", f"see what does: nightshift history {dataset}")
    if found.open(when):
        return found
    if found.end and found.end.action in ledger.MOVES:
        raise BadInput(found.sentence(when), f"see what is champion now: nightshift champion {dataset}")
    hint = f"train another candidate, or promote this one by force: nightshift retrain {dataset} --mode force"
    raise BadInput(found.sentence(when), hint)


def _end(store: Store, now: pointer.State, waiting: Waiting, **event: Any) -> Entry:
    digests = {"weights": waiting.entry.digests["weights"], ANSWERS: waiting.entry.hash}
    dataset = waiting.version.partition("/")[0]
    return _append(store, dataset, now, to_version=waiting.version, digests=digests, **event)


def _append(store: Store, dataset: str, now: pointer.State, **event: Any) -> Entry:
    entry = signing.following(store, dataset, now.entries, from_version=now.champion_id, **event)
    ledger.append(store, dataset, entry)
    return entry
