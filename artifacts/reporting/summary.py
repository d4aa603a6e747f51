"""What a night has to tell, as plain values: the report, the UI note and the terminal's last screen show them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from artifacts.evaluation.metrics import Metrics
from artifacts.evaluation.test_set import read_test_set
from artifacts.gate.decision import Decision
from artifacts.gate.self_test import SelfTest
from artifacts.models import predictions
from data.parquet import PreparedRef
from data.store import Store
from data.validation import Catch, ValidationResult

if TYPE_CHECKING:
    from artifacts.evaluation.candidates import FailedCandidate, Standing, Trained, TrainedRef
    from artifacts.serving.check import InfraResult


@dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """One candidate of the night, trained or not.

    Args:
        name: "cnn-seed0".
        recipe: name of the recipe.
        parameters: every parameter, defaults included.
        seed: of initialisation, order and augmentation.
        failed: why it was not trained or evaluated; empty for a candidate that was.
        reused: trained by an earlier run from the same inputs.
        validation: on the validation images; None if it failed.
        test: on the test images; None if it failed or was not evaluated there.
        seconds: of training.
        images_per_s: training images per second.
        n_parameters: trainable weights.
        device: what it was trained on, for people.
        history: one mapping per epoch: loss, accuracy, val_loss, val_accuracy.
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


def trained_row(one: "Trained") -> CandidateRow:
    """Return the row of a candidate that was trained."""
    training, candidate = one.training, one.ref.candidate
    return CandidateRow(
        name=candidate.name,
        recipe=candidate.recipe,
        parameters=training["parameters"],
        seed=candidate.seed,
        reused=one.ref.reused,
        validation=one.validation,
        test=one.test,
        seconds=training["seconds"],
        images_per_s=training["images_per_s"],
        n_parameters=training["n_parameters"],
        device=training["device"],
        history=one.history,
    )


def failed_row(one: "FailedCandidate") -> CandidateRow:
    """Return the row of a candidate that could not be trained."""
    candidate = one.candidate
    return CandidateRow(
        name=candidate.name,
        recipe=candidate.recipe,
        parameters=candidate.resolved(),
        seed=candidate.seed,
        failed=one.reason or "no reason is known",
    )


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with the winner's answers, for the panel of the worst mistakes.

    Args:
        images: uint8 of shape (n, height, width).
        labels: int64 of shape (n,).
        probabilities: float32 of shape (n, classes).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def examples(store: Store, prepared: PreparedRef, ref: "TrainedRef") -> Examples:
    """Return the test images with the answers that the candidate gave when it was evaluated."""
    tests = read_test_set(store, prepared)
    said = predictions.read(store.trained(ref.digest) / "predictions-test.parquet")
    return Examples(tests.images, tests.labels, said.probabilities)


@dataclass(frozen=True, kw_only=True, eq=False)
class NightReport:
    """Everything that a run has to say; what is missing is left out of the report, never guessed.

    Args:
        run: the run's id.
        dataset: name in the catalogue.
        title: what people call the dataset.
        class_names: what the labels 0, 1, 2... mean.
        started: UTC.
        finished: UTC.
        verdict: PROMOTE, HOLD or REJECT; another word in capitals, such as UNCHANGED, where no gate was asked.
        reason: one sentence.
        decision: the gate's numbers, an earlier night's if nothing has changed; None where it was not asked.
        mode: "normal", "dry-run" or "force".
        candidates: all of them, failed ones too, in the order in which they were asked for.
        standings: how the recipes did on the validation images, best first.
        winner: the name of the candidate that validation chose; empty if there is none.
        champion_before: version id such as "mnist/3"; None on the first night.
        champion_after: likewise, when the run was over.
        champion_since: since when the champion before was champion, for people.
        validation: what the expectations said; None if they were not asked.
        catches: corrupted copies, and what caught them.
        self_tests: of the gate.
        infra: what the fresh process found that loaded the winner and served it; None where there was none.
        examples: all test images with the winner's answers.
        provenance: of the winner, as `Provenance.to_json` gives it.
        decided: how often this test set has decided something so far, tonight included.
        ledger: number and hash of the ledger's newest line: whoever keeps them can tell whether lines were cut off.
        notes: what else people should know, one sentence each.
        next_commands: what to try now: (command, what it does).
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
    champion_since: str = ""
    validation: ValidationResult | None = None
    catches: Sequence[Catch] = ()
    self_tests: Sequence[SelfTest] = ()
    infra: "InfraResult | None" = None
    examples: Examples | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    decided: int = 0
    ledger: str = ""
    notes: Sequence[str] = ()
    next_commands: Sequence[tuple[str, str]] = ()

    @property
    def promoted(self) -> bool:
        """Whether the champion is another one now."""
        return self.verdict == "PROMOTE" and self.mode != "dry-run"

    @property
    def headline(self) -> str:
        """The verdict, so that nobody can take one for another: "PROMOTED", "NOT PROMOTED (HOLD)"..."""
        if self.verdict == "PROMOTE":
            said = "PROMOTED BY FORCE" if self.mode == "force" else "PROMOTED"
        else:
            said = f"NOT PROMOTED ({self.verdict})"
        return f"DRY RUN, nothing changed; would be {said}" if self.mode == "dry-run" else said

    @property
    def winning(self) -> CandidateRow | None:
        """The candidate that validation chose."""
        return next((row for row in self.candidates if row.name == self.winner and not row.failed), None)

    def to_json(self) -> dict[str, Any]:
        """Return all of it but the images as what JSON can say; what is not finite becomes null."""
        values = {name: value for name, value in vars(self).items() if name not in {"examples", "validation"}}
        said = self.validation
        values["validation"] = said and {"success": said.success, "checks": said.checks, "failures": said.failures}
        plain: dict[str, Any] = _plain({"promoted": self.promoted, "headline": self.headline, **values})
        return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
