"""From trained candidates to a verdict: rescore, serve in a fresh process, test the gate, judge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from artifacts.evaluation import test_set
from artifacts.evaluation.candidates import Trained
from artifacts.evaluation.test_set import TestSet
from artifacts.gate import evidence, self_test
from artifacts.gate.decision import Decision, Mode
from artifacts.gate.judge import judge
from artifacts.gate.policy import Policy
from artifacts.judging import scoring
from artifacts.judging.scoring import Scores
from artifacts.registry import champions, ledger
from artifacts.registry.ledger import Entry
from artifacts.serving.check import Budgets, InfraCheck, InfraResult
from data.dataset import Dataset
from data.errors import Broken
from data.parquet import PreparedRef
from data.store import Store

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Judged:
    """What the gate said tonight, and what it was told.

    Args:
        decision: the verdict with its numbers; on an unchanged night the earlier one.
        chosen: the winner on validation.
        test_digest: of the images that decided.
        infra: what the fresh process found; None on an unchanged night.
        self_tests: what the gate said to models whose verdict is known.
        generation: of the champion that the winner was compared with; a promotion is refused if it has changed.
        unchanged: what there is to say if this very model was compared with this champion before; else "".
    """

    decision: Decision
    chosen: Trained
    test_digest: str
    infra: InfraResult | None
    self_tests: tuple[self_test.SelfTest, ...]
    generation: int
    unchanged: str = ""


def reach(
    store: Store,
    dataset: Dataset,
    prepared: PreparedRef,
    finished: Sequence[Trained],
    policy: Policy,
    mode: Mode,
    reason: str,
    serving: InfraCheck,
    progress: Progress,
) -> Judged:
    """Judge the first of the candidates that finished.

    Args:
        store: the home.
        dataset: the catalogue's row.
        prepared: tonight's data.
        finished: the candidates, the winner first.
        policy: what is demanded.
        mode: "normal", "dry-run" or "force".
        reason: why, for "force".
        serving: a fresh process that waits for a model.
        progress: told how much is done, in [0, 1], and what comes next.

    Raises:
        Broken: the gate failed one of its own tests, the champion no longer answers as recorded, or the fresh process
            died.
        Corrupt: the winner's files have changed.
        BadInput: a forced promotion without a reason.
    """
    chosen = finished[0]
    generation = champions.generation(store, dataset.name)
    progress(0.05, "scoring the candidate on the test images")
    tests = test_set.read_test_set(store, prepared)
    earlier = decided_before(store, dataset.name, chosen, tests, policy) if mode != "force" else None
    if earlier:
        scores = scoring.score_candidate(store, chosen, tests)
        progress(0.5, "nothing has changed; asking the champion whether it still answers as recorded")
        scoring.require_as_recorded(store, dataset.name, tests)
        decision = Decision.from_json(earlier.decision)
        tested = tested_gate(dataset, tests, scores, None, policy)
        return Judged(decision, chosen, tests.digest, None, tested, generation, unchanged(earlier))
    scores = scoring.score_candidate(store, chosen, tests)
    progress(0.4, "scoring the champion on the same images")
    champion = scoring.score_champion(store, dataset.name, tests)
    progress(0.6, "asking the candidate in a fresh process")
    infra = serving.finish(store.trained(chosen.ref.digest))
    siblings = [one for one in finished[1:] if str(one.ref.candidate) == str(chosen.ref.candidate)]
    scored = replace(scores.scored, latency_ms=infra.latency_ms or np.nan)
    evidence = scoring.gather(store, dataset, tests, scored, chosen, siblings, champion, datetime.now(UTC).date())
    decision = served(judge(evidence, policy, mode, reason), infra)
    tested = tested_gate(dataset, tests, scores, champion, policy)
    return Judged(decision, chosen, tests.digest, infra, tested, generation)


def budgets(policy: Policy) -> Budgets:
    """Return what a model may cost in a fresh process: as long as the policy says, and as large with all its files."""
    usual = Budgets()
    return replace(
        usual, latency_ms=policy.max_latency_ms, size_bytes=usual.size_bytes + int(1e6 * policy.max_megabytes)
    )


def served(decision: Decision, infra: InfraResult) -> Decision:
    """Return the gate's decision, or a rejection of a model that a fresh process cannot use; force lifts neither."""
    if infra.passed or decision.verdict == "REJECT":
        return decision
    return replace(
        decision,
        verdict="REJECT",
        rule="does-not-serve",
        reason=f"a fresh process cannot use {decision.candidate.name}: {infra.message}",
        would_change="a model that gives its recorded answers in a fresh process, within the budgets",
    )


def decided_before(store: Store, dataset: str, chosen: Trained, tests: TestSet, policy: Policy) -> Entry | None:
    """Return the decision about these very weights, this champion, these test images and this policy, if there is one.

    To ask again would be to look at the same dice twice: nothing can come out that did not come out before.
    """
    history = champions.history(store, dataset)
    moves = [entry for entry in history if entry.action in ledger.MOVES]
    champion = moves[-1].to_version if moves else None
    for entry in reversed(history):
        same = entry.digests.get("weights") == chosen.training["weights_digest"] and entry.decision
        if same and entry.digests.get("test") == tests.digest and entry.decision["policy"] == policy.to_json():
            is_champion = entry.to_version is not None and entry.to_version == champion
            if is_champion or (entry.action in ("hold", "reject") and entry.from_version == champion):
                return entry
    return None


def unchanged(earlier: Entry) -> str:
    """Say that this very model was judged before, and what came of it."""
    if earlier.to_version:
        return f"this very model is {earlier.to_version}, champion since {earlier.when[:10]}, and answers as recorded"
    champion = earlier.from_version or "no champion"
    return f"this very model was compared with {champion} on {earlier.when[:10]}; nothing has changed: {earlier.why}"


def tested_gate(
    dataset: Dataset, tests: TestSet, scores: Scores, champion: evidence.Champion | None, policy: Policy
) -> tuple[self_test.SelfTest, ...]:
    """Put the gate to its nightly test.

    Args:
        dataset: the catalogue's row.
        tests: tonight's test images.
        scores: the candidate's answers, taken for the champion's where there is none.
        champion: scored on the same images.
        policy: tonight's.

    Raises:
        Broken: the gate answered wrongly; it must not decide anything.
    """
    answers = scores.scored.predicted
    base = champion.predicted if champion and champion.predicted is not None else answers
    canary = np.random.default_rng(0).permutation(tests.labels)  # as often each class, but for other images
    tested = self_test.self_test(tests.labels, base, canary, dataset.class_names, policy)
    failed = [f"{one.name}: expected {one.expected}, came {one.got}" for one in tested if not one.passed]
    if failed:
        raise Broken(f"the gate failed its own test tonight ({'; '.join(failed)})", "do not trust it; report this")
    return tested
