"""Racing: a candidate with `race=yes` gives up once it can no longer catch up with another recipe that has finished.

"Can no longer" is a stated rule, not a proof. From half of its epochs on, a candidate is credited with twice what the
rival gained between the same share of its own training and its end, plus two standard errors of a difference between
two accuracies on the validation images. If that is still below the rival's final accuracy, the candidate gives up.
"""

import json
import math
from collections.abc import Sequence

from artifacts.evaluation.numbers import percent
from artifacts.recipes.candidate import Candidate
from artifacts.training.history import Progress
from data.errors import TrainingFailed
from data.home.store import Store

FROM = 0.5  # share of its epochs that every candidate is trained for
GAIN_FACTOR = 2.0  # times the rival's gain
STANDARD_ERRORS = 2.0


class Race:
    """Compares one candidate in training with the finished ones.

    Args:
        store: the home, where finished trainings appear.
        candidate: the one in training; without `race=yes` it never gives up.
        rivals: content addresses of the run's other recipes, finished or not.
    """

    def __init__(self, store: Store, candidate: Candidate, rivals: Sequence[str]) -> None:
        self._store, self._candidate = store, candidate
        self._rivals = tuple(rivals) if candidate.resolved().get("race") == "yes" else ()
        self._best = 0.0

    def check(self, now: Progress) -> None:
        """Compare with every rival that has finished by now.

        Raises:
            TrainingFailed: the candidate can no longer catch up with one of them.
        """
        self._best = max(self._best, now.val_accuracy)
        for digest in self._rivals if now.epoch >= FROM * now.epochs else ():
            folder = self._store.trained(digest)
            if self._store.is_complete(folder):
                rival = [Progress(**entry) for entry in json.loads((folder / "history.json").read_bytes())]
                result = json.loads((folder / "training.json").read_bytes())
                attainable = attainable_accuracy(self._best, now.epoch / now.epochs, rival, result["n_validation"])
                if attainable < rival[-1].val_accuracy:
                    raise TrainingFailed(
                        f"gave up after epoch {now.epoch} of {now.epochs}: from {percent(self._best)} it could reach "
                        f"{percent(attainable)} on the validation images, and {result['recipe']} has "
                        f"{percent(rival[-1].val_accuracy)}",
                        f"train {self._candidate.recipe} without race=yes to see where it would have ended",
                    )


def attainable_accuracy(accuracy: float, share: float, rival: Sequence[Progress], n_validation: int) -> float:
    """Return the validation accuracy that a candidate is credited with by the end of its training.

    Args:
        accuracy: its best so far, 0..1.
        share: of its training that is done, 0..1.
        rival: the whole history of a finished training.
        n_validation: number of validation images.
    """
    then = rival[max(math.ceil(share * len(rival)), 1) - 1].val_accuracy
    final = rival[-1].val_accuracy
    noise = math.sqrt(2 * final * (1 - final) / n_validation)
    return accuracy + GAIN_FACTOR * max(final - then, 0.0) + STANDARD_ERRORS * noise
