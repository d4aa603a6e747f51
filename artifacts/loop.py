"""The compiled training loop: one call per epoch, row indices and draws in, metrics out, no Python between steps.

`model.fit` spends most of its time on small images outside the arithmetic: it returns to Python for every batch.
Here an epoch is one TensorFlow function with a while loop inside; the training images stay where they are and each
step gathers its own rows. Decision 0005 has the reasons and the measurements.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from artifacts.augmentation import augment, draw
from artifacts.feed import Feed
from artifacts.recipes.base import Plan
from artifacts.schedules import optimizer

MEASURED_AT_ONCE = 1000


class Loop:
    """Trains one Keras model by one plan.

    Args:
        model: float32 images (b, h, w) in [0, 1] to float32 logits (b, n_classes).
        plan: how.
        total_steps: steps of the whole training, which the schedule spans.
        jit: whether the epoch is compiled by XLA.
    """

    def __init__(self, model: Any, plan: Plan, total_steps: int, jit: bool) -> None:
        self.model, self.plan = model, plan
        self.optimizer = optimizer(plan, total_steps)
        self.optimizer.build(model.trainable_variables)
        self._epoch = tf.function(self._epoch_graph, jit_compile=jit)
        self._measure = tf.function(self._measure_graph, jit_compile=False)  # called once per epoch: not worth XLA

    def epoch(self, feed: Feed, seed: tuple[int, int], steps: int) -> tuple[float, float, int]:
        """Train for up to `steps` steps of one epoch; stops at the first loss that is not finite.

        Args:
            feed: the training images.
            seed: of the training, and the epoch (0-based).
            steps: at most the number of batches in the feed.

        Returns:
            Mean loss and accuracy over the images trained on, as the model changed under them (the accuracy is that
            of augmented images, the loss includes label smoothing), and how many images that were.
        """
        loss, correct, count = 0.0, 0.0, 0
        for index, block in enumerate(feed):
            draws = draw(self.plan, block.n, (*seed, index), rows=block.labels.shape[0])
            now = min(steps, -(-block.n // self.plan.batch))
            sums = self._epoch(block.images, block.labels, draws.tensors(), tf.constant(now, tf.int32))
            loss, correct, count = loss + float(sums[0]), correct + float(sums[1]), count + int(sums[2])
            steps -= now
            if steps == 0 or not np.isfinite(loss):
                break
        return loss / count, correct / count, count

    def measure(self, feed: Feed) -> tuple[float, float]:
        """Return mean cross-entropy (without label smoothing) and accuracy over all images, none left out."""
        loss, correct, n = 0.0, 0.0, 0
        with self.averaged():
            for block in feed:
                batch = min(MEASURED_AT_ONCE, int(block.labels.shape[0]))
                order: npt.NDArray[np.int32] = np.full(-(-int(block.labels.shape[0]) // batch) * batch, -1, np.int32)
                order[: block.n] = np.arange(block.n)
                sums = self._measure(block.images, block.labels, tf.constant(order.reshape(-1, batch)))
                loss, correct, n = loss + float(sums[0]), correct + float(sums[1]), n + block.n
        return loss / n, correct / n

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the average over the weights in their place for a while, where the plan keeps one."""
        if not self.plan.ema:
            yield
            return
        current = self.model.get_weights()
        self.optimizer.finalize_variable_values(self.model.trainable_variables)
        try:
            yield
        finally:
            self.model.set_weights(current)

    def state(self) -> list[npt.NDArray[Any]]:
        """Return all that the next epoch depends on: the variables of the network and of the optimizer."""
        return [variable.numpy() for variable in self._variables()]

    def restore(self, state: Sequence[npt.NDArray[Any]]) -> None:
        """Continue from what `state` returned."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]

    def finish(self) -> None:
        """Leave the weights to keep in the model: the average, where the plan has one."""
        if self.plan.ema:
            self.optimizer.finalize_variable_values(self.model.trainable_variables)

    # -- inside the compiled functions --------------------------------------------------------------------------

    def _epoch_graph(self, images: Any, labels: Any, draws: tuple[Any, Any, Any], steps: Any) -> Any:
        order, shifts, flips = draws

        def go_on(step: Any, loss: Any, _correct: Any, _count: Any) -> Any:
            return ops.logical_and(step < steps, ops.isfinite(loss))

        def one_step(step: Any, loss: Any, correct: Any, count: Any) -> Any:
            x, y, mask = self._batch(images, labels, order[step])
            x = augment(self.plan, x, shifts[step], flips[step])
            logits, losses = self._learn(x, y, mask)
            hits = self._hits(logits, y)
            n = ops.sum(mask)
            return step + 1, loss + ops.sum(losses * mask), correct + ops.sum(hits * mask), count + n

        zero = tf.constant(0.0)
        _, loss, correct, count = tf.while_loop(go_on, one_step, (tf.constant(0), zero, zero, zero))
        return loss, correct, count

    def _measure_graph(self, images: Any, labels: Any, order: Any) -> Any:
        def one_step(step: Any, loss: Any, correct: Any) -> Any:
            x, y, mask = self._batch(images, labels, order[step])
            logits = self._logits(x)
            losses = _cross_entropy(ops.one_hot(y, logits.shape[-1]), logits)
            return step + 1, loss + ops.sum(losses * mask), correct + ops.sum(self._hits(logits, y) * mask)

        zero = tf.constant(0.0)
        _, loss, correct = tf.while_loop(lambda step, *_: step < order.shape[0], one_step, (tf.constant(0), zero, zero))
        return loss, correct

    def _batch(self, images: Any, labels: Any, rows: Any) -> tuple[Any, Any, Any]:
        """Return images (b, h, w), labels (b,) and a mask (b,) that is 0 where the last batch has no more images."""
        some = ops.maximum(rows, 0)
        return ops.take(images, some, axis=0), ops.take(labels, some, axis=0), ops.cast(rows >= 0, "float32")

    def _learn(self, x: Any, y: Any, mask: Any) -> tuple[Any, Any]:
        """Take one step and return logits (b, c) and losses (b,) from before it."""
        n_classes = self.model.output_shape[-1]
        targets = ops.one_hot(y, n_classes)
        if self.plan.label_smoothing:
            targets = targets * (1.0 - self.plan.label_smoothing) + self.plan.label_smoothing / n_classes
        if self.plan.step is not None:
            logits = self.plan.step(self.model, x, targets, mask)
            return logits, _cross_entropy(targets, logits)
        with tf.GradientTape() as tape:
            logits = self.model(x, training=True)
            losses = _cross_entropy(targets, logits)
            loss = ops.sum(losses * mask) / ops.sum(mask)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return logits, losses

    def _logits(self, x: Any) -> Any:
        """Return the logits that are validated: averaged over both sides of an image, where the plan says so."""
        logits = self.model(x, training=False)
        if self.plan.average_flips:
            logits = (logits + self.model(ops.flip(x, axis=2), training=False)) / 2.0
        return logits

    def _hits(self, logits: Any, y: Any) -> Any:
        return ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), y), "float32")


def _cross_entropy(targets: Any, logits: Any) -> Any:
    # Not keras.losses: on TensorFlow they look behind an output that came from a sigmoid or softmax and take its input
    # for the logits instead, which would change the mathematics of a recipe that means it (sigmoid-regression).
    return -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)
