"""A home with real candidates: two seeds of the tiny recipe, trained and evaluated on the bundled sample."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from artifacts.evaluation import candidates, test_set
from artifacts.evaluation.candidates import Trained, TrainedRef
from artifacts.evaluation.test_set import TestSet
from artifacts.gate.policy import Policy
from artifacts.recipes.candidate import Candidate
from artifacts.registry import champions, versions
from artifacts.registry.versions import Version
from artifacts.serving.check import InfraResult
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from data.values import digest_of
from tests.artifacts.registry import nights
from tests.artifacts.small import prepare

SAMPLE = "mnist-sample"
LENIENT = Policy(min_accuracy=0.5, min_recall=0.0)


@dataclass(frozen=True)
class TrainedHome:
    """The home, its prepared data, and its candidates."""

    store: Store
    prepared: PreparedRef
    refs: tuple[TrainedRef, ...]

    @property
    def trained(self) -> tuple[Trained, ...]:
        """The candidates as the gate gets them, the first one as the winner."""
        return tuple(candidates.read(self.store, ref) for ref in self.refs)

    @property
    def tests(self) -> TestSet:
        """The test images."""
        return test_set.read_test_set(self.store, self.prepared)

    def copy(self, root: Path) -> "TrainedHome":
        """A copy that a test may change."""
        shutil.copytree(self.store.root, root)
        return replace(self, store=Store(root))

    def served(self, ref: TrainedRef) -> InfraResult:
        """The result of a fresh process without complaints."""
        model = self.store.files(self.store.trained(ref.digest))["model.keras"]["sha256"]
        return InfraResult(True, "reproduced 64 recorded answers", model, latency_ms=1.0)

    def promote(self, seed: int, policy: Policy = LENIENT) -> Version:
        """Register a candidate and make it champion."""
        ref, run = self.refs[seed], f"run-{seed}"
        provenance = nights.provenance(
            "",
            run,
            dataset=SAMPLE,
            prepared_digest=self.prepared.digest,
            test_digest=self.tests.digest,
            weights_digest=self.trained[seed].training["weights_digest"],
        )
        decision = {**nights.decision(), "policy": policy.to_json()}
        folder = self.store.trained(ref.digest)
        version = versions.register(
            self.store, SAMPLE, folder, decision=decision, provenance=provenance, infra=self.served(ref)
        )
        token = champions.generation(self.store, SAMPLE)
        champions.promote(self.store, version, generation=token, who="schedule", why="better")
        return version


def build(root: Path) -> TrainedHome:
    """Prepare the sample and train on it."""
    from artifacts.evaluation.evaluate import evaluate
    from artifacts.training.train import train

    store = Store(root)
    prepared = prepare(store)
    refs = []
    for seed in (0, 1):
        candidate = Candidate.parse("tiny:epochs=2", seed)
        ref = TrainedRef(candidate, digest_of(["trained", seed]))
        with store.publish(store.trained(ref.digest)) as draft:
            draft.meta.update(recipe=str(candidate), seed=seed, prepared=prepared.digest)
            train(store, prepared, candidate, draft.path)
            evaluate(store, prepared, draft.path)
        refs.append(ref)
    return TrainedHome(store, prepared, tuple(refs))
