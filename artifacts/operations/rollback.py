"""Roll back: an earlier version is checked and scored again before it becomes champion."""

from artifacts.evaluation import test_set
from artifacts.evaluation.numbers import percent
from artifacts.gate.policy import Policy
from artifacts.judging import scoring, verdict
from artifacts.registry import champions, ledger
from artifacts.registry.ledger import Entry
from artifacts.registry.versions import DECISION, Version
from artifacts.serving import check
from data.errors import BadInput, Broken
from data.home.store import Store
from data.prepared.parquet import PreparedRef


def roll_back(store: Store, dataset: str, *, who: str, why: str, to: str | None = None) -> Entry:
    """Make an earlier version champion again, and bar the present one.

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
        Corrupt: the target's files have changed; nothing was done.
    """
    generation = champions.generation(store, dataset)
    target = champions.rollback_target(store, dataset, to)
    policy = Policy.from_json(target.document(DECISION)["policy"])
    with check.start_infra_check(budgets=verdict.budgets(policy)) as serving:
        require_accuracy(store, dataset, target, policy.min_accuracy)
        infra = serving.finish(target.folder)
    if not infra.passed:
        raise BadInput(f"{target.id} fails the serving check: {infra.message}", "choose another version with --to")
    return champions.rollback(store, dataset, who=who, why=why, to=target.id, generation=generation)


def require_accuracy(store: Store, dataset: str, target: Version, required: float) -> None:
    """Score a version on the test images that the present champion was judged by.

    Args:
        store: the home.
        dataset: the dataset's name.
        target: the version to score.
        required: the accuracy it must reach, in [0, 1].

    Raises:
        BadInput: its accuracy is lower.
        Broken: these images are no longer on disk.
    """
    # from the ledger, not from the champion's folder, which may be what is damaged
    move = [entry for entry in champions.history(store, dataset) if entry.action in ledger.MOVES][-1]
    now, prepared = move.to_version, PreparedRef(dataset, move.digests["prepared"])
    if store.intact(store.prepared(prepared.digest)) is None:
        raise Broken(
            f"the data that {now} was judged by are not on disk, so {target.id} cannot be scored on them",
            f"prepare them again: nightshift retrain {dataset} --mode dry-run",
        )
    tests = test_set.read_test_set(store, prepared)
    accuracy = scoring.accuracy_of(store, target, tests)
    if not accuracy >= required:
        raise BadInput(
            f"{target.id} gets {percent(accuracy)} of today's test images right, required are {percent(required)}",
            "choose another version with --to",
        )
