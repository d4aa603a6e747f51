"""Rolling back: an earlier version has to prove itself again before it becomes champion."""

from artifacts.evaluation import test_set
from artifacts.gate.policy import Policy
from artifacts.judging import scoring, verdict
from artifacts.registry import champions, ledger
from artifacts.registry.ledger import Entry
from artifacts.registry.versions import DECISION, Version
from artifacts.serving import check
from data.errors import BadInput, Broken
from data.parquet import PreparedRef
from data.store import Store


def roll_back(store: Store, dataset: str, *, who: str, why: str, to: str | None = None) -> Entry:
    """Make an earlier version champion, and bar the one that was.

    Before the pointer moves, a fresh process must get the target's recorded answers out of it, and this process must
    find it as good as its own policy demanded on the test images of the champion it replaces.

    Args:
        store: the home.
        dataset: whose champion.
        who: a person.
        why: the reason; the ledger keeps it.
        to: a version such as "mnist/2"; the champion before this one when not given.

    Raises:
        BadInput: there is nothing to roll back to, the target is barred, or it does not hold up.
        Broken: the fresh process died.
        Conflict: somebody else moved the champion meanwhile.
        Corrupt: the target's files have changed; nothing was done.
    """
    generation = champions.generation(store, dataset)
    target = champions.rollback_target(store, dataset, to)
    policy = Policy.from_json(target.document(DECISION)["policy"])
    with check.start_infra_check(budgets=verdict.budgets(policy)) as serving:
        require_good(store, dataset, target, policy.min_accuracy)
        infra = serving.finish(target.folder)
    if not infra.passed:
        raise BadInput(f"{target.id} does not hold up: {infra.message}", "choose another version with --to")
    return champions.rollback(store, dataset, who=who, why=why, to=target.id, generation=generation)


def require_good(store: Store, dataset: str, target: Version, floor: float) -> None:
    """Score a version on the test images that the present champion was judged by.

    Raises:
        BadInput: it is below the floor: the accuracy that its own policy demanded.
        Broken: these images are no longer on disk.
    """
    # from the ledger, not from the champion's folder: that may be what is rotten
    move = [entry for entry in champions.history(store, dataset) if entry.action in ledger.MOVES][-1]
    now, prepared = move.to_version, PreparedRef(dataset, move.digests["prepared"])
    if store.intact(store.prepared(prepared.digest)) is None:
        raise Broken(
            f"the data that {now} was judged by are not on disk, so {target.id} cannot be scored on them",
            f"make them again: nightshift retrain {dataset} --mode dry-run",
        )
    tests = test_set.read_test_set(store, prepared)
    accuracy = scoring.accuracy_of(store, target, tests)
    if not accuracy >= floor:
        raise BadInput(
            f"{target.id} does not hold up: {accuracy:.2%} of today's test images right, demanded are {floor:.2%}",
            "choose another version with --to",
        )
