"""Everything random in an epoch: which images, in which order, and how each is changed.

All draws come from NumPy, from (seed, epoch, chunk) and, where images are left out, from their losses: a resumed
training draws the same numbers as an uninterrupted one, and the compiled loop contains no random state.
"""

import itertools
import math
from collections.abc import Callable, Sequence
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
        order: int32 (steps, batch); rows of the training images, each at most once. After the last one it repeats the
            first ones as -1 - row: padding that has no gradient, but that batch norm may include in its statistics.
        weights: float32 (steps, batch); weight of each image in the loss, 1 on average.
        shifts: int32 (steps, batch, 2); where the window of each image starts in the padded image, 0..2 * shift.
        flips: bool (steps, batch); which images are flipped left-right.
        cutouts: float32 (steps, batch, 2); the centre of each image's cutout, as shares of height and width.
        affine: float32 (steps, batch, 2); rotation and zoom of each image, -1..1 as shares of the plan's maximum.
    """

    order: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    shifts: npt.NDArray[np.int32]
    flips: npt.NDArray[np.bool_]
    cutouts: npt.NDArray[np.float32]
    affine: npt.NDArray[np.float32]

    def tensors(self) -> tuple[Any, ...]:
        """Return order, weights, shifts, flips, cutouts and affine as tensors of the Keras backend."""
        arrays = (self.order, self.weights, self.shifts, self.flips, self.cutouts, self.affine)
        return tuple(ops.convert_to_tensor(array) for array in arrays)


def draw(
    plan: Plan,
    n: int,
    seed: tuple[int, int, int],
    rows: int | None = None,
    steps: int | None = None,
    losses: npt.NDArray[np.float32] | None = None,
) -> Draws:
    """Return the draws for one pass over n images, or over some of them.

    Args:
        plan: batch size and largest shift.
        n: number of images.
        seed: (seed of the training, epoch, chunk of the epoch).
        rows: number of images to allocate for, at least n: chunks of different sizes get draws of the same shape.
        steps: number of batches to fill; default: as many as n images fill.
        losses: float32 (n,), loss of every image when it was last seen; required where some images are left out.
    """
    rng = np.random.default_rng(seed)
    shape = (-(-(rows or n) // plan.batch), plan.batch)
    shuffled, counts = rng.permutation(n), np.ones(n, np.float32)
    if losses is not None and steps is not None and steps * plan.batch < n:
        shuffled, counts = _subset(shuffled, losses, steps * plan.batch)
    order, weights = np.resize(shuffled.astype(np.int32), shape), np.resize(counts, shape)
    order.ravel()[len(shuffled) :] = -1 - order.ravel()[len(shuffled) :]
    return Draws(
        order=order,
        weights=weights,
        shifts=rng.integers(0, 2 * plan.shift + 1, (*order.shape, 2), np.int32),
        flips=_flips(order, n, seed),
        cutouts=rng.random((*order.shape, 2), np.float32),
        affine=2 * rng.random((*order.shape, 2), np.float32) - 1,
    )


def _subset(
    shuffled: npt.NDArray[np.intp], losses: npt.NDArray[np.float32], m: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return m of the shuffled rows, in the given order, and the weight of each in the loss.

    A third of them are the rows with the largest losses. The others are a random part of the rest, weighted up so that
    the expected sum over all images does not change. The mean weight is 1, so the step size does not change either.
    """
    ranks = np.empty(len(shuffled), np.intp)
    ranks[np.argsort(-losses, kind="stable")] = np.arange(len(shuffled))
    hardest = ranks[shuffled] < m // 3
    rest = np.flatnonzero(~hardest)[: m - m // 3]  # the order is random already
    taken = np.sort(np.concatenate([np.flatnonzero(hardest), rest]))
    counts = np.where(hardest[taken], 1.0, (len(shuffled) - m // 3) / len(rest)) * (m / len(shuffled))
    return shuffled[taken], counts.astype(np.float32)


def _flips(order: npt.NDArray[np.int32], n: int, seed: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    """Return which images to flip: random in the first epoch, then each image alternates between its two sides.

    Two epochs show both sides of every image; with independent draws, half of the images would show one side twice.
    """
    training, epoch, chunk = seed
    first = np.random.default_rng((training, 0, chunk, 1)).random(n, np.float32) < 0.5  # independent of the other draws
    return np.asarray(first[order] ^ (epoch % 2 == 1))


def augment(
    plan: Plan, images: Any, shifts: Any, flips: Any, cutouts: Any, affine: Any, *, ground: Sequence[float] = (0.0,)
) -> Any:
    """Return a batch in which each image is flipped, rotated, zoomed, shifted and cut out, as the plan switches on.

    Args:
        plan: switches and maxima.
        images: float32 (b, h, w) or (b, h, w, 3).
        shifts: int32 (b, 2), from Draws.shifts.
        flips: bool (b,), from Draws.flips.
        cutouts: float32 (b, 2), from Draws.cutouts.
        affine: float32 (b, 2), from Draws.affine.
        ground: the colour that moves in from outside and replaces what is cut out, in [0, 1], one value per channel.

    Returns:
        float32 of the shape of the images.
    """
    if len(images.shape) == 3:
        return _on_ground(ground, images, lambda grey: _augment(plan, grey, shifts, flips, cutouts, affine))
    channels = images.shape[3]
    draws = [ops.repeat(drawn, channels, axis=0) for drawn in (shifts, flips, cutouts, affine)]  # all move together
    return _on_ground(ground, images, lambda colour: _joined(_augment(plan, _apart(colour), *draws), channels))


def _on_ground(ground: Sequence[float], images: Any, change: Callable[[Any], Any]) -> Any:
    """Return changed images where what was 0 in the change is the ground instead."""
    if not any(ground):
        return change(images)  # bit by bit what it was before there were other grounds
    colour = ops.convert_to_tensor(ground if len(images.shape) == 4 else ground[0], "float32")
    return change(images - colour) + colour


def _apart(images: Any) -> Any:
    """Return the channels of (b, h, w, c) as images of their own, (b * c, h, w)."""
    _, height, width, _ = images.shape
    return ops.reshape(ops.transpose(images, (0, 3, 1, 2)), (-1, height, width))


def _joined(images: Any, channels: int) -> Any:
    """Return what `_apart` took apart."""
    _, height, width = images.shape
    return ops.transpose(ops.reshape(images, (-1, channels, height, width)), (0, 2, 3, 1))


def _augment(plan: Plan, images: Any, shifts: Any, flips: Any, cutouts: Any, affine: Any) -> Any:
    """Augment (b, h, w), where 0 moves in."""
    if plan.flip:
        images = ops.where(flips[:, None, None], ops.flip(images, axis=2), images)
    if plan.rotation or plan.zoom:
        images = _rotated(images, math.radians(plan.rotation) * affine[:, 0], 1.0 + plan.zoom * affine[:, 1])
    if plan.shift:
        vertical = _shift_matrices(images.shape[1], shifts[:, 0] - plan.shift)
        horizontal = _shift_matrices(images.shape[2], shifts[:, 1] - plan.shift)
        images = ops.matmul(ops.matmul(vertical, images), ops.transpose(horizontal, (0, 2, 1)))
    if plan.cutout:
        rows = _within(images.shape[1], cutouts[:, 0], plan.cutout)
        columns = _within(images.shape[2], cutouts[:, 1], plan.cutout)
        images = images * (1.0 - rows[:, :, None] * columns[:, None, :])
    return images


def _rotated(images: Any, angles: Any, scales: Any) -> Any:
    """Return images rotated by angles in radians and scaled about their centres, bilinear, zeros outside."""
    _, height, width = images.shape
    across, down = (width - 1) / 2, (height - 1) / 2
    row = (ops.arange(height, dtype="float32") - down)[None, :, None]
    column = (ops.arange(width, dtype="float32") - across)[None, None, :]
    cosine, sine = ((of(angles) / scales)[:, None, None] for of in (ops.cos, ops.sin))
    y, x = cosine * row - sine * column + down, sine * row + cosine * column + across  # source coordinates
    flat, result = ops.reshape(images, (-1, height * width)), ops.zeros_like(images)
    for top, left in itertools.product((0, 1), repeat=2):
        i, j = ops.floor(y) + top, ops.floor(x) + left
        inside = ops.logical_and(ops.logical_and(i >= 0, i < height), ops.logical_and(j >= 0, j < width))
        weight = ops.where(inside, (1.0 - ops.abs(y - i)) * (1.0 - ops.abs(x - j)), 0.0)
        place = ops.cast(ops.clip(i, 0, height - 1) * width + ops.clip(j, 0, width - 1), "int32")
        found = ops.take_along_axis(flat, ops.reshape(place, (-1, height * width)), axis=1)
        result = result + weight * ops.reshape(found, (-1, height, width))
    return result


def _shift_matrices(size: int, by: Any) -> Any:
    """Return float32 (b, size, size) matrices, each of which moves a vector by its own number of places; zeros move in.

    The product is exact, per image, and takes a fraction of the time of a gather.
    """
    places = ops.arange(size, dtype="int32")
    return ops.cast(ops.equal(places[None, :, None] + by[:, None, None], places), "float32")


def _within(size: int, centre: Any, side: int) -> Any:
    """Return float32 (b, size): 1 on the `side` places around `centre * size`, clipped to the image; 0 elsewhere."""
    start = ops.floor(centre * size) - side // 2
    after = ops.arange(size, dtype="float32") - start[:, None]
    return ops.cast(ops.logical_and(after >= 0, after < side), "float32")
