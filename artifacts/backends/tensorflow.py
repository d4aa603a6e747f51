"""TensorFlow as a backend of the training loop: variables that change in place, and XLA where it is asked for."""

import atexit
import gc
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf

from artifacts.backends.protocol import Gpu, State
from data.errors import TrainingFailed

NAME = "tensorflow"
TITLE = "TensorFlow"
CONV_ON_CPU = "conv nets on a CPU: oneDNN, no XLA"
CONV_ON_GPU = "conv nets on a GPU: cuDNN, no XLA, whose gradient of a max pool is not deterministic"
BFLOAT16_ON_CPU = True
# TensorFlow's 400,000 objects live as long as the process: each search for garbage among them takes a quarter of a
# second. They are released at the end, or libraries that look for leaks then would report them.
gc.freeze()
atexit.register(gc.unfreeze)


class Adam(keras.optimizers.Adam):  # type: ignore[misc] # keras ships no types
    """Adam whose update of a variable is one operation, TensorFlow's own, instead of Keras' fifteen.

    The same formula, but weights and moments are read only once; docs/log.md has the measurements.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a tf.Variable and its two moments in place."""
        index, step = self._get_variable_index(variable), tf.cast(self.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


def compiled(
    go_on: Callable[..., Any], step: Callable[..., State], variables: Sequence[Any], jit: bool
) -> Callable[..., State]:
    """See `Backend.compiled`."""
    del variables  # the graph refers to them

    def run(state: State, *arguments: Any) -> State:
        here = (lambda *state: go_on(state, *arguments), lambda *state: step(state, *arguments))
        return tuple(tf.while_loop(*here, state, parallel_iterations=1))  # one step after the other

    # Nothing here branches on tensors in Python, and AutoGraph's rewriting takes half a second of the first training.
    return tf.function(run, jit_compile=jit, autograph=False)  # type: ignore[no-any-return] # no types


def tensor(array: npt.NDArray[Any]) -> Any:
    """See `Backend.tensor`."""
    return tf.raw_ops.Identity(input=array)  # tf.constant copies once or twice


def gradients(model: Any, loss: Callable[[], tuple[Any, Any]]) -> tuple[list[Any], Any]:
    """See `Backend.gradients`."""
    with tf.GradientTape() as tape:
        value, rest = loss()
    return tape.gradient(value, model.trainable_variables), rest


def normalised(maps: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """See `Backend.normalised`."""
    none: list[float] = []
    done = tf.raw_ops.FusedBatchNormV3(x=maps, scale=gamma, offset=beta, mean=none, variance=none, epsilon=epsilon)
    count = tf.cast(tf.size(maps) / tf.size(gamma), "float32")
    return done.y, done.batch_mean, done.batch_variance * (1.0 - 1.0 / count)  # TensorFlow divides by count - 1


def gpus() -> list[Gpu]:
    """See `Backend.gpus`.

    Raises:
        TrainingFailed: TensorFlow has allocated all of a GPU's memory already.
    """
    found = tf.config.list_physical_devices("GPU")
    for gpu in found:
        if not tf.config.experimental.get_memory_growth(gpu):
            _grow(gpu)
    details = [tf.config.experimental.get_device_details(gpu) for gpu in found]
    return [Gpu(str(one.get("device_name", "gpu")), one.get("compute_capability", (0, 0))) for one in details]


def _grow(gpu: tf.config.PhysicalDevice) -> None:
    """Allocate memory as it is needed, so that other processes can use the GPU; only possible before its first use."""
    try:
        tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise TrainingFailed(
            f"TensorFlow has allocated the whole GPU already ({error})", "train in another process"
        ) from error


def deterministic() -> None:
    """See `Backend.deterministic`."""
    tf.config.experimental.enable_op_determinism()
    # This optimization reorders sums differently in every trace, which changes the last bits of Muon's weights.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def out_of_memory(error: BaseException) -> bool:
    """See `Backend.out_of_memory`."""
    return isinstance(error, tf.errors.ResourceExhaustedError)
