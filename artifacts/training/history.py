"""The epochs of a training: what was measured after each, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a training stands after an epoch.

    Args:
        epoch: epochs done, from 1.
        epochs: epochs planned.
        loss: mean training loss of the epoch, label smoothing and augmentation included.
        accuracy: training accuracy of the epoch, on augmented images.
        val_loss: mean cross-entropy on the validation images after the epoch.
        val_accuracy: accuracy on the validation images after the epoch.
        images_per_s: training images per second of this epoch, compilation included in the first.
        seconds: since the training began.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    images_per_s: float
    seconds: float


def best_epoch(history: Sequence[Progress]) -> int:
    """Return the first epoch, counted from 0, with the best validation accuracy."""
    return max(range(len(history)), key=lambda index: history[index].val_accuracy)


def exhausted(history: Sequence[Progress], patience: int) -> bool:
    """Return whether the validation accuracy has not risen for `patience` epochs; never if that is 0."""
    return 0 < patience < len(history) and best_epoch(history) < len(history) - patience
