"""What a run of `retrain` knows about itself: id, home, who started it, and in the end what there is to tell."""

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from artifacts.evaluation.candidates import FailedCandidate, Trained, TrainedRef, standings
from artifacts.gate.decision import Mode
from artifacts.gate.policy import Policy, policy_for
from artifacts.judging import verdict
from artifacts.judging.verdict import Judged
from artifacts.models.provenance import Provenance
from artifacts.recipes.candidate import Candidate
from artifacts.registry import champions, ledger
from artifacts.reporting.summary import NightReport, failed_row, trained_row
from artifacts.serving import check
from artifacts.serving.check import InfraCheck
from data import catalogue, journal, parquet, validation
from data.dataset import Dataset
from data.errors import BadInput
from data.journal import Record
from data.parquet import PreparedRef
from data.store import Store
from flows.runs.reconcile import reconcile
from flows.runs.record import recorded
from flows.runs.turns import alone
from flows.settings import settings
from tasks.progress import say


@dataclass(frozen=True)
class Night:
    """One run.

    Args:
        run: a readable id that is also a folder's name.
        store: the home.
        dataset: what is trained on.
        policy: what a model must fulfil.
        mode: "normal", "dry-run" or "force".
        who: a person or "schedule", for the ledger.
        started: UTC.
        champion: id of the champion when the run began; None before the first promotion.
        record: what the home's journal has about this run.
        serving: a fresh process that will be asked to serve the winner.
    """

    run: str
    store: Store
    dataset: Dataset
    policy: Policy
    mode: Mode
    who: str
    started: datetime
    champion: str | None
    record: Record
    serving: InfraCheck

    @classmethod
    @contextmanager
    def begin(cls, dataset: str, changes: Mapping[str, Any], mode: Mode, reason: str) -> Iterator["Night"]:
        """Put things in order, wait for our turn, and write down how it ends.

        Checks what can be checked before anything is downloaded or trained.

        Raises:
            UnknownName: no such dataset.
            BadInput: a forced run without a reason, or a policy that cannot be.
            StorageFailed: the home cannot be written, or is nearly full.
        """
        store, row, now = settings().store, catalogue.get(settings().store, dataset), datetime.now(UTC)
        if mode == "force" and not reason.strip():
            raise BadInput("force needs a reason, and none was given", "say why in one sentence, as the reason")
        store.preflight(row.bytes_needed)
        for line in reconcile(store):
            say("start", line)
        swept = store.sweep()
        if swept:
            say("start", f"removed {len(swept)} leftovers of runs that died")
        counts = row.reference.test_counts if row.reference else ()
        policy = policy_for(row.name, counts).changed(changes)
        run = f"{now:%Y%m%dt%H%M%S}-{row.name}-{runtime.flow_run.id[:8]}"
        with recorded(store, "retrain", run, row.name, mode) as record, alone(store, record) as record:
            champion = champions.champion_id(store, row.name)
            # TensorFlow takes long to import; by the verdict it is ready
            with check.start_infra_check(budgets=verdict.budgets(policy)) as serving:
                yield cls(run, store, row, policy, mode, _who(), now, champion, record, serving)

    def ended(self, night: NightReport) -> State[NightReport]:
        """Write down how it went, and return the final state of the run.

        "Not promoted" is no failure, and no silent success either.
        """
        said = f"{night.headline}: {night.reason}"
        journal.end(self.store, self.record, "finished", said, verdict=night.verdict, promoted=night.promoted)
        return Completed(name="Promoted" if night.promoted else "Not promoted", message=said, data=night)

    def candidates(self, recipes: Sequence[str], seed: int, seeds: int) -> list[Candidate]:
        """Return every recipe with every seed."""
        return [Candidate.parse(recipe, seed + k) for recipe in recipes for k in range(seeds)]

    def told(
        self,
        prepared: PreparedRef,
        outcomes: Sequence[TrainedRef | FailedCandidate],
        finished: Sequence[Trained],
        judged: Judged,
        made_from: Provenance,
    ) -> NightReport:
        """Return what there is to tell."""
        trained = {one.ref: one for one in finished}
        rows = [failed_row(one) if isinstance(one, FailedCandidate) else trained_row(trained[one]) for one in outcomes]
        said, catches = validation.read(self.store, parquet.describe(self.store, prepared)["validation"])
        decision, history = judged.decision, champions.history(self.store, self.dataset.name)
        return NightReport(
            run=self.run,
            dataset=self.dataset.name,
            title=self.dataset.title,
            class_names=self.dataset.class_names,
            started=self.started,
            finished=datetime.now(UTC),
            verdict="UNCHANGED" if judged.unchanged else decision.verdict,
            reason=judged.unchanged or decision.reason,
            decision=decision,
            mode=self.mode,
            candidates=rows,
            standings=standings(finished),
            winner=judged.chosen.ref.candidate.name,
            champion_before=self.champion,
            champion_after=champions.champion_id(self.store, self.dataset.name),
            validation=said,
            catches=catches,
            self_tests=judged.self_tests,
            infra=judged.infra,
            provenance=made_from.to_json(),
            decided=len(ledger.decided(history, judged.test_digest)),
            ledger=ledger.newest(history),
            next_commands=self._next(judged),
        )

    def _next(self, judged: Judged) -> list[tuple[str, str]]:
        name = self.dataset.name
        return [
            (f"nightshift history {name}", "every decision about this dataset"),
            (f"nightshift show {name}", "the champion: what it is and what it was made from"),
            (f"nightshift predict IMAGE.png --model {name}", "ask the champion about an image"),
            (f"nightshift retrain {name} --seed {judged.chosen.ref.candidate.seed + 1}", "another night, other dice"),
        ]


def _who() -> str:
    """Return who started this run: a schedule, or a person as far as one can tell."""
    return "schedule" if "auto-scheduled" in (runtime.flow_run.tags or ()) else getpass.getuser()
