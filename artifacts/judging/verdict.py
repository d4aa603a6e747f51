"""From trained candidates to a verdict: score, serve in a fresh process, judge, run the gate's self-test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from artifacts.evaluation import test_set
from artifacts.evaluation.candidates import Trained
from artifacts.evaluation.numbers import percent
from artifacts.evaluation.test_set import TestSet
from artifacts.gate import evidence, self_test
from artifacts.gate.decision import Decision, Mode
from artifacts.gate.judge import judge
from artifacts.gate.policy import Policy
from artifacts.judging import scoring
from artifacts.registry import champions, ledger, versions, waiting
from artifacts.registry.ledger import Entry
from artifacts.registry.waiting import Waiting
from artifacts.serving.check import Budgets, InfraCheck, InfraResult
from data.dataset import Dataset
from data.errors import BadInput, Broken
from data.home.store import Store
from data.prepared.parquet import PreparedRef

Progress = Callable[[float, str], None]
WAITING = "WAITING"


@dataclass(frozen=True, eq=False)
class Judged:
    """Tonight's decision and what it rests on.

    Args:
        decision: the verdict with its numbers; on an unchanged night the earlier one.
        chosen: the winner on the validation images.
        test_digest: content digest of the test images.
        infra: the result of serving the winner in a fresh process; None on an unchanged night.
        self_tests: the results of the gate's self-test.
        generation: the champion pointer's counter before scoring; a promotion is refused if it has changed since.
        unchanged: a sentence about the earlier decision if this exact model was compared with this champion before,
            else "".
        recipe: the fingerprint by which the gate counts looks at the winner's recipe.
        waits: whether the winner passed the gate on an earlier night, and still waits for a person.
        answers: whether the model that will be champion was loaded and gave the recorded answers.
        robustness: the winner's accuracy by kind of changed copies of the test images.
        champion: the answers of the champion that the winner is compared with; None where there are none, and where
            the winner is the champion.
    """

    decision: Decision
    chosen: Trained
    test_digest: str
    infra: InfraResult | None
    self_tests: tuple[self_test.SelfTest, ...]
    generation: int
    unchanged: str = ""
    recipe: str = ""
    waits: bool = False
    answers: bool = False
    robustness: Mapping[str, float] = field(default_factory=dict)
    champion: evidence.Champion | None = None

    @property
    def verdict(self) -> str:
        """The night's result in one word: the gate's verdict, UNCHANGED, or WAITING for a person's approval."""
        if self.waits or asks(self.decision, self.unchanged):
            return WAITING
        return "UNCHANGED" if self.unchanged else self.decision.verdict


def asks(decision: Decision, unchanged: str = "") -> bool:
    """Whether a new decision to promote waits for a person. A force is a person's decision, and is not asked again."""
    new = decision.verdict == "PROMOTE" and not unchanged
    return new and decision.policy.promotion == "ask" and decision.mode != "force"


def judge_winner(
    store: Store,
    dataset: Dataset,
    prepared: PreparedRef,
    finished: Sequence[Trained],
    policy: Policy,
    mode: Mode,
    reason: str,
    serving: InfraCheck,
    progress: Progress,
    *,
    answered_lately: bool = False,
) -> Judged:
    """Decide whether the winner among tonight's candidates replaces the champion. Writes nothing.

    Args:
        store: the home.
        dataset: the catalogue's row.
        prepared: tonight's data.
        finished: the candidates, the winner first.
        policy: what is required.
        mode: "normal", "dry-run" or "force".
        reason: why a person forces the promotion; only for "force".
        serving: a fresh process that waits for a model.
        progress: called with the share of the work that is done, in [0, 1], and the next step.
        answered_lately: whether this machine has recently loaded the champion and got the recorded answers; if nothing
            has changed, hashes of its files are enough then.

    Raises:
        Broken: the gate failed its self-test, the champion no longer predicts what was recorded, or the fresh process
            died.
        Corrupt: the winner's files have changed.
        BadInput: a forced promotion without a reason.
    """
    chosen = finished[0]
    generation = champions.generation(store, dataset.name)
    tests = test_set.read_test_set(store, prepared)
    earlier = earlier_decision(store, dataset.name, chosen, tests, policy) if mode != "force" else None
    if earlier:
        progress(0.5, "nothing has changed; checking the champion")
        return _judged_before(store, dataset, tests, chosen, policy, earlier, generation, answered_lately)
    progress(0.05, "scoring the candidate on the test images")
    scores = scoring.score_candidate(store, chosen, tests)
    progress(0.4, "scoring the champion on the same images")
    champion = scoring.score_champion(store, dataset.name, tests)
    progress(0.6, "serving the candidate in a fresh process")
    infra = serving.finish(store.trained(chosen.ref.digest))
    siblings = [one for one in finished[1:] if str(one.ref.candidate) == str(chosen.ref.candidate)]
    scored = replace(scores.scored, latency_ms=infra.latency_ms or np.nan)
    gathered = scoring.gather(
        store, dataset, tests, scored, chosen, siblings, champion, datetime.now(UTC).date(), prepared
    )
    decision = reject_unless_served(judge(gathered, policy, mode, reason), infra)
    if asks(decision):
        decision = hold_if_a_better_one_waits(store, decision, chosen, prepared)
    promoted = decision.verdict == "PROMOTE" and mode != "dry-run" and not asks(decision)
    tested = require_self_test(dataset, tests, scores.scored.predicted, champion, policy)
    return Judged(
        decision=decision,
        chosen=chosen,
        test_digest=tests.digest,
        infra=infra,
        self_tests=tested,
        generation=generation,
        recipe=gathered.recipe,
        answers=promoted,  # no model is promoted that does not serve
        robustness=scores.scored.robustness,
        champion=champion,
    )


def _judged_before(
    store: Store,
    dataset: Dataset,
    tests: TestSet,
    chosen: Trained,
    policy: Policy,
    earlier: Entry,
    generation: int,
    answered_lately: bool,
) -> Judged:
    """Return the earlier decision, if the champion is still what it was and the gate passes its self-test."""
    champion = None
    if answered_lately:
        scoring.require_whole(store, dataset.name)
    else:
        champion = scoring.require_recorded_predictions(store, dataset.name, tests)
    tested = require_self_test(dataset, tests, scoring.recorded_predictions(store, chosen), None, policy)
    waited = waiting.of_version(champions.history(store, dataset.name), str(earlier.to_version))
    return Judged(
        decision=Decision.from_json(earlier.decision),
        chosen=chosen,
        test_digest=tests.digest,
        infra=None,
        self_tests=tested,
        generation=generation,
        unchanged=unchanged_message(earlier, waited, loaded=not answered_lately),
        waits=bool(waited and waited.open()),
        answers=not answered_lately,
        champion=champion if champion and champion.version != earlier.to_version else None,
    )


def budgets(policy: Policy) -> Budgets:
    """Return the limits of the serving check: the policy's latency, and the policy's size on top of the other files."""
    usual = Budgets()
    return replace(
        usual, latency_ms=policy.max_latency_ms, size_bytes=usual.size_bytes + int(1e6 * policy.max_megabytes)
    )


def reject_unless_served(decision: Decision, infra: InfraResult) -> Decision:
    """Return the decision, or a rejection if a fresh process cannot use the model; force does not override that."""
    if infra.passed or decision.verdict == "REJECT":
        return decision
    return replace(
        decision,
        verdict="REJECT",
        rule="does-not-serve",
        reason=f"a fresh process cannot use {decision.candidate.name}: {infra.message}",
        would_change="a model that gives its recorded predictions in a fresh process, within the limits",
    )


def hold_if_a_better_one_waits(store: Store, decision: Decision, chosen: Trained, prepared: PreparedRef) -> Decision:
    """Return the decision, or a HOLD if a model with a higher validation accuracy on the same data waits for a person.

    Both have passed the gate, so the test images have no part in the choice between them.
    """
    waits = waiting.current(champions.history(store, prepared.dataset))
    if waits is None or waits.entry.digests.get("prepared") != prepared.digest:
        return decision
    waiting_accuracy = versions.find(store, waits.version).document("metrics.json")["validation"]["accuracy"]
    if waiting_accuracy <= chosen.validation.accuracy:
        return decision
    return replace(
        decision,
        verdict="HOLD",
        rule="a-better-one-waits",
        reason=f"{decision.candidate.name} passes, but {waits.version} waits for approval and is better on the "
        f"validation images: {percent(waiting_accuracy)} against {percent(chosen.validation.accuracy)}",
        would_change=f"an answer about {waits.version}: nightshift approve or decline, with a reason",
    )


def earlier_decision(store: Store, dataset: str, chosen: Trained, tests: TestSet, policy: Policy) -> Entry | None:
    """Return the ledger line about exactly these weights, this champion, test set and policy; None if there is none.

    Judging them again would give the same verdict and spend no further evidence.
    """
    return earlier_entry(champions.history(store, dataset), chosen.training["weights_digest"], tests, policy)


def earlier_entry(history: Sequence[Entry], weights: str, tests: TestSet, policy: Policy) -> Entry | None:
    """Return the newest line of a ledger about these weights, its champion, this test set and policy; else None."""
    moves = [entry for entry in history if entry.action in ledger.MOVES]
    champion = moves[-1].to_version if moves else None
    for entry in reversed(history):
        same = entry.digests.get("weights") == weights and entry.decision
        if same and entry.digests.get("test") == tests.digest and required_the_same(entry, policy):
            is_champion = entry.to_version is not None and entry.to_version == champion
            if is_champion or (entry.action in ("hold", "reject", "wait") and entry.from_version == champion):
                return entry
    return None


def required_the_same(entry: Entry, policy: Policy) -> bool:
    """Whether an earlier decision was made by the same requirements; by code that knew others, it was not."""
    try:
        return policy.same_requirements(Policy.from_json(entry.decision["policy"]))
    except (TypeError, BadInput):
        return False


def unchanged_message(earlier: Entry, waited: Waiting | None = None, *, loaded: bool = True) -> str:
    """Return a sentence that this exact model was judged before, and with which result.

    Args:
        earlier: the ledger line about it.
        waited: its waiting for a person, over or not; None if it never waited.
        loaded: whether the champion was loaded tonight, and not only hashed.
    """
    if earlier.action == "wait" and waited:
        return f"this exact model passed the gate on {earlier.when[:10]}; {waited.sentence()}"
    if earlier.to_version:
        since = earlier.when[:10]
        state = "predicts what was recorded" if loaded else "its files are those that were registered"
        return f"this exact model is {earlier.to_version}, champion since {since}, and {state}"
    champion = earlier.from_version or "no champion"
    return f"this exact model was compared with {champion} on {earlier.when[:10]}; nothing has changed: {earlier.why}"


def require_self_test(
    dataset: Dataset,
    tests: TestSet,
    candidate: npt.NDArray[np.int64],
    champion: evidence.Champion | None,
    policy: Policy,
) -> tuple[self_test.SelfTest, ...]:
    """Run the gate's self-test on tonight's test set.

    Args:
        dataset: the catalogue's row.
        tests: tonight's test images.
        candidate: int64 (n,), the candidate's predictions, used in place of the champion's where there are none.
        champion: the champion's predictions on the same images.
        policy: tonight's policy.

    Returns:
        The results, all of them passed.

    Raises:
        Broken: a verdict is wrong; the gate must not decide anything.
    """
    base = champion.predicted if champion and champion.predicted is not None else candidate
    canary = np.random.default_rng(0).permutation(tests.labels)  # each class as often as in the labels
    tested = self_test.self_test(tests.labels, base, canary, dataset.class_names, policy)
    failed = [f"{one.name}: expected {one.expected}, got {one.got}" for one in tested if not one.passed]
    if failed:
        raise Broken(f"the gate failed its self-test ({'; '.join(failed)})", "do not promote by force; report this")
    return tested
