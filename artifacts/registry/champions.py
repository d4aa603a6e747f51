"""One champion per dataset, with every change of it in the ledger.

A run works as follows; each step may be repeated after a crash and then changes nothing:

    token = champions.generation(store, "mnist")               before the champion is scored
    version = versions.register(store, "mnist", folder, ...)   a promoted candidate becomes a numbered version
    champions.promote(store, version, generation=token, ...)   refused if the champion has changed since

or, after HOLD and REJECT, `champions.record(...)`. Where the policy asks a person, waiting.py takes the place of
`promote`. By hand: `rollback`, and `bar` and `lift` in bars.py. Readers take no lock. The protocol and the faults it
survives: docs/decisions/0007-registry-protocol.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from artifacts.models import bundle
from artifacts.models.provenance import Provenance
from artifacts.registry import ledger, pointer, signing, traces
from artifacts.registry.ledger import Entry
from artifacts.registry.versions import DECISION, Version, find, load, numbers, require_verdict, verify_version
from data.errors import BadInput, Conflict
from data.home.store import Store


@dataclass(frozen=True)
class VersionHistory:
    """Everything that is recorded about one version.

    Args:
        version: the version.
        decision: the gate's decision to promote it, as JSON.
        entries: the ledger lines that name it or its weights, oldest first.
    """

    version: Version
    decision: Mapping[str, Any]
    entries: tuple[Entry, ...]


# -- reading ------------------------------------------------------------------------------------------------------


def champion(store: Store, dataset: str) -> Version | None:
    """Return the champion with every file re-hashed; None before the first promotion.

    Raises:
        Corrupt: the pointer, the ledger or a file of the champion is damaged, or keys are configured and no trusted one
            vouches for it. None is never returned for that.
    """
    now = pointer.state(store, dataset)
    if now.pointer is None:
        return None
    signing.require_vouched(store, dataset, now.entries, now.pointer.event.seq)
    version = load(store, dataset, now.pointer.version)
    verify_version(store, version, now.entries)
    return version


def champion_id(store: Store, dataset: str) -> str | None:
    """Return the name of the champion, as "mnist/3", without looking at its files; None before the first promotion."""
    return pointer.state(store, dataset).champion_id


def generation(store: Store, dataset: str) -> int:
    """Return how often the champion has changed: the token that `promote` compares."""
    return pointer.state(store, dataset).generation


def champion_at(store: Store, dataset: str, when: datetime) -> Entry | None:
    """Return the ledger line that made the champion of a given moment; None before the first promotion.

    Events are ordered as in the ledger, not by the clock: it is the last move that was made by then.

    Raises:
        BadInput: `when` has no time zone, or is before the year 1 or after 9999 in UTC.
    """
    try:
        asked = ledger.timestamp(when)
    except OverflowError:
        raise BadInput(f"{when} is out of the calendar in UTC", "give a time between the years 1 and 9999") from None
    moves = [entry for entry in history(store, dataset) if entry.action in ledger.MOVES and entry.when <= asked]
    return moves[-1] if moves else None


def newest_move(store: Store, dataset: str) -> Entry | None:
    """Return the ledger line that made the present champion, whatever the clock says; None before the first one."""
    now = pointer.state(store, dataset).pointer
    return now.event if now else None


def history(store: Store, dataset: str) -> tuple[Entry, ...]:
    """Return the ledger, oldest first, with the pointer's line even if a crash kept it out of the file."""
    return pointer.state(store, dataset).entries


def version_history(store: Store, name: str) -> VersionHistory:
    """Return the decision about a version and every event that concerns it.

    Raises:
        UnknownName: there is no such version.
    """
    version = find(store, name)
    concerning = tuple(
        entry
        for entry in history(store, version.dataset)
        if name in (entry.from_version, entry.to_version) or version.weights_digest in entry.digests.values()
    )
    return VersionHistory(version, version.document(DECISION), concerning)


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

    A decision by the rule "forced" is recorded as "force" and lifts a bar; no other promotion does.

    Args:
        store: the home.
        version: what `versions.register` returned.
        generation: what `generation` returned before the comparison.
        who: a person or a schedule.
        why: the decision in one sentence, or the reason given for forcing it.
        when: the time of the promotion, with a time zone; now when not given.

    Returns:
        The ledger line; the earlier one if the version is champion already.

    Raises:
        Conflict: the champion has changed since the comparison.
        BadInput: the weights are barred.
        Corrupt: the version's files have changed; nothing was promoted.
        StorageFailed: the home cannot be written.
    """
    with pointer.writing(store, version.dataset) as now:
        if now.pointer and now.pointer.version == version.number:
            return now.pointer.event
        require_generation(version, generation, now)
        verify_version(store, version, now.entries)
        decision = version.document(DECISION)
        require_verdict(decision, "PROMOTE")
        forced = decision.get("rule") == "forced"
        if not forced:
            require_not_barred(version, now)
        return move(
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
    """Return the version that `rollback` would make champion, so that it can be checked and scored first.

    Args:
        store: the home.
        dataset: the dataset's name.
        to: a version such as "mnist/2"; when not given, the last earlier champion that is not barred.

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
    """Make an earlier version the champion again and bar the present one, with the same single rename as `promote`.

    A barred target must be named; the same ledger line then lifts its bar.

    Args:
        store: the home.
        dataset: the dataset's name.
        who: the person who rolls back.
        why: the reason.
        to: as for `rollback_target`. With a name, a rollback that a crash interrupted may be repeated.
        generation: refuse if the champion has changed since this generation; any champion is replaced when not given.
        when: the time of the rollback, with a time zone; now when not given.

    Returns:
        The ledger line, or the earlier one if it was done already. Its digests["barred"] is the digest of the weights
        that cannot be promoted until `lift`.

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
        return move(store, version, now, action="rollback", who=who, why=why, when=when, barred=now.champion_weights)


def restart(store: Store, dataset: str, to: str, *, who: str, why: str, when: datetime | None = None) -> Entry:
    """Begin the history of a dataset again, with a version that a person chooses, after pointer and ledger were lost.

    What is left of the ledger is kept; the new line is a rollback from no champion.

    Raises:
        BadInput: pointer and ledger are not lost, or `to` is a version of another dataset.
        UnknownName: there is no such version.
        Corrupt: the version's files have changed, or the ledger is broken.
        StorageFailed: the home cannot be written.
    """
    with pointer.locked(store, dataset):
        try:
            pointer.state(store, dataset)
        except pointer.RegistryLost:
            pass
        else:
            raise BadInput(f"the registry of {dataset} is not lost", "roll back as usual")
        ledger.recover(store, dataset)
        now = pointer.State(None, ledger.read(store, dataset), False)
        version = find(store, to)
        if version.dataset != dataset:
            raise BadInput(f"{version.id} is not a version of {dataset}", f"name a version of {dataset}")
        verify_version(store, version, now.entries)
        last = str(max(numbers(store, dataset)))
        return move(store, version, now, restarted=last, action="rollback", who=who, why=why, when=when)


def verified(store: Store, name: str) -> Version:
    """Return the version called, say, "mnist/3", with every file hashed again.

    Raises:
        UnknownName: there is no such version.
        Corrupt: a file differs from the manifest, or the manifest from the ledger.
    """
    version = find(store, name)
    verify_version(store, version, history(store, version.dataset))
    return version


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
    """Write a HOLD or REJECT into the ledger, once per run and weights.

    Args:
        store: the home.
        dataset: the dataset's name.
        action: "hold" or "reject".
        decision: the gate's decision as JSON.
        provenance: the candidate's origin: run, data, recipe, weights.
        who: a person or a schedule.
        why: the decision in one sentence.
        when: the time of the decision, with a time zone; now when not given.

    Raises:
        BadInput: another action, a verdict that differs from it, or a dry run.
        Corrupt: the ledger or the pointer is damaged.
        StorageFailed: the home cannot be written.
    """
    if action not in ("hold", "reject"):
        raise BadInput(f"expected hold or reject, got {action!r}", "a promotion is recorded by `promote`")
    require_verdict(decision, action.upper())
    with pointer.writing(store, dataset) as now:
        for entry in now.entries:
            if (entry.action, entry.run_id) == (action, provenance.run_id) and (
                entry.digests.get("weights") == provenance.weights_digest
            ):
                return entry
        entry = signing.following(
            store,
            dataset,
            now.entries,
            action=action,
            who=who,
            why=why,
            when=when,
            verdict=decision["verdict"],
            decision=decision,
            run_id=provenance.run_id,
            from_version=now.champion_id,
            digests=provenance.digests,
        )
        ledger.append(store, dataset, entry)
        return entry


# -- inside the lock ----------------------------------------------------------------------------------------------


def require_generation(version: Version, generation: int, now: pointer.State) -> None:
    """Check that the champion is still the one of a comparison; callers are inside `pointer.writing`.

    Raises:
        Conflict: it has changed since.
    """
    if generation == now.generation:
        return
    last = f"{now.pointer.event.action} by {now.pointer.event.who}" if now.pointer else "no champion"
    raise Conflict(
        f"{version.id} was compared with the champion of generation {generation}, but by now it is generation "
        f"{now.generation} ({last})",
        "run again; the comparison is then made with the new champion",
    )


def require_not_barred(version: Version, now: pointer.State) -> None:
    """Check that a version may be promoted.

    Raises:
        BadInput: its weights are barred.
    """
    bar = ledger.barred(now.entries).get(version.weights_digest)
    if bar:
        raise BadInput(
            f"{version.id} is barred since {bar.when} by {bar.who}: {bar.why}",
            f"lift the bar of {bar.from_version or bar.to_version} first, if the reason no longer holds",
        )


def move(
    store: Store,
    version: Version,
    now: pointer.State,
    barred: str | None = None,
    restarted: str | None = None,
    answers: str | None = None,
    **event: Any,
) -> Entry:
    """Make a verified version champion; callers are inside `pointer.writing`.

    Args:
        store: the home.
        version: the version.
        now: the state inside the lock.
        barred: the digest of the weights that this bars.
        restarted: see `traces.RESTARTED`.
        answers: the hash of the line with which the waiting began that this ends.
        **event: the other arguments of `signing.following`.
    """
    digests = recorded_digests(store, version)
    bars = {
        "barred": barred,
        traces.RESTARTED: restarted,
        ledger.ANSWERS: answers,
        "lifted": digests["weights"] if digests["weights"] in ledger.barred(now.entries) else None,
    }
    entry = signing.following(
        store,
        version.dataset,
        now.entries,
        trusting=restarted is not None,  # a person begins anew, after the lines before were lost
        generation=now.generation + 1,
        from_version=now.champion_id,
        to_version=version.id,
        digests=digests | {name: value for name, value in bars.items() if value},
        **event,
    )
    pointer.move(store, version.dataset, entry)
    return entry


def recorded_digests(store: Store, version: Version) -> dict[str, str]:
    """Return the digests of a version that the ledger records."""
    return version.provenance().digests | {
        "model": store.files(version.folder)[bundle.MODEL]["sha256"],
        "manifest": version.manifest_digest,
    }


def _target(store: Store, dataset: str, to: str | None, now: pointer.State) -> Version:
    if now.pointer is None:
        raise BadInput(f"{dataset} has no champion to roll back from", "promote one first")
    version = find(store, to or _previous(dataset, now))
    if version.dataset != dataset:
        raise BadInput(f"{version.id} is not a version of {dataset}", f"name a version of {dataset}")
    if version.number == now.pointer.version or version.weights_digest == now.champion_weights:
        raise BadInput(f"{version.id} is the model that is champion already", "name another version")
    mentions = {entry.action for entry in now.entries if entry.to_version == version.id}
    if "wait" in mentions and not mentions & {*ledger.MOVES}:
        raise BadInput(
            f"{version.id} was never champion: it waited for a person's approval",
            f"name an earlier champion, or if it still waits: nightshift approve {version.id} --reason WHY",
        )
    verify_version(store, version, now.entries)
    return version


def _previous(dataset: str, now: pointer.State) -> str:
    refused = {*ledger.barred(now.entries), now.champion_weights}
    for entry in reversed(now.entries):
        if entry.action in ledger.MOVES and entry.to_version and entry.digests["weights"] not in refused:
            return entry.to_version
    raise BadInput(
        f"{dataset} has no earlier champion that is not barred", "name a version with --to, or lift the bar from one"
    )
