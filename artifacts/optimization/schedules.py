"""Learning-rate schedules and optimizers, on any Keras backend; both run inside the compiled loop."""

import math
from typing import Any

import keras
from keras import ops

from artifacts.backends.current import current
from artifacts.optimization.muon import Muon
from artifacts.recipes.recipe import Plan


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc] # keras ships no types
    """Linear from near zero up to the peak, then down to near zero: linearly, or along half a cosine.

    The first and the last step have a rate above 0: step t of n has the rate at (t + 0.5) / n of the cycle.

    Args:
        peak: the highest rate.
        steps: length of the cycle, at least 1.
        warmup: share of the steps spent rising, 0..1.
        cosine: whether to fall along half a cosine.
    """

    def __init__(self, peak: float, steps: int, warmup: float, cosine: bool = False) -> None:
        super().__init__()
        self.peak, self.steps, self.warmup, self.cosine = peak, steps, warmup, cosine

    def __call__(self, step: Any) -> Any:
        """Return the rate of this step (0-based)."""
        done = (ops.cast(step, "float32") + 0.5) / self.steps
        rising = done / max(self.warmup, 1e-6)
        falling = ops.clip((1.0 - done) / max(1.0 - self.warmup, 1e-6), 0.0, 1.0)
        if self.cosine:
            falling = 0.5 * (1.0 - ops.cos(math.pi * falling))
        return self.peak * ops.minimum(ops.minimum(rising, 1.0), falling)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup, "cosine": self.cosine}


def optimizer(plan: Plan, total_steps: int, adam: Any = None) -> Any:
    """Return the Keras optimizer of a plan.

    Args:
        plan: update rule, rates, decay, average.
        total_steps: number of steps that the schedule spans.
        adam: class to use for Adam; default: the backend's own.
    """
    rate: Any = plan.learning_rate
    if plan.schedule != "constant":
        rate = OneCycle(plan.learning_rate, total_steps, plan.warmup, cosine=plan.schedule == "cosine")
    common: dict[str, Any] = {"learning_rate": rate, "weight_decay": plan.weight_decay or None}
    if plan.ema:
        common |= {"use_ema": True, "ema_momentum": plan.ema, "ema_overwrite_frequency": None}
    if plan.optimizer == "sgd":
        return keras.optimizers.SGD(**common)
    common |= {"beta_1": plan.betas[0], "beta_2": plan.betas[1]}
    if plan.optimizer == "muon":
        return Muon(plan.momentum, **common)
    # AdamW in Keras is Adam whose weight_decay must be set; one class serves both names.
    return (adam or current().Adam)(**common)
