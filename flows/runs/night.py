"""What a run of `retrain` knows about itself: id, home, dataset, policy, who started it, and in the end its report."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
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
from artifacts.registry import champions, ledger, waiting
from artifacts.reporting import measured, next_commands
from artifacts.reporting.measured import Answers, Step
from artifacts.reporting.summary import NightReport, failed_row, trained_row
from artifacts.serving import check
from artifacts.serving.check import InfraCheck
from artifacts.upkeep.preflight import preflight
from data import catalogue
from data.dataset import Dataset
from data.errors import BadInput, DataRefused, NightshiftError
from data.home import journal
from data.home.journal import Record
from data.home.store import Store
from data.inspection.contact_sheet import SHEET
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from data.snapshots import nights
from data.snapshots.nights import Night as DataNight
from data.validation import results
from data.validation.observed import observed
from flows.runs import due
from flows.runs.queueing import one_night_at_a_time
from flows.runs.reconcile import reconcile
from flows.runs.record import own_deployment, recorded
from flows.runs.timeline import Timeline, trainings
from flows.settings import settings, user_name
from tasks.progress import listening, say
from tasks.report import report as write_report


@dataclass(frozen=True)
class Night:
    """One run.

    Args:
        run: a readable id that is also a folder's name.
        store: the home.
        dataset: what is trained on.
        policy: what a model must meet to be promoted.
        mode: "normal", "dry-run" or "force".
        who: a person or "schedule", for the ledger.
        started: UTC.
        champion: id of the champion when the run began; None before the first promotion.
        record: of this run, in the home's journal.
        serving: a fresh process in which the winner will have to serve.
        changes: policy fields that differ tonight.
        timeline: when the steps began and ended.
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
    changes: Mapping[str, Any]
    timeline: Timeline

    @classmethod
    @contextmanager
    def begin(cls, dataset: str, changes: Mapping[str, Any], mode: Mode, reason: str) -> Iterator["Night"]:
        """Check the parameters, clean up after crashed runs, wait for other nights of the dataset, and begin.

        Nothing is downloaded or trained before all of this has passed.

        Args:
            dataset: name in the catalogue.
            changes: policy fields that differ tonight.
            mode: "normal", "dry-run" or "force".
            reason: required by "force".

        Raises:
            UnknownName: no such dataset.
            BadInput: a forced run without a reason, or an invalid policy.
            Broken: newer code has written in this home.
            StorageFailed: the home cannot be written, has no locks, or is nearly full.
        """
        store, now = settings().store, datetime.now(UTC)
        row = catalogue.get(store, dataset)
        if mode == "force" and not reason.strip():
            raise BadInput(
                "force needs a reason, and none was given",
                "give it in one sentence: --reason '...', or the field reason",
            )
        for line in preflight(store, row.bytes_needed):
            say("start", line)
        for line in reconcile(store):
            say("start", line)
        swept = store.sweep()
        if swept:
            say("start", f"removed {len(swept)} leftovers of crashed runs")
        counts = row.reference.test_counts if row.reference else ()
        policy = policy_for(row.name, counts).changed(changes)
        run = f"{now:%Y%m%dt%H%M%S}-{row.name}-{runtime.flow_run.id[:8]}"
        timeline = Timeline()
        with (
            listening(timeline),
            recorded(store, "retrain", run, row.name, mode) as waiting,
            one_night_at_a_time(store, waiting) as record,
        ):
            champion = champions.champion_id(store, row.name)
            with check.infra_check_on_demand(budgets=verdict.budgets(policy)) as serving:
                night = cls(run, store, row, policy, mode, _who(), now, champion, record, serving, changes, timeline)
                with night._reporting_refusal():
                    yield night

    @contextmanager
    def _reporting_refusal(self) -> Iterator[None]:
        """Write a report if the data are refused in the block, and let the error go on."""
        try:
            yield
        except DataRefused as error:
            with suppress(NightshiftError):  # a home that cannot be written must not hide why the night ended
                write_report(self.store, None, None, self._refused(error))
            raise

    def on(self, prepared: PreparedRef) -> "Night":
        """Return this night with the row and the policy of tonight's data: a snapshot may have brought images."""
        if not self.dataset.growth:
            return self
        row = catalogue.get(self.store, self.dataset.name)
        counts = parquet.describe(self.store, prepared)["splits"]["test"]["class_counts"]
        return replace(self, dataset=row, policy=policy_for(row.name, counts).changed(self.changes))

    def waits(self, candidates: Sequence[Candidate]) -> str:
        """Return why a growing dataset is not trained tonight; "" if it is, as whatever a person forces or tries is."""
        if not self.dataset.growth or self.mode != "normal":
            return ""
        return due.waits(self.store, self.dataset, due.asked_for(candidates, self.changes))

    def get_ready(self, candidates: Sequence[Candidate]) -> None:
        """Start the process that will serve the winner: it imports TensorFlow, and by the verdict it is ready.

        Where an earlier night was asked for the same, most likely nothing will have to be served.
        """
        if not due.done_before(self.store, self.dataset, due.asked_for(candidates, self.changes)):
            self.serving.start()

    @property
    def champion_answered_lately(self) -> bool:
        """Whether a recent night on this machine has loaded the champion and got the recorded answers."""
        return due.answered_lately(self.store, self.dataset.name, self.champion or "")

    def postponed(self, prepared: PreparedRef, why: str) -> NightReport:
        """Return the report of a night without a training; nothing is written."""
        say("choose", f"nothing is trained tonight: {why}", 1.0)
        return self._report(prepared, verdict="POSTPONED", reason=why)

    def finish(
        self, report: NightReport, candidates: Sequence[Candidate] = (), *, answers: bool = False
    ) -> State[NightReport]:
        """End this run's record, and return the final state: Completed, named after what has become of the winner.

        Args:
            report: as `report` or `postponed` returned it.
            candidates: what was judged.
            answers: whether the model that is champion now was loaded tonight and gave the recorded answers.
        """
        summary = f"{report.headline}: {report.reason}"
        result: dict[str, Any] = {}
        if report.validation and report.validation.shifts:
            result["shifts"] = [shift.sentence for shift in report.validation.shifts]
        if candidates and self.mode != "dry-run":
            result |= {"asked": due.asked_for(candidates, self.changes), "snapshot": self.dataset.snapshot}
        if answers and report.champion_after:
            result["answered"] = due.answered(report.champion_after)
        promoted = report.promoted
        journal.end(
            self.store, self.record, "finished", summary, verdict=report.verdict, promoted=promoted, result=result
        )
        name = "Promoted" if promoted else "Waits for approval" if report.waiting else "Not promoted"
        return Completed(name=name, message=summary, data=report)

    def candidates(self, recipes: Sequence[str], seed: int, seeds: int) -> list[Candidate]:
        """Return every recipe with every seed."""
        return due.candidates(recipes, seed, seeds)

    def report(
        self,
        prepared: PreparedRef,
        outcomes: Sequence[TrainedRef | FailedCandidate],
        finished: Sequence[Trained],
        judged: Judged,
        made_from: Provenance,
    ) -> NightReport:
        """Collect everything that the report shows; nothing is written."""
        trained = {one.ref: one for one in finished}
        rows = [failed_row(one) if isinstance(one, FailedCandidate) else trained_row(trained[one]) for one in outcomes]
        decision, history = judged.decision, champions.history(self.store, self.dataset.name)
        waits, after = waiting.current(history), champions.champion_id(self.store, self.dataset.name)
        seed = judged.chosen.ref.candidate.seed
        return self._report(
            prepared,
            verdict=judged.verdict,
            reason=judged.unchanged or decision.reason,
            decision=decision,
            candidates=rows,
            standings=standings(finished),
            winner=judged.chosen.ref.candidate.name,
            self_tests=judged.self_tests,
            infra=judged.infra,
            champion_answers=_champion_answers(judged),
            robustness=judged.robustness,
            provenance=made_from.to_json(),
            decided=len(ledger.decided(history, judged.test_digest)),
            ledger=ledger.newest(history),
            waits=waits.sentence() if waits else "",
            next_commands=next_commands.after(self.dataset.name, seed, self.champion, after, waits),
        )

    def _report(self, prepared: PreparedRef, *, verdict: str, reason: str, **more: Any) -> NightReport:
        described = parquet.describe(self.store, prepared)
        return self._about(described["validation"], described, verdict=verdict, reason=reason, **more)

    def _refused(self, error: DataRefused) -> NightReport:
        """Return the report of a night whose data were refused."""
        known = error.validation and self.store.is_complete(self.store.validation(error.validation))
        reason = error.problem.partition("\n")[0].removesuffix(":")
        return self._about(error.validation if known else "", {}, verdict="REFUSED", reason=reason)

    def _about(
        self, validation: str, described: Mapping[str, Any], *, verdict: str, reason: str, **more: Any
    ) -> NightReport:
        checks, catches = results.read(self.store, validation) if validation else (None, ())
        found = observed(self.store, validation) if validation else ()
        name = self.dataset.name
        return NightReport(
            run=self.run,
            dataset=name,
            title=self.dataset.title,
            class_names=self.dataset.class_names,
            started=self.started,
            finished=datetime.now(UTC),
            verdict=verdict,
            reason=reason,
            mode=self.mode,
            champion_before=self.champion,
            champion_after=champions.champion_id(self.store, name),
            validation=checks,
            catches=catches,
            sheet=self.store.validation(validation) / SHEET if validation else None,
            news=self._news(),
            data=measured.data_facts(self.dataset, described, found),
            expectations=found,
            steps=self._steps(),
            past=measured.past_nights(self.store, name, self.run),
            **more,
        )

    def _steps(self) -> list[Step]:
        """Return the steps of this process, and the trainings of workers."""
        return self.timeline.steps() + (trainings(self.store, self.record) if own_deployment() else [])

    def _news(self) -> DataNight | None:
        known = nights.nights(self.store, self.dataset.name) if self.dataset.growth else []
        return known[-1] if known else None


def _champion_answers(judged: Judged) -> Answers | None:
    """Return the answers of the champion that the winner was compared with."""
    champion = judged.champion
    return Answers(champion.version, champion.predicted) if champion and champion.predicted is not None else None


def _who() -> str:
    """Return who started this run: "schedule", or the user that the process runs as."""
    return "schedule" if "auto-scheduled" in (runtime.flow_run.tags or ()) else user_name()
