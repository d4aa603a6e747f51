"""The result of a night as plain values: the report, the UI note and the terminal's last screen show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from artifacts.evaluation.metrics import Metrics
from artifacts.evaluation.numbers import NONE, number, with_interval
from artifacts.evaluation.test_set import read_test_set
from artifacts.gate.decision import Decision
from artifacts.gate.self_test import SelfTest
from artifacts.models import predictions
from artifacts.reporting.measured import Answers, ClassChange, DataFacts, Past, Step, class_change
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from data.validation.observed import Observed
from data.validation.results import Catch, ValidationResult
from data.values import plain

if TYPE_CHECKING:
    from artifacts.evaluation.candidates import FailedCandidate, Standing, Trained, TrainedRef
    from artifacts.serving.check import InfraResult
    from data.snapshots.nights import Night as DataNight


@dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """One candidate of the night, trained or not.

    Args:
        name: "cnn-seed0".
        recipe: name of the recipe.
        parameters: every parameter, defaults included.
        seed: of initialisation, order and augmentation.
        failed: why it was not trained or evaluated; empty for a candidate that was.
        reused: an earlier run trained it from the same inputs.
        validation: metrics on the validation images; None if it failed.
        test: metrics on the test images; None if it failed.
        seconds: duration of the training.
        images_per_s: training images per second.
        n_parameters: number of trainable weights.
        device: the processor or GPU it was trained on, as text for people.
        history: one mapping per epoch: loss, accuracy, val_loss, val_accuracy.
        start: for a recipe with `warm_start=champion`, whose weights it began with, or why with new ones.
    """

    name: str
    recipe: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    failed: str = ""
    reused: bool = False
    validation: Metrics | None = None
    test: Metrics | None = None
    seconds: float | None = None
    images_per_s: float | None = None
    n_parameters: int | None = None
    device: str = ""
    history: Sequence[Mapping[str, Any]] = ()
    start: str = ""

    @property
    def settings(self) -> str:
        """The parameters as one line: "epochs 6, learning_rate 0.004"."""
        return ", ".join(f"{name} {value}" for name, value in self.parameters.items())

    def texts(self, winner: str) -> dict[str, str]:
        """Return the candidate as text by column: what every table of candidates shows, each its own choice of it.

        Args:
            winner: name of the candidate that validation chose.
        """
        return {
            "candidate": self.name,
            "parameters": self.settings,
            "validation": _accuracy(self.validation),
            "test": _accuracy(self.test),
            "training": number(self.seconds, 1, " s"),
            "images/s": number(self.images_per_s, 0),
            "weights": number(self.n_parameters, 0),
            "device": self.device or NONE,
            "result": self._result(winner),
        }

    def _result(self, winner: str) -> str:
        if self.failed:
            return f"failed: {self.failed}"
        reused = "reused from an earlier run" if self.reused else ""
        parts = ("winner" if self.name == winner else "", reused, self.start)
        return ", ".join(filter(None, parts))


def _accuracy(metrics: Metrics | None) -> str:
    return with_interval(metrics.accuracy, metrics.low, metrics.high) if metrics else NONE


def trained_row(trained: "Trained") -> CandidateRow:
    """Return the row of a candidate that was trained."""
    training, candidate = trained.training, trained.ref.candidate
    return CandidateRow(
        name=candidate.name,
        recipe=candidate.recipe,
        parameters=training["parameters"],
        seed=candidate.seed,
        reused=trained.ref.reused,
        validation=trained.validation,
        test=trained.test,
        seconds=training["seconds"],
        images_per_s=training["images_per_s"],
        n_parameters=training["n_parameters"],
        device=training["device"],
        history=trained.history,
        start=training.get("start", ""),
    )


def failed_row(failed: "FailedCandidate") -> CandidateRow:
    """Return the row of a candidate that could not be trained."""
    candidate = failed.candidate
    return CandidateRow(
        name=candidate.name,
        recipe=candidate.recipe,
        parameters=candidate.resolved(),
        seed=candidate.seed,
        failed=failed.reason or "the reason is not known",
    )


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Images with the winner's predictions, for the picture of its worst mistakes.

    Args:
        images: uint8 of shape (n, height, width) or (n, height, width, 3); only those that are shown are read.
        labels: int64 of shape (n,), the true classes.
        probabilities: float32 of shape (n, classes), the predictions.
    """

    images: Any
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """int64 of shape (n,), the most probable class; on a tie the lower one."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)


def scored_test_images(store: Store, prepared: PreparedRef, ref: "TrainedRef") -> ScoredImages:
    """Return the test images, still on disk, with the predictions that the candidate made when it was evaluated."""
    test_set = read_test_set(store, prepared)
    recorded = predictions.read(store.trained(ref.digest) / "predictions-test.parquet")
    return ScoredImages(test_set.images, test_set.labels, recorded.probabilities)


@dataclass(frozen=True, kw_only=True, eq=False)
class NightReport:
    """Everything that is reported about a run; what is missing is left out of the report, never guessed.

    Args:
        run: the run's id.
        dataset: the dataset's name in the catalogue.
        title: the dataset's name for people.
        class_names: what the labels 0, 1, 2... mean.
        started: UTC.
        finished: UTC.
        verdict: PROMOTE, HOLD or REJECT; another word in capitals, such as UNCHANGED, where the gate was not asked;
            WAITING if the gate approved and a person is asked.
        reason: one sentence.
        decision: the gate's numbers, an earlier night's if nothing has changed; None where the gate was not asked.
        mode: "normal", "dry-run" or "force".
        candidates: all of them, failed ones too, in the order in which they were asked for.
        standings: how the recipes rank on the validation images, best first.
        winner: name of the candidate that validation chose; empty if there is none.
        champion_before: version id such as "mnist/3" when the run began; None before the first promotion.
        champion_after: version id when the run was over; None if there is no champion.
        validation: result of the data validation; None if there was none.
        catches: copies of the data that were corrupted on purpose, and which expectations noticed them.
        self_tests: verdicts of the gate on models whose verdict is known.
        infra: what the fresh process measured that served the winner; None where there was none.
        news: what changed in the data since the night before; None where they do not grow.
        sheet: the contact sheet, a PNG with some images per class; None where there is none.
        test_images: all test images with the winner's predictions.
        champion_answers: those of the champion it was compared with, on the same images; None without a comparison.
        robustness: the winner's accuracy on changed copies of the test images, by the kind of change.
        data: the data in numbers.
        expectations: every expectation with what was observed.
        steps: when each step began and ended, as far as they have.
        past: the last nights of the dataset, oldest first.
        provenance: the winner's, as `Provenance.to_json` gives it.
        decided: number of decisions on this test set so far, this one included.
        ledger: number and hash of the ledger's newest line: whoever keeps them can notice lines cut off later.
        waits: which version waits for a person's approval and until when, in one clause; "" if none does.
        next_commands: pairs of a command to try next and what it does.
    """

    run: str
    dataset: str
    title: str
    class_names: Sequence[str]
    started: datetime
    finished: datetime
    verdict: str
    reason: str
    decision: Decision | None = None
    mode: str = "normal"
    candidates: Sequence[CandidateRow] = ()
    standings: Sequence["Standing"] = ()
    winner: str = ""
    champion_before: str | None = None
    champion_after: str | None = None
    validation: ValidationResult | None = None
    catches: Sequence[Catch] = ()
    self_tests: Sequence[SelfTest] = ()
    infra: "InfraResult | None" = None
    news: "DataNight | None" = None
    sheet: Path | None = None
    test_images: ScoredImages | None = None
    champion_answers: Answers | None = None
    robustness: Mapping[str, float] = field(default_factory=dict)
    data: DataFacts = field(default_factory=DataFacts)
    expectations: Sequence[Observed] = ()
    steps: Sequence[Step] = ()
    past: Sequence[Past] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    decided: int = 0
    ledger: str = ""
    waits: str = ""
    next_commands: Sequence[tuple[str, str]] = ()

    @property
    def promoted(self) -> bool:
        """Whether this run made its winner the champion."""
        return self.verdict == "PROMOTE" and self.mode != "dry-run"

    @property
    def waiting(self) -> bool:
        """Whether the winner passed the gate, tonight or earlier, and waits for a person."""
        return self.verdict == "WAITING" and self.mode != "dry-run"

    @property
    def headline(self) -> str:
        """The verdict in words that cannot be mistaken for another: "PROMOTED", "NOT PROMOTED (HOLD)"..."""
        outcome = f"NOT PROMOTED ({self.verdict})"
        if self.verdict == "PROMOTE":
            outcome = "PROMOTED BY FORCE" if self.mode == "force" else "PROMOTED"
        if self.verdict == "WAITING":
            outcome = "APPROVED BY THE GATE, WAITS FOR A PERSON"
        return f"DRY RUN, nothing changed; would be {outcome}" if self.mode == "dry-run" else outcome

    @property
    def winning(self) -> CandidateRow | None:
        """The candidate that validation chose."""
        return next((row for row in self.candidates if row.name == self.winner and not row.failed), None)

    @property
    def change(self) -> ClassChange | None:
        """What the winner changed against the champion, per class; None without both models' answers."""
        scored, champion = self.test_images, self.champion_answers
        if scored is None or champion is None or len(champion.predicted) != len(scored.labels):
            return None
        return class_change(scored.labels, scored.predicted, champion, len(self.class_names))

    def to_json(self) -> dict[str, Any]:
        """Return the report as strict JSON can hold it; numbers that are not finite become null.

        Left out are images, single answers, earlier nights, and expectations that were met.
        """
        others = {"test_images", "champion_answers", "expectations", "past", "validation", "sheet"}
        values = {name: value for name, value in vars(self).items() if name not in others}
        if self.validation:
            values["validation"] = {name: getattr(self.validation, name) for name in ("success", "checks", "failures")}
        result: dict[str, Any] = plain(
            {"promoted": self.promoted, "headline": self.headline, **values, "change": self.change}, non_finite="null"
        )
        return result
