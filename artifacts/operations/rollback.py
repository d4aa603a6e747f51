"""Roll back: an earlier version is checked and scored again before it becomes champion."""

from artifacts.evaluation import test_set
from artifacts.evaluation.numbers import percent
from artifacts.gate.policy import Policy
from artifacts.judging import scoring, verdict
from artifacts.registry import champions, ledger, pointer, versions
from artifacts.registry.ledger import Entry
from artifacts.registry.pointer import RegistryLost
from artifacts.registry.versions import DECISION, Version
from artifacts.serving import check
from data.errors import BadInput, Broken
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from data.values import plain


def roll_back(store: Store, dataset: str, *, who: str, why: str, to: str | None = None) -> Entry:
    """Make an earlier version champion again, and bar the present one; once, however often it is asked for.

    Before the pointer moves, the target must give its recorded predictions in a fresh process, and must reach the
    accuracy that its own policy required on the test images of the champion it replaces.

    Args:
        store: the home.
        dataset: the dataset's name.
        who: the person who rolls back.
        why: the reason; the ledger keeps it.
        to: a version such as "mnist/2"; when not given, the last earlier champion that is not barred.

    Raises:
        UnknownName: there is no version `to`.
        BadInput: there is nothing to roll back to, the target is the champion's own model, or it fails a check.
        Broken: the fresh process died, or the test images are no longer on disk.
        Conflict: the champion has changed meanwhile.
        Corrupt: the target's files have changed; nothing was done. RegistryLost if pointer and ledger are gone, unless
            `to` says which version is to be champion again.
    """
    try:
        done = done_before(store, dataset, who=who, why=why, to=to)
        generation = champions.generation(store, dataset)
    except RegistryLost:
        if not to:
            raise
        return _choose_again(store, dataset, to, who=who, why=why)
    if done:
        return done
    target = champions.rollback_target(store, dataset, to)
    # from the ledger, not from the champion's folder, which may be what is damaged
    move = [entry for entry in champions.history(store, dataset) if entry.action in ledger.MOVES][-1]
    _require_it_works(store, target, str(move.to_version), PreparedRef(dataset, move.digests["prepared"]))
    return champions.rollback(store, dataset, who=who, why=why, to=target.id, generation=generation)


def done_before(store: Store, dataset: str, *, who: str, why: str, to: str | None = None) -> Entry | None:
    """Return the ledger line of the rollback that is asked for, if it has happened already; else None.

    A rollback that was killed after the champion had changed, or whose answer was never read, is given again by the
    same person with the same words: going back once more, and barring the good version, is not what is meant. It has
    happened if the newest move is a rollback to `to`; or, without `to`, one by the same person for the same reason, or
    one whose own ledger line a crash has kept from being written.

    Raises:
        Corrupt: the pointer or the ledger is damaged.
    """
    now = pointer.state(store, dataset)
    last = now.pointer.event if now.pointer else None
    if last is None or last.action != "rollback":
        return None
    same = (last.who, last.why) == (plain(who.strip()), plain(why.strip()))
    if to != last.to_version and (to or not (same or now.pending)):
        return None
    with pointer.writing(store, dataset) as settled:
        return last if settled.generation == now.generation else None


def lines_so_far(store: Store, dataset: str) -> int:
    """Return how many lines the ledger has, for `sentence`; 0 if it is lost."""
    try:
        return len(champions.history(store, dataset))
    except RegistryLost:
        return 0


def sentence(entry: Entry, lines_before: int) -> str:
    """Return what `roll_back` has done, in one sentence.

    Args:
        entry: what it returned.
        lines_before: what `lines_so_far` returned before.
    """
    dataset = str(entry.to_version).partition("/")[0]
    if entry.seq <= lines_before:
        return (
            f"{entry.to_version} is champion of {dataset} already: {entry.who} rolled back on {entry.when[:10]} "
            f"({entry.why}); name a version with --to to go further back"
        )
    barred = f"; {entry.from_version} is barred from promotion" if entry.from_version else ""
    return f"{entry.to_version} is champion of {dataset} again{barred}"


def _choose_again(store: Store, dataset: str, to: str, *, who: str, why: str) -> Entry:
    """Make a version champion although nothing is known about earlier ones; its own test images must still be there."""
    target = versions.find(store, to)
    _require_it_works(store, target, target.id, PreparedRef(dataset, target.provenance().prepared_digest))
    return champions.restart(store, dataset, to, who=who, why=why)


def _require_it_works(store: Store, target: Version, judged: str, prepared: PreparedRef) -> None:
    """Serve a version in a fresh process, and score it on the test images that the version `judged` was judged by."""
    policy = Policy.from_json(target.document(DECISION)["policy"])
    with check.start_infra_check(budgets=verdict.budgets(policy)) as serving:
        require_accuracy(store, judged, prepared, target, policy.min_accuracy)
        infra = serving.finish(target.folder)
    if not infra.passed:
        raise BadInput(f"{target.id} fails the serving check: {infra.message}", "choose another version with --to")


def require_accuracy(store: Store, judged: str, prepared: PreparedRef, target: Version, required: float) -> None:
    """Score a version on test images.

    Args:
        store: the home.
        judged: the version that was judged by these images, such as "mnist/2".
        prepared: the data with these images.
        target: the version to score.
        required: the accuracy it must reach, in [0, 1].

    Raises:
        BadInput: its accuracy is lower.
        Broken: these images are no longer on disk.
    """
    if store.intact(store.prepared(prepared.digest)) is None:
        raise Broken(
            f"the data that {judged} was judged by are not on disk, so {target.id} cannot be scored on them",
            f"prepare them again: nightshift retrain {prepared.dataset} --mode dry-run",
        )
    tests = test_set.read_test_set(store, prepared)
    accuracy = scoring.accuracy_of(store, target, tests)
    if not accuracy >= required:
        raise BadInput(
            f"{target.id} gets {percent(accuracy)} of today's test images right, required are {percent(required)}",
            "choose another version with --to",
        )
