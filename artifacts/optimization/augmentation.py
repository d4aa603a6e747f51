"""What is random about an epoch: images, order, flips, turns, shifts, cutouts; drawn outside the loop, applied inside.

All draws come from NumPy, from (seed, epoch, chunk) and, where images are left out, from their losses: a resumed
training draws what an unbroken one would have drawn, and the compiled loop contains no random state.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from artifacts.recipes.recipe import Plan


@dataclass(frozen=True)
class Draws:
    """The random part of one epoch.

    Args:
        order: int32 (steps, batch); rows of the training images, each at most once. Behind the last it goes on with
            -1 - row, from the first row on: images that nothing is learned from, but that batch norm may look at.
        weights: float32 (steps, batch); how much each image counts, 1 in the mean.
        shifts: int32 (steps, batch, 2); where the window of each image starts in the padded image, 0..2 * shift.
        flips: bool (steps, batch); which images are flipped left-right.
        cutouts: float32 (steps, batch, 2); the centre of each image's cutout, as shares of height and width.
        turns: float32 (steps, batch, 2); how far each image is turned and enlarged, -1..1 of the most there is.
    """

    order: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    shifts: npt.NDArray[np.int32]
    flips: npt.NDArray[np.bool_]
    cutouts: npt.NDArray[np.float32]
    turns: npt.NDArray[np.float32]

    def tensors(self) -> tuple[Any, ...]:
        """Return order, weights, shifts, flips, cutouts and turns as tensors of the Keras backend."""
        arrays = (self.order, self.weights, self.shifts, self.flips, self.cutouts, self.turns)
        return tuple(ops.convert_to_tensor(array) for array in arrays)


def draw(
    plan: Plan,
    n: int,
    seed: tuple[int, int, int],
    rows: int | None = None,
    steps: int | None = None,
    losses: npt.NDArray[np.float32] | None = None,
) -> Draws:
    """Return the draws for training on n images once, or on some of them.

    Args:
        plan: batch size and largest shift.
        n: number of images.
        seed: of the training, the epoch, and the chunk of the epoch.
        rows: number of images to make room for, at least n: chunks of different sizes get draws of the same shape.
        steps: how many batches to fill; by default as many as the images fill.
        losses: float32 (n,), of every image when it was last seen; needed where some images are left out.
    """
    rng = np.random.default_rng(seed)
    shape = (-(-(rows or n) // plan.batch), plan.batch)
    turn, counts = rng.permutation(n), np.ones(n, np.float32)
    if losses is not None and steps is not None and steps * plan.batch < n:
        turn, counts = _some(turn, losses, steps * plan.batch)
    order, weights = np.resize(turn.astype(np.int32), shape), np.resize(counts, shape)
    order.ravel()[len(turn) :] = -1 - order.ravel()[len(turn) :]
    return Draws(
        order=order,
        weights=weights,
        shifts=rng.integers(0, 2 * plan.shift + 1, (*order.shape, 2), np.int32),
        flips=_flips(order, n, seed),
        cutouts=rng.random((*order.shape, 2), np.float32),
        turns=2 * rng.random((*order.shape, 2), np.float32) - 1,
    )


def _some(turn: npt.NDArray[np.intp], losses: npt.NDArray[np.float32], m: int) -> tuple[Any, npt.NDArray[np.float32]]:
    """Return m of the rows, in the turn in which they are given, and how much each of them counts.

    A third of them are those with the largest losses; the others are a random part of the rest, and count so much more
    that the sum over all images is expected to be the same. The mean is 1, so steps stay as long as they were.
    """
    ranks = np.empty(len(turn), np.intp)
    ranks[np.argsort(-losses, kind="stable")] = np.arange(len(turn))
    hardest = ranks[turn] < m // 3
    rest = np.flatnonzero(~hardest)[: m - m // 3]  # the turn is random already
    taken = np.sort(np.concatenate([np.flatnonzero(hardest), rest]))
    counts = np.where(hardest[taken], 1.0, (len(turn) - m // 3) / len(rest)) * (m / len(turn))
    return turn[taken], counts.astype(np.float32)


def _flips(order: npt.NDArray[np.int32], n: int, seed: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    """Return which images to flip: chance decides in the first epoch, then each image alternates between its sides.

    Two epochs show every image from both sides; drawn anew each time, half of the images would show one side twice.
    """
    training, epoch, chunk = seed
    first = np.random.default_rng((training, 0, chunk, 1)).random(n, np.float32) < 0.5  # a stream of its own
    return np.asarray(first[order] ^ (epoch % 2 == 1))


def augment(plan: Plan, images: Any, shifts: Any, flips: Any, cutouts: Any, turns: Any) -> Any:
    """Return a batch, each image flipped, turned, moved and with a square blanked, as far as the plan says so.

    Args:
        plan: what is switched on.
        images: float32 (b, h, w).
        shifts: int32 (b, 2), from Draws.shifts.
        flips: bool (b,), from Draws.flips.
        cutouts: float32 (b, 2), from Draws.cutouts.
        turns: float32 (b, 2), from Draws.turns.
    """
    if plan.flip:
        images = ops.where(flips[:, None, None], ops.flip(images, axis=2), images)
    if plan.rotation or plan.zoom:
        images = _turned(images, math.radians(plan.rotation) * turns[:, 0], 1.0 + plan.zoom * turns[:, 1])
    if plan.shift:
        vertical = _moved(images.shape[1], shifts[:, 0] - plan.shift)
        horizontal = _moved(images.shape[2], shifts[:, 1] - plan.shift)
        images = ops.matmul(ops.matmul(vertical, images), ops.transpose(horizontal, (0, 2, 1)))
    if plan.cutout:
        rows = _within(images.shape[1], cutouts[:, 0], plan.cutout)
        columns = _within(images.shape[2], cutouts[:, 1], plan.cutout)
        images = images * (1.0 - rows[:, :, None] * columns[:, None, :])
    return images


def _turned(images: Any, angles: Any, scales: Any) -> Any:
    """Return images turned by angles in radians and enlarged about their centres, interpolated; zeros move in."""
    _, height, width = images.shape
    across, down = (width - 1) / 2, (height - 1) / 2
    row = (ops.arange(height, dtype="float32") - down)[None, :, None]
    column = (ops.arange(width, dtype="float32") - across)[None, None, :]
    cosine, sine = ((of(angles) / scales)[:, None, None] for of in (ops.cos, ops.sin))
    y, x = cosine * row - sine * column + down, sine * row + cosine * column + across  # where a pixel comes from
    flat, result = ops.reshape(images, (-1, height * width)), ops.zeros_like(images)
    for top, left in itertools.product((0, 1), repeat=2):
        i, j = ops.floor(y) + top, ops.floor(x) + left
        inside = ops.logical_and(ops.logical_and(i >= 0, i < height), ops.logical_and(j >= 0, j < width))
        weight = ops.where(inside, (1.0 - ops.abs(y - i)) * (1.0 - ops.abs(x - j)), 0.0)
        place = ops.cast(ops.clip(i, 0, height - 1) * width + ops.clip(j, 0, width - 1), "int32")
        found = ops.take_along_axis(flat, ops.reshape(place, (-1, height * width)), axis=1)
        result = result + weight * ops.reshape(found, (-1, height, width))
    return result


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
