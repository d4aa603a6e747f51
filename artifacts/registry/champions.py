"""One champion per dataset, and every change of it told in the ledger.

A night goes like this; each step may be repeated after a crash and then changes nothing:

    token = registry.generation(store, "mnist")               before the champion is scored
    version = registry.register(store, "mnist", folder, ...)   what the gate let through gets a number
    registry.promote(store, version, generation=token, ...)    refused if somebody else was faster

or, where the gate said no, `registry.record(...)`. By hand: `rollback`, `bar`, `lift`. Readers take no lock. The
protocol and what it survives: docs/decisions/0007-registry-protocol.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from artifacts.models import bundle
from artifacts.models.provenance import Provenance
from artifacts.registry import ledger, pointer
from artifacts.registry.ledger import Entry
from artifacts.registry.versions import (
    DECISION,
    Version,
    datasets,
    find,
    load,
    register,
    registered,
    require_verdict,
    verify_version,
    versions,
)
from data.errors import BadInput, Conflict
from data.store import Store

__all__ = [
    "Story",
    "Version",
    "bar",
    "champion",
    "champion_at",
    "datasets",
    "find",
    "generation",
    "history",
    "lift",
    "promote",
    "record",
    "register",
    "registered",
    "rollback",
    "rollback_target",
    "verify_version",
    "versions",
    "why",
]


@dataclass(frozen=True)
class Story:
    """Everything that concerns one version.

    Args:
        version: the version.
        decision: why the gate let it through.
        entries: the ledger's lines that name it, or its weights, oldest first.
    """

    version: Version
    decision: Mapping[str, Any]
    entries: tuple[Entry, ...]


# -- reading ------------------------------------------------------------------------------------------------------


def champion(store: Store, dataset: str) -> Version | None:
    """Return the champion with every file re-hashed; None before the first promotion.

    Raises:
        Corrupt: the pointer, the ledger or a file of the champion is damaged. That is never "there is none".
    """
    current = pointer.state(store, dataset).pointer
    if current is None:
        return None
    version = load(store, dataset, current.version)
    verify_version(store, version, (current.event,))
    return version


def champion_id(store: Store, dataset: str) -> str | None:
    """Return the name of the champion, as "mnist/3", without looking at its files; None before the first promotion."""
    return _champion_id(pointer.state(store, dataset))


def generation(store: Store, dataset: str) -> int:
    """Return how often the champion has changed: the token that `promote` compares."""
    return pointer.state(store, dataset).generation


def champion_at(store: Store, dataset: str, when: datetime) -> Entry | None:
    """Return the ledger line that made the champion of that moment; None before the first promotion.

    The order of events is the ledger's, not the clock's: it is the last of the moves that were made by then.

    Raises:
        BadInput: `when` has no time zone.
    """
    asked = ledger.timestamp(when)
    moves = [entry for entry in history(store, dataset) if entry.action in ledger.MOVES and entry.when <= asked]
    return moves[-1] if moves else None


def history(store: Store, dataset: str) -> tuple[Entry, ...]:
    """Return the ledger, oldest first, with the pointer's line even if a crash kept it out of the file."""
    return pointer.state(store, dataset).entries


def why(store: Store, name: str) -> Story:
    """Return the decision about a version and every event that concerns it."""
    version = find(store, name)
    concerning = tuple(
        entry
        for entry in history(store, version.dataset)
        if name in (entry.from_version, entry.to_version) or version.weights_digest in entry.digests.values()
    )
    return Story(version, version.document(DECISION), concerning)


# -- writing ------------------------------------------------------------------------------------------------------


def promote(
    store: Store,
    version: Version,
    *,
    generation: int,
    who: str,
    why: str,
    when: datetime | None = None,
) -> Entry:
    """Make a version the champion, if the champion is still the one it was compared with.

    A decision by the rule "forced" is written down as a force, and lifts a bar; no other promotion does.

    Args:
        store: the home.
        version: what `register` returned.
        generation: what `generation` returned before the comparison.
        who: a person or a schedule.
        why: the decision in one sentence, or the reason of whoever forced it.
        when: now when not given.

    Returns:
        The ledger line; the earlier one if the version is champion already.

    Raises:
        Conflict: the champion has changed meanwhile; compare again.
        BadInput: the weights are barred.
        Corrupt: the version's files have changed; nothing was promoted.
        StorageFailed: the home cannot be written.
    """
    with pointer.writing(store, version.dataset) as now:
        if now.pointer and now.pointer.version == version.number:
            return now.pointer.event
        if generation != now.generation:
            told = f"{now.pointer.event.action} by {now.pointer.event.who}" if now.pointer else "no champion"
            raise Conflict(
                f"{version.id} was compared with the champion of generation {generation}, but by now it is generation "
                f"{now.generation} ({told})",
                "run again; the comparison is then made with the new champion",
            )
        verify_version(store, version, now.entries)
        decision = version.document(DECISION)
        require_verdict(decision, "PROMOTE")
        forced = decision.get("rule") == "forced"
        bar = ledger.barred(now.entries).get(version.weights_digest)
        if bar and not forced:
            raise BadInput(
                f"{version.id} is barred since {bar.when} by {bar.who}: {bar.why}",
                f"lift the bar of {bar.from_version or bar.to_version} first, if that is over",
            )
        return _move(
            store,
            version,
            now,
            action="force" if forced else "promote",
            who=who,
            why=why,
            when=when,
            verdict=decision["verdict"],
            decision=decision,
            run_id=version.run_id,
        )


def rollback_target(store: Store, dataset: str, to: str | None = None) -> Version:
    """Return the version that `rollback` would make champion, so that it can be checked and re-scored first.

    Args:
        store: the home.
        dataset: name.
        to: a version such as "mnist/2"; the champion before this one when not given, leaving out barred ones.

    Raises:
        BadInput: there is nothing to roll back to, or `to` is the champion's own model.
        Corrupt: the target's files have changed.
    """
    return _target(store, dataset, to, pointer.state(store, dataset))


def rollback(
    store: Store,
    dataset: str,
    *,
    who: str,
    why: str,
    to: str | None = None,
    generation: int | None = None,
    when: datetime | None = None,
) -> Entry:
    """Make an earlier version the champion again, and bar the one that was: the same single rename as `promote`.

    A target that is barred itself must be named; the bar is then lifted in the same line.

    Args:
        store: the home.
        dataset: name.
        who: a person.
        why: the reason.
        to: as for `rollback_target`. Named, a rollback that a crash interrupted may be repeated.
        generation: refuse if the champion has changed since; whatever is champion is replaced when not given.
        when: now when not given.

    Returns:
        The ledger line, or the earlier one if it was done already. Its digests["barred"] are the weights that nobody
        can promote until `lift`.

    Raises:
        BadInput: as `rollback_target`.
        Conflict: the champion has changed since `generation`.
        Corrupt: the target's files have changed; nothing was done.
        StorageFailed: the home cannot be written.
    """
    with pointer.writing(store, dataset) as now:
        done = now.pointer.event if now.pointer else None
        if done and done.action == "rollback" and to == done.to_version and generation in (None, now.generation - 1):
            return done
        if generation not in (None, now.generation):
            raise Conflict(f"the champion of {dataset} has changed meanwhile", "look at it, then roll back again")
        version = _target(store, dataset, to, now)
        return _move(store, version, now, action="rollback", who=who, why=why, when=when, barred=_champion_weights(now))


def record(
    store: Store,
    dataset: str,
    action: str,
    *,
    decision: Mapping[str, Any],
    provenance: Provenance,
    who: str,
    why: str,
    when: datetime | None = None,
) -> Entry:
    """Write a decision that does not move the pointer into the ledger, once per run and weights.

    Args:
        store: the home.
        dataset: name.
        action: "hold" or "reject".
        decision: the gate's decision as JSON.
        provenance: what the candidate was made from.
        who: a person or a schedule.
        why: the decision in one sentence.
        when: now when not given.

    Raises:
        BadInput: another action, another verdict, or a dry run.
        Corrupt: the ledger or the pointer is damaged.
        StorageFailed: the home cannot be written.
    """
    if action not in ("hold", "reject"):
        raise BadInput(f"cannot record {action!r}", "hold and reject are recorded; a promotion is promoted")
    require_verdict(decision, action.upper())
    with pointer.writing(store, dataset) as now:
        for entry in now.entries:
            if (entry.action, entry.run_id) == (action, provenance.run_id) and (
                entry.digests.get("weights") == provenance.weights_digest
            ):
                return entry
        entry = ledger.following(
            now.entries,
            action=action,
            who=who,
            why=why,
            when=when,
            verdict=decision["verdict"],
            decision=decision,
            run_id=provenance.run_id,
            from_version=_champion_id(now),
            digests=provenance.digests,
        )
        ledger.append(store, dataset, entry)
        return entry


def bar(store: Store, name: str, *, who: str, why: str, when: datetime | None = None) -> Entry:
    """Refuse to promote these weights until somebody lifts the bar.

    Raises:
        BadInput: it is the champion.
    """
    version = find(store, name)
    with pointer.writing(store, version.dataset) as now:
        known = ledger.barred(now.entries).get(version.weights_digest)
        if known:
            return known
        if _champion_weights(now) == version.weights_digest:
            raise BadInput(f"{name} is champion", "roll back; that bars it, too")
        return _note(store, version, now, action="bar", who=who, why=why, when=when, digest="barred")


def lift(store: Store, name: str, *, who: str, why: str, when: datetime | None = None) -> Entry:
    """Allow what `bar` or `rollback` has refused.

    Raises:
        BadInput: it is not barred.
    """
    version = find(store, name)
    with pointer.writing(store, version.dataset) as now:
        if version.weights_digest not in ledger.barred(now.entries):
            raise BadInput(f"{name} is not barred", "nothing to lift")
        return _note(store, version, now, action="lift", who=who, why=why, when=when, digest="lifted")


# -- inside the lock ----------------------------------------------------------------------------------------------


def _move(store: Store, version: Version, now: pointer.State, barred: str | None = None, **event: Any) -> Entry:
    digests = version.provenance().digests | {
        "model": store.files(version.folder)[bundle.MODEL]["sha256"],
        "manifest": version.manifest_digest,
    }
    bars = {
        "barred": barred,
        "lifted": digests["weights"] if digests["weights"] in ledger.barred(now.entries) else None,
    }
    entry = ledger.following(
        now.entries,
        generation=now.generation + 1,
        from_version=_champion_id(now),
        to_version=version.id,
        digests=digests | {name: value for name, value in bars.items() if value},
        **event,
    )
    pointer.move(store, version.dataset, entry)
    return entry


def _note(store: Store, version: Version, now: pointer.State, digest: str, **event: Any) -> Entry:
    digests = {digest: version.weights_digest}
    entry = ledger.following(now.entries, to_version=version.id, digests=digests, **event)
    ledger.append(store, version.dataset, entry)
    return entry


def _target(store: Store, dataset: str, to: str | None, now: pointer.State) -> Version:
    if now.pointer is None:
        raise BadInput(f"{dataset} has no champion to roll back from", "promote one first")
    version = find(store, to or _previous(dataset, now))
    if version.dataset != dataset:
        raise BadInput(f"{version.id} is no version of {dataset}", "name one of its own")
    if version.number == now.pointer.version or version.weights_digest == _champion_weights(now):
        raise BadInput(f"{version.id} is the model that is champion already", "name another version")
    verify_version(store, version, now.entries)
    return version


def _previous(dataset: str, now: pointer.State) -> str:
    refused = {*ledger.barred(now.entries), _champion_weights(now)}
    for entry in reversed(now.entries):
        if entry.action in ledger.MOVES and entry.to_version and entry.digests["weights"] not in refused:
            return entry.to_version
    raise BadInput(
        f"{dataset} has no earlier champion that is not barred", "name a version with --to, or lift the bar from one"
    )


def _champion_id(now: pointer.State) -> str | None:
    return now.pointer.event.to_version if now.pointer else None


def _champion_weights(now: pointer.State) -> str | None:
    return now.pointer.event.digests["weights"] if now.pointer else None
