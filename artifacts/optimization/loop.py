"""The compiled training loop: one call per epoch, row indices and draws in, metrics out, no Python between steps.

On small images, `model.fit` spends most of its time outside the arithmetic: it returns to Python for every batch.
Here an epoch is one compiled function with a while loop inside; the training images stay where they are and each step
gathers its own rows. Decision 0005 has the reasons and the measurements. The steps are written in `keras.ops`; what
differs between TensorFlow and JAX is in `artifacts/backends`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from artifacts.backends.current import current
from artifacts.backends.protocol import State
from artifacts.optimization.augmentation import augment, draw
from artifacts.optimization.feed import Block, Feed
from artifacts.optimization.schedules import optimizer
from artifacts.recipes.recipe import Plan
from artifacts.recipes.sizes import at_once


class Loop:
    """Trains one Keras model by one plan.

    Args:
        model: float32 images (b, h, w) or (b, h, w, 3) in [0, 1] to float32 logits (b, n_classes), or a list of
            logits, one per member.
        plan: how to train it.
        n: number of training images, which decides how many steps the schedule spans.
        jit: whether XLA compiles the epoch as a whole.
        ground: the colour that moves in where images are shifted, in [0, 1], one value per channel.
        class_counts: training images of each class; needed where the plan balances them.
    """

    def __init__(
        self,
        model: Any,
        plan: Plan,
        n: int,
        jit: bool,
        ground: Sequence[float] = (0.0,),
        class_counts: Sequence[int] = (),
    ) -> None:
        self.model, self.plan, self.ground = model, plan, ground
        self.class_weights = class_weights(class_counts, plan.balance)
        self.optimizer = optimizer(plan, sum(plan.lengths(n)))
        self.optimizer.build(model.trainable_variables)
        self.backend = current()
        # Loss of every training image when it was last seen, if the plan leaves some out.
        self.losses: npt.NDArray[np.float32] = np.full(n if plan.leave_out else 0, np.inf, np.float32)
        self._epoch = self.backend.compiled(_go_on, self._train, self._variables(), jit)
        # Called once per epoch: not worth XLA.
        self._measure = self.backend.compiled(_go_on, self._look, model.variables, jit=False)

    def epoch(self, feed: Feed, seed: tuple[int, int], steps: int) -> tuple[float, float, int]:
        """Train for up to `steps` steps of one epoch; stops at the first loss that is not finite.

        Args:
            feed: the training images.
            seed: (seed of the training, epoch counted from 0).
            steps: at most the number of batches in the feed.

        Returns:
            Weighted mean loss and accuracy over the images trained on, measured while the model was changing (accuracy
            on augmented images, loss with label smoothing), and the number of these images.
        """
        loss, correct, count = 0.0, 0.0, 0
        for index, block in enumerate(feed):
            planned = self._steps(seed[1], block)
            if planned == 0:
                continue
            losses = self.losses[block.first : block.first + block.n]  # a view: assignments to it are kept
            draws = draw(self.plan, block.n, (*seed, index), block.labels.shape[0], planned, losses)
            seen = [ops.zeros(draws.order.shape)] if self.plan.leave_out else []
            now = min(steps, planned)
            sums = self._epoch((*_start(), *seen), _int32(now), block.images, block.labels, *draws.tensors())
            loss, correct, count = loss + float(sums[1]), correct + float(sums[2]), count + round(float(sums[3]))
            for noted in sums[4:]:
                order = draws.order[:now]
                losses[order[order >= 0]] = np.asarray(noted)[:now][order >= 0]
            steps -= now
            if steps == 0 or not np.isfinite(loss):
                break
        return loss / count, correct / count, count

    def measure(self, feed: Feed) -> tuple[float, float]:
        """Return mean cross-entropy (without label smoothing) and accuracy over all images."""
        loss, correct, n = 0.0, 0.0, 0
        with self.averaged():
            for block in feed:
                batch = min(at_once(tuple(block.images.shape[1:])), int(block.labels.shape[0]))
                order: npt.NDArray[np.int32] = np.full(-(-int(block.labels.shape[0]) // batch) * batch, -1, np.int32)
                order[: block.n] = np.arange(block.n)
                rows = _int32(order.reshape(-1, batch))
                sums = self._measure(_start(), _int32(len(rows)), block.images, block.labels, rows)
                loss, correct, n = loss + float(sums[1]), correct + float(sums[2]), n + block.n
        return loss / n, correct / n

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Replace the weights by their average while the block runs, where the plan keeps one."""
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
        """Return everything the next epoch depends on: variables of network and optimizer, and losses if kept."""
        return [*(variable.numpy() for variable in self._variables()), *([self.losses] if self.plan.leave_out else [])]

    def restore(self, state: Sequence[npt.NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        variables = self._variables()
        for variable, value in zip(variables, state[: len(variables)], strict=True):
            variable.assign(value)
        for losses in state[len(variables) :]:
            self.losses = losses

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]

    def finish(self) -> None:
        """Put the weights to keep into the model: the average, where the plan has one."""
        if self.plan.ema:
            self.optimizer.finalize_variable_values(self.model.trainable_variables)

    def _steps(self, epoch: int, block: Block) -> int:
        first, batch = block.first, self.plan.batch
        return self.plan.taken(epoch, -(-(first + block.n) // batch)) - self.plan.taken(epoch, first // batch)

    # -- inside the compiled functions --------------------------------------------------------------------------

    def _train(self, state: State, _: Any, images: Any, labels: Any, order: Any, weights: Any, *moves: Any) -> State:
        sums, seen, step = state[:4], state[4:], state[0]
        x, y, mask = self._batch(images, labels, order[step])
        x = augment(self.plan, x, *(drawn[step] for drawn in moves), ground=self.ground)
        counted = mask * weights[step]
        if self.plan.balance:
            counted = counted * ops.take(ops.convert_to_tensor(self.class_weights), y)
        logits, losses = self._learn(x, y, counted)
        noted = (ops.slice_update(kept, (step, 0), _true_losses(y, logits)[None]) for kept in seen)
        return (*_added(sums, losses, logits, y, counted), *noted)

    def _look(self, state: State, _steps: Any, images: Any, labels: Any, order: Any) -> State:
        x, y, mask = self._batch(images, labels, order[state[0]])
        logits = self._logits(x)
        return _added(state, _true_losses(y, logits), logits, y, mask)

    def _batch(self, images: Any, labels: Any, rows: Any) -> tuple[Any, Any, Any]:
        """Return images (b, ...), labels (b,) and a mask (b,) that is 0 for the padding of the last batch."""
        some = ops.where(rows < 0, -1 - rows, rows)
        return ops.take(images, some, axis=0), ops.take(labels, some, axis=0), ops.cast(rows >= 0, "float32")

    def _learn(self, x: Any, y: Any, mask: Any) -> tuple[Any, Any]:
        """Take one step; return logits (b, c) and losses (b,) computed before it."""
        n_classes = self.model.outputs[0].shape[-1]
        targets = ops.one_hot(y, n_classes)
        if self.plan.label_smoothing:
            targets = targets * (1.0 - self.plan.label_smoothing) + self.plan.label_smoothing / n_classes
        if self.plan.step is not None:
            logits = self.plan.step(self.model, x, targets, mask)
            return logits, _cross_entropy(targets, logits)

        def loss() -> tuple[Any, tuple[Any, Any]]:
            members = _members(self.model(x, training=True))
            losses = sum(
                _cross_entropy(targets, logits) for logits in members
            )  # a sum, so that each learns as on its own
            return ops.sum(losses * mask) / ops.sum(mask), (_mean(members), losses / len(members))

        gradients, (logits, losses) = self.backend.gradients(self.model, loss)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return logits, losses

    def _logits(self, x: Any) -> Any:
        """Return the logits (b, c) that are validated: the mean over members and, if planned, both flips."""
        logits = _mean(_members(self.model(x, training=False)))
        if self.plan.average_flips:
            logits = (logits + _mean(_members(self.model(ops.flip(x, axis=2), training=False)))) / 2.0
        return logits


def class_weights(counts: Sequence[int], balance: float) -> npt.NDArray[np.float32]:
    """Return the weight of an image of each class, float32 (n_classes,): 1 on average over all images.

    Args:
        counts: images of each class; a class without any gets the weight 0.
        balance: 0..1, see `Plan.balance`.
    """
    images = np.asarray(counts, np.float64)
    raw = np.where(images > 0, np.maximum(images, 1) ** -balance, 0.0)
    return np.asarray(raw * images.sum() / max(float((raw * images).sum()), 1e-12), np.float32)


def _start() -> State:
    """Return the initial state of a loop: the step, and sums of losses, hits and images."""
    return (_int32(0), *(ops.zeros((), "float32") for _ in range(3)))


def _go_on(state: State, steps: Any, *_: Any) -> Any:
    """Return whether to take another step: not after a loss that is not finite."""
    return ops.logical_and(state[0] < steps, ops.isfinite(state[1]))


def _added(state: State, losses: Any, logits: Any, y: Any, mask: Any) -> State:
    """Return the state after a step, with the losses and hits of the images that the mask selects added."""
    step, loss, correct, count = state
    hits = ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), y), "float32")
    return step + 1, loss + ops.sum(losses * mask), correct + ops.sum(hits * mask), count + ops.sum(mask)


def _members(outputs: Any) -> list[Any]:
    return outputs if isinstance(outputs, list) else [outputs]


def _mean(logits: list[Any]) -> Any:
    return sum(logits) / len(logits) if len(logits) > 1 else logits[0]


def _int32(value: Any) -> Any:
    return ops.convert_to_tensor(value, "int32")


def _true_losses(y: Any, logits: Any) -> Any:
    return _cross_entropy(ops.one_hot(y, logits.shape[-1]), logits)


def _cross_entropy(targets: Any, logits: Any) -> Any:
    # Not keras.losses: on TensorFlow they replace the output of a sigmoid or softmax by its input, which would change
    # the mathematics of a recipe that does this on purpose (sigmoid-regression).
    return -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)
