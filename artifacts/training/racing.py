"""Racing: a candidate whose recipe says so gives up once it can no longer catch up with one of the night that is done.

"Can no longer" is a stated rule, not a proof. From half of its epochs on, a candidate may hope to gain twice what the
rival gained from the same share of its own training to the end, and two standard errors of a difference between two
accuracies on the validation images besides. What is below the rival's final accuracy even then gives up.
"""

import json
import math
from collections.abc import Sequence

from artifacts.recipes.candidate import Candidate
from artifacts.training.fit import Progress
from data.errors import TrainingFailed
from data.store import Store

FROM = 0.5  # the share of its epochs that every candidate may train
HOPE = 2.0
STANDARD_ERRORS = 2.0


class Race:
    """Watches one candidate.

    Args:
        store: where finished trainings appear.
        candidate: who trains.
        rivals: content addresses of the night's other recipes, finished or not.
    """

    def __init__(self, store: Store, candidate: Candidate, rivals: Sequence[str]) -> None:
        self._store, self._candidate = store, candidate
        self._rivals = tuple(rivals) if candidate.resolved().get("race") == "yes" else ()
        self._best = 0.0

    def look(self, now: Progress) -> None:
        """Compare with every rival that is done by now.

        Raises:
            TrainingFailed: there is no hope left.
        """
        self._best = max(self._best, now.val_accuracy)
        for digest in self._rivals if now.epoch >= FROM * now.epochs else ():
            folder = self._store.trained(digest)
            if self._store.is_complete(folder):
                rival = [Progress(**entry) for entry in json.loads((folder / "history.json").read_bytes())]
                told = json.loads((folder / "training.json").read_bytes())
                reach = within_reach(self._best, now.epoch / now.epochs, rival, told["n_validation"])
                if reach < rival[-1].val_accuracy:
                    raise TrainingFailed(
                        f"gave up after epoch {now.epoch} of {now.epochs}: from {self._best:.2%} it could hope for "
                        f"{reach:.2%} on the validation images, and {told['recipe']} has {rival[-1].val_accuracy:.2%}",
                        f"train {self._candidate.recipe} without race=yes to see where it would have ended",
                    )


def within_reach(accuracy: float, share: float, rival: Sequence[Progress], n_validation: int) -> float:
    """Return the validation accuracy that a candidate may still hope for.

    Args:
        accuracy: its best so far.
        share: of its training that is done, 0..1.
        rival: a whole training.
        n_validation: images that accuracies are measured on.
    """
    then = rival[max(math.ceil(share * len(rival)), 1) - 1].val_accuracy
    final = rival[-1].val_accuracy
    noise = math.sqrt(2 * final * (1 - final) / n_validation)
    return accuracy + HOPE * max(final - then, 0.0) + STANDARD_ERRORS * noise
