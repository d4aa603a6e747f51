"""How networks follow the size of the images, and trainings their number. docs/decisions/0017 has the measurements.

Sizes: images with a side above `FULL` are first reduced by a convolution whose stride halves the longer side until it
is at most `FULL`, so that no image costs much more than one of 64 x 64; then come as many pools as bring the longer
side to at most `MAP`. At 28 x 28 that is no reduction and two pools. Numbers: see `fitted`. Memory: see `bounded` and
`at_once`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from artifacts.recipes.recipe import DatasetInfo, Plan

FULL = 64  # pixels: the longer side up to which all of an image is looked at in full resolution
MAP = 8  # pixels: the longer side of the last map
IMAGES_PER_BATCH = 40  # a batch has at most one in so many of the training images, if there are few
SMALLEST_BATCH = 16
BATCH_BYTES = 1 << 25  # of float32 pixels in a batch, at most: 682 images of 64 x 64 x 3, 55 of 224 x 224 x 3
FILTERS = 16  # of the first convolution, in a network to which that bound applies as it is
MEASURED = 1000  # images that are measured or predicted together: enough to keep the processor busy
MEASURED_PIXELS = 1 << 20  # height x width, of all of them: 1000 images up to 32 x 32, 256 of 64 x 64, 20 of 224 x 224


def stride(info: DatasetInfo) -> int:
    """Return the stride of the first convolution: 1 up to 64 pixels, 2 up to 128, 4 up to 256 ..."""
    return 1 << max(0, math.ceil(math.log2(max(info.height, info.width) / FULL)))


def pools(info: DatasetInfo, map_side: int = MAP) -> int:
    """Return how many pools of 2 x 2 follow the first convolution: at least one, none of a single row or column."""
    shorter, longer = sorted(-(-side // stride(info)) for side in (info.height, info.width))
    wanted = math.ceil(math.log2(longer / map_side))
    return max(1, min(wanted, int(math.log2(shorter))))


def entrance(info: DatasetInfo) -> list[Any]:
    """Return the layers before the first convolution: images (h, w) or (h, w, 3) become maps, the ground becomes 0."""
    from keras import layers

    first = [layers.Input(info.shape), layers.Reshape((info.height, info.width, info.channels))]
    if not any(info.ground):
        return first
    ground = list(info.ground)
    return [*first, layers.Normalization(axis=-1, mean=ground, variance=[1.0] * len(ground), name="from_ground")]


def kernel(info: DatasetInfo, size: int) -> int:
    """Return the size of the first convolution's kernel: `size`, or more, so that its stride leaves no pixel out."""
    return max(size, 2 * stride(info) - 1)


def widths(base: Sequence[int], n: int) -> list[int]:
    """Return the number of filters of n convolutions: the first n of `base`, and its last one again and again."""
    return [*base, *[base[-1]] * n][:n]


def few(n_train: int, epochs: int, batch: int, least_steps: int) -> bool:
    """Return whether a training on so many images takes fewer than `least_steps` steps."""
    return epochs * math.ceil(n_train / batch) < least_steps


def fitted(plan: Plan, n_train: int, least_steps: int) -> Plan:
    """Return a plan that takes at least `least_steps` steps where the images are so few that it would take fewer.

    The batches become smaller first, down to a 40th of the images and to 16; then the epochs become more.

    Args:
        plan: as the recipe made it.
        n_train: number of training images.
        least_steps: of the whole training; 0 leaves the plan as it is.
    """
    if not few(n_train, plan.epochs, plan.batch, least_steps):
        return plan
    largest = 2 ** int(math.log2(max(n_train // IMAGES_PER_BATCH, SMALLEST_BATCH)))
    batch = min(plan.batch, largest)
    return replace(plan, batch=batch, epochs=max(plan.epochs, math.ceil(least_steps / math.ceil(n_train / batch))))


def bounded(plan: Plan, info: DatasetInfo, width: int = FILTERS) -> Plan:
    """Return a plan whose batches hold at most `BATCH_BYTES` of pixels: a power of two where they held more.

    Pixels, what augmentation makes of them, and the first maps decide how much memory a step takes. Each member has
    maps of its own, and twice the filters make maps of twice the size: pixels count as often.

    Args:
        plan: as the recipe made it.
        info: the dataset.
        width: filters of the first convolution, where the recipe has any.
    """
    times = plan.members * max(width / FILTERS, 1)
    most = max(int(BATCH_BYTES / (4 * math.prod(info.shape) * times)), 1)
    return plan if plan.batch <= most else replace(plan, batch=2 ** int(math.log2(most)))


def at_once(shape: tuple[int, ...]) -> int:
    """Return how many images (h, w) or (h, w, 3) to measure or predict together, so that memory stays bounded."""
    height, width = shape[:2]
    return max(min(MEASURED, MEASURED_PIXELS // (height * width)), 1)
