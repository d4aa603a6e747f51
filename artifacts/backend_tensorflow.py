"""TensorFlow under the training loop: variables that change in place, and XLA where it is asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from artifacts.backend import Gpu, State
from data.errors import TrainingFailed

NAME = "tensorflow"
TITLE = "TensorFlow"
CONV_ON_CPU = "conv nets on a CPU: oneDNN, no XLA"
BFLOAT16_ON_CPU = True


def compiled(
    go_on: Callable[..., Any], step: Callable[..., State], variables: Sequence[Any], jit: bool
) -> Callable[..., State]:
    """See `Backend.compiled`."""
    del variables  # the graph refers to them

    def run(state: State, *arguments: Any) -> State:
        here = (lambda *state: go_on(state, *arguments), lambda *state: step(state, *arguments))
        return tuple(tf.while_loop(*here, state))

    return tf.function(run, jit_compile=jit)  # type: ignore[no-any-return] # tensorflow ships no types


def gradients(model: Any, loss: Callable[[], tuple[Any, Any]]) -> tuple[list[Any], Any]:
    """See `Backend.gradients`."""
    with tf.GradientTape() as tape:
        value, rest = loss()
    return tape.gradient(value, model.trainable_variables), rest


def gpus() -> list[Gpu]:
    """See `Backend.gpus`.

    Raises:
        TrainingFailed: TensorFlow has taken all of a GPU's memory already.
    """
    found = tf.config.list_physical_devices("GPU")
    for gpu in found:
        if not tf.config.experimental.get_memory_growth(gpu):
            _grow(gpu)
    details = [tf.config.experimental.get_device_details(gpu) for gpu in found]
    return [Gpu(str(one.get("device_name", "gpu")), one.get("compute_capability", (0, 0))) for one in details]


def _grow(gpu: tf.config.PhysicalDevice) -> None:
    """Take memory as it is needed, so that another process can use the GPU too; only possible before first use."""
    try:
        tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise TrainingFailed(
            f"TensorFlow has taken the whole GPU already ({error})", "train in a process of its own"
        ) from error


def deterministic() -> None:
    """See `Backend.deterministic`."""
    tf.config.experimental.enable_op_determinism()


def out_of_memory(error: BaseException) -> bool:
    """See `Backend.out_of_memory`."""
    return isinstance(error, tf.errors.ResourceExhaustedError)
