"""What is random about an epoch: order, shifts, flips and cutouts, drawn outside the compiled loop, applied inside it.

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
        shifts: int32 (steps, batch, 2); where the window of each image starts in the padded image, 0..2 * shift.
        flips: bool (steps, batch); which images are flipped left-right.
        cutouts: float32 (steps, batch, 2); the centre of each image's cutout, as shares of height and width.
    """

    order: npt.NDArray[np.int32]
    shifts: npt.NDArray[np.int32]
    flips: npt.NDArray[np.bool_]
    cutouts: npt.NDArray[np.float32]

    def tensors(self) -> tuple[Any, Any, Any, Any]:
        """Return order, shifts, flips and cutouts as tensors of the Keras backend."""
        return tuple(ops.convert_to_tensor(array) for array in (self.order, self.shifts, self.flips, self.cutouts))


def draw(plan: Plan, n: int, seed: tuple[int, int, int], rows: int | None = None) -> Draws:
    """Return the draws for training on n images once.

    Args:
        plan: batch size and largest shift.
        n: number of images.
        seed: of the training, the epoch, and the chunk of the epoch.
        rows: number of images to make room for, at least n: chunks of different sizes get draws of the same shape.
    """
    rng = np.random.default_rng(seed)
    steps = -(-(rows or n) // plan.batch)
    rows_in_turn = np.full(steps * plan.batch, -1, np.int32)
    rows_in_turn[:n] = rng.permutation(n)
    order = rows_in_turn.reshape(steps, plan.batch)
    return Draws(
        order=order,
        shifts=rng.integers(0, 2 * plan.shift + 1, (*order.shape, 2), np.int32),
        flips=_flips(order, n, seed),
        cutouts=rng.random((*order.shape, 2), np.float32),
    )


def _flips(order: npt.NDArray[np.int32], n: int, seed: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    """Return which images to flip: chance decides in the first epoch, then each image alternates between its sides.

    Two epochs show every image from both sides; drawn anew each time, half of the images would show one side twice.
    """
    training, epoch, chunk = seed
    first = np.random.default_rng((training, 0, chunk, 1)).random(n, np.float32) < 0.5  # a stream of its own
    return np.asarray(first[order] ^ (epoch % 2 == 1))


def augment(plan: Plan, images: Any, shifts: Any, flips: Any, cutouts: Any) -> Any:
    """Return a batch, each image flipped, moved and with a square blanked, as far as the plan says so.

    Args:
        plan: what is switched on.
        images: float32 (b, h, w).
        shifts: int32 (b, 2), from Draws.shifts.
        flips: bool (b,), from Draws.flips.
        cutouts: float32 (b, 2), from Draws.cutouts.
    """
    if plan.flip:
        images = ops.where(flips[:, None, None], ops.flip(images, axis=2), images)
    if plan.shift:
        vertical = _moved(images.shape[1], shifts[:, 0] - plan.shift)
        horizontal = _moved(images.shape[2], shifts[:, 1] - plan.shift)
        images = ops.matmul(ops.matmul(vertical, images), ops.transpose(horizontal, (0, 2, 1)))
    if plan.cutout:
        rows = _within(images.shape[1], cutouts[:, 0], plan.cutout)
        columns = _within(images.shape[2], cutouts[:, 1], plan.cutout)
        images = images * (1.0 - rows[:, :, None] * columns[:, None, :])
    return images


def _moved(size: int, by: Any) -> Any:
    """Return float32 (b, size, size) matrices that move a vector by so many places; zeros move in.

    A product with them moves every image on its own, exactly, in a fraction of the time that a gather takes.
    """
    places = ops.arange(size, dtype="int32")
    return ops.cast(ops.equal(places[None, :, None] + by[:, None, None], places), "float32")


def _within(size: int, centre: Any, side: int) -> Any:
    """Return float32 (b, size), 1 on the `side` places around a share of the size, as far as there are any."""
    start = ops.floor(centre * size) - side // 2
    after = ops.arange(size, dtype="float32") - start[:, None]
    return ops.cast(ops.logical_and(after >= 0, after < side), "float32")
