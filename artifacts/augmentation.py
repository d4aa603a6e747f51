"""What is random about an epoch: order, shifts and flips, drawn outside the compiled loop and applied inside it.

All draws come from NumPy, from (seed, epoch, chunk) alone: they are the same on every backend and device, a resumed
training draws what an unbroken one would have drawn, and the compiled loop contains no random state.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from artifacts.recipes.base import Plan


@dataclass(frozen=True)
class Draws:
    """The random part of one epoch.

    Args:
        order: int32 (steps, batch); rows of the training images, each once; -1 where the last batch has no more.
        shifts: int32 (steps, 2); where the window of each batch starts in its padded images, 0..2 * shift.
        flips: bool (steps, batch); which images are flipped left-right.
    """

    order: npt.NDArray[np.int32]
    shifts: npt.NDArray[np.int32]
    flips: npt.NDArray[np.bool_]

    def tensors(self) -> tuple[Any, Any, Any]:
        """Return order, shifts and flips as tensors of the Keras backend."""
        return tuple(ops.convert_to_tensor(array) for array in (self.order, self.shifts, self.flips))


def draw(plan: Plan, n: int, seed: tuple[int, ...], rows: int | None = None) -> Draws:
    """Return the draws for training on n images once.

    Args:
        plan: batch size and largest shift.
        n: number of images.
        seed: of the training, the epoch, and the chunk of the epoch.
        rows: number of images to make room for, at least n: chunks of different sizes get draws of the same shape.
    """
    rng = np.random.default_rng(seed)
    steps = -(-(rows or n) // plan.batch)
    order = np.full(steps * plan.batch, -1, np.int32)
    order[:n] = rng.permutation(n)
    return Draws(
        order=order.reshape(steps, plan.batch),
        shifts=rng.integers(0, 2 * plan.shift + 1, (steps, 2), np.int32),
        flips=rng.random((steps, plan.batch), np.float32) < 0.5,
    )


def augment(plan: Plan, images: Any, shift: Any, flips: Any) -> Any:
    """Return a batch moved by one random shift, and flipped image by image, as far as the plan says so.

    Args:
        plan: what is switched on.
        images: float32 (b, h, w).
        shift: int32 (2,), from Draws.shifts.
        flips: bool (b,), from Draws.flips.
    """
    if plan.flip:
        images = ops.where(flips[:, None, None], ops.flip(images, axis=2), images)
    if plan.shift:
        shape = images.shape
        # One shift for the whole batch is one copy; a shift per image would be a gather, several times slower.
        padded = ops.pad(images, ((0, 0), (plan.shift, plan.shift), (plan.shift, plan.shift)))
        images = ops.slice(padded, (0, shift[0], shift[1]), shape)
    return images
