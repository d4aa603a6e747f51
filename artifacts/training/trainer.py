"""What trains and evaluates a candidate: one protocol, whether the work is done in this process or in a child.

Importing this module is cheap; Keras and its backend are loaded by the first training.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from artifacts.evaluation.evaluate import Evaluation, evaluate
from artifacts.models.warm_start import Parent
from artifacts.recipes.candidate import Candidate
from artifacts.training.history import Progress
from artifacts.training.train import TrainingResult, train
from data.home.store import Store
from data.prepared.parquet import PreparedRef


class Trainer(Protocol):
    """Trains and evaluates candidates. `InProcess` and `ChildTrainer` write the same files."""

    def train(
        self,
        store: Store,
        prepared: PreparedRef,
        candidate: Candidate,
        folder: Path,
        device: str,
        on_progress: Callable[[Progress], None] | None = None,
        checkpoint: Path | None = None,
        parent: Parent | None = None,
    ) -> TrainingResult:
        """Train a candidate and put the model into a folder; see `artifacts.training.train.train`."""

    def evaluate(self, store: Store, prepared: PreparedRef, folder: Path) -> Evaluation:
        """Score the model in a folder; see `artifacts.evaluation.evaluate.evaluate`."""


class InProcess:
    """Trains and evaluates in this process, which keeps the device's memory until it ends."""

    train = staticmethod(train)
    evaluate = staticmethod(evaluate)
