"""Approve or decline what waits for a person: scored again, against the champion of that moment."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from artifacts.evaluation import test_set
from artifacts.evaluation.test_set import TestSet
from artifacts.gate.decision import Decision
from artifacts.gate.judge import judge
from artifacts.gate.policy import Policy
from artifacts.judging import scoring, verdict
from artifacts.models import predictions
from artifacts.registry import champions, ledger, waiting
from artifacts.registry.ledger import Entry
from artifacts.registry.versions import INFRA, Version
from artifacts.registry.waiting import RECIPE, Waiting
from artifacts.serving import check
from artifacts.serving.check import InfraResult
from data import catalogue
from data.errors import BadInput, Broken, Conflict
from data.home.store import Store
from data.prepared.parquet import PreparedRef

ROUNDS = 3  # in which the champion may change while a version is scored


@dataclass(frozen=True)
class Answer:
    """What an approval or a decline has done.

    Args:
        entry: the ledger line.
        new: whether it was written now; false if the same had been done before.
    """

    entry: Entry
    new: bool = True

    @property
    def promoted(self) -> bool:
        """Whether the version is champion."""
        return self.entry.action in ledger.MOVES

    def sentence(self) -> str:
        """Return what was done, in one sentence."""
        entry, day = self.entry, self.entry.when[:10]
        if self.promoted and self.new:
            place = f"in place of {entry.from_version}" if entry.from_version else "the first one"
            return f"{entry.to_version} is champion, {place}"
        if self.promoted:
            return f"{entry.to_version} is champion already: {entry.action} by {entry.who} on {day} ({entry.why})"
        if entry.action == "decline":
            champion = f"the champion is {entry.from_version}" if entry.from_version else "there is no champion"
            again = "" if self.new else f" already, by {entry.who} on {day}"
            return f"{entry.to_version} is declined{again}; {champion}"
        return f"not promoted: against {entry.from_version} the gate says {entry.verdict}: {entry.decision['reason']}"


def waits(store: Store, name: str) -> str:
    """Return the version that a person means: of a dataset, what waits, or what waited last.

    Raises:
        BadInput: nothing of this dataset ever waited.
    """
    if "/" in name:
        return name
    known = waiting.waitings(champions.history(store, name))
    if not known:
        raise BadInput(f"nothing of {name} waits for approval", f"see what was decided: nightshift history {name}")
    return known[-1].version


def approve(store: Store, name: str, *, who: str, why: str) -> Answer:
    """Make a version that waits for a person champion, if the gate still promotes it.

    It is served in a fresh process and scored beside the champion of this moment. If that is the champion of the
    night's comparison, this comparison stands, and both must give their recorded answers. If it is another one, the
    gate decides again, with the same error budget as for any night; what is then not promoted waits no longer.

    Args:
        store: the home.
        name: a version such as "mnist/3", or a dataset whose version waits.
        who: the person who approves.
        why: the reason; the ledger keeps it.

    Raises:
        UnknownName: there is no such version.
        BadInput: it does not wait (declined, expired, replaced), is barred, or does not serve any more.
        Broken: its or the champion's predictions are not those recorded, or the test images are no longer on disk.
        Conflict: the champion has changed again and again meanwhile.
        Corrupt: its files have changed; nothing was done.
    """
    if not why.strip():
        raise BadInput("an approval needs a reason, and none was given", "say why in one sentence: --reason")
    for _ in range(ROUNDS):
        try:
            return _approve(store, champions.verified(store, waits(store, name)), who=who, why=why)
        except Conflict as error:  # another promotion or rollback was faster: decide again, against its champion
            refused = error
    raise refused


def decline(store: Store, name: str, *, who: str, why: str) -> Answer:
    """End the waiting of a version; the champion stays.

    Raises:
        UnknownName: there is no such version.
        BadInput: it does not wait.
    """
    before = len(champions.history(store, waits(store, name).partition("/")[0]))
    entry = waiting.decline(store, waits(store, name), who=who, why=why)
    return Answer(entry, entry.seq > before)


def _approve(store: Store, version: Version, *, who: str, why: str) -> Answer:
    generation = champions.generation(store, version.dataset)
    history = champions.history(store, version.dataset)
    if champions.champion_id(store, version.dataset) == version.id:
        return Answer([entry for entry in history if entry.action in ledger.MOVES][-1], new=False)
    try:
        waited = waiting.require_open(history, version.id)
    except BadInput:
        waiting.expire(store, version.dataset, who=who)
        raise
    champion = champions.champion_id(store, version.dataset)
    policy = Policy.from_json(waited.entry.decision["policy"])
    with check.start_infra_check(budgets=verdict.budgets(policy)) as serving:
        stands = champion == waited.entry.from_version
        decision = _stands(store, version, waited) if stands else _again(store, version, waited, history)
        infra = serving.finish(version.folder)
    _require_served(version, infra)
    now = datetime.now(UTC)
    event: dict[str, Any] = {"decision": decision.to_json(), "generation": generation, "who": who}
    if decision.verdict == "PROMOTE":
        entry = waiting.approve(store, version, why=why, when=now, **event)
        return Answer(entry, entry.when == ledger.timestamp(now))  # else somebody else's, who was faster
    return Answer(waiting.lose(store, version, why=decision.reason, **event))


def _require_served(version: Version, infra: InfraResult) -> None:
    if not infra.passed:
        hint = f"see what has changed: nightshift verify --load; or: nightshift decline {version.id} --reason WHY"
        raise BadInput(f"{version.id} fails the serving check: {infra.message}", hint)


def _stands(store: Store, version: Version, waited: Waiting) -> Decision:
    """Return the decision of the night, without its look, once version and champion have given the same answers."""
    prepared = PreparedRef(version.dataset, waited.entry.digests["prepared"])
    tests = _test_images(store, version, prepared)
    scores = scoring.score_folder(store, version.folder, version.id, tests)
    recorded = predictions.read(version.folder / "predictions-test.parquet").predicted
    different = int(np.sum(scores.scored.predicted != recorded))
    if different:
        raise Broken(
            f"the predictions of {version.id} for {different} of {len(recorded)} test images are not those recorded",
            "libraries or hardware have changed: see 'nightshift show', or decline it and train again",
        )
    scoring.require_recorded_predictions(store, version.dataset, tests)
    return replace(Decision.from_json(waited.entry.decision), look=None)


def _again(store: Store, version: Version, waited: Waiting, history: tuple[Entry, ...]) -> Decision:
    """Return the gate's decision against a champion that has changed, by the newest data of a decision."""
    newest = [entry for entry in history if entry.action in ledger.DECISIONS and "prepared" in entry.digests][-1]
    prepared = PreparedRef(version.dataset, newest.digests["prepared"])
    tests = _test_images(store, version, prepared)
    policy = Policy.from_json(waited.entry.decision["policy"])
    if known := _known(history, version, tests, policy):
        return known
    row = replace(catalogue.get(store, version.dataset), n_test=len(tests.labels))
    scores = scoring.score_folder(store, version.folder, version.id, tests)
    champion = scoring.score_champion(store, version.dataset, tests)
    scored = replace(scores.scored, latency_ms=version.document(INFRA).get("latency_ms") or np.nan)
    evidence = scoring.evidence_about(
        store,
        row,
        tests,
        scored,
        weights=version.weights_digest,
        recipe=waited.entry.digests[RECIPE],
        siblings=(),
        champion=champion,
        when=datetime.now(UTC).date(),
        prepared=prepared,
    )
    verdict.require_self_test(row, tests, scores.scored.predicted, champion, policy)
    return judge(evidence, policy)


def _known(history: tuple[Entry, ...], version: Version, tests: TestSet, policy: Policy) -> Decision | None:
    """Return what the gate has said about these weights and this champion since; asking again is no further try."""
    found = verdict.earlier_entry(history, version.weights_digest, tests, policy)
    if found is None or found.action not in ("hold", "reject"):
        return None
    return replace(Decision.from_json(found.decision), look=None)


def _test_images(store: Store, version: Version, prepared: PreparedRef) -> TestSet:
    if store.intact(store.prepared(prepared.digest)) is None:
        raise Broken(
            f"the data that {version.id} was judged by are not on disk, so it cannot be scored on them",
            f"prepare them again: nightshift retrain {prepared.dataset} --mode dry-run",
        )
    return test_set.read_test_set(store, prepared)
