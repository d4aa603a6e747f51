"""JAX as a backend of the training loop: pure functions, through which the variables' values are passed as state."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy.typing as npt

from artifacts.backends.protocol import Gpu, State

NAME = "jax"
TITLE = "JAX"
# On CPUs, XLA rewrites convolutions for its fast code in the entry computation only, not inside loops: there the
# gradient of a kernel took up to 17 times as long (docs/log.md). On GPUs cuDNN is used inside loops, too.
CONV_ON_CPU = "conv nets on a CPU: XLA step by step, because its loops have no fast gradients of convolutions"
CONV_ON_GPU = ""
BFLOAT16_ON_CPU = False
Adam = keras.optimizers.Adam

Carried = tuple[list[Any], State]  # values of the variables, and the state of the loop


def compiled(
    go_on: Callable[..., Any], step: Callable[..., State], variables: Sequence[Any], jit: bool
) -> Callable[..., State]:
    """See `Backend.compiled`; without `jit` every step is a compiled call of its own."""

    def pure(carried: Carried, *arguments: Any) -> Carried:
        with keras.StatelessScope(list(zip(variables, carried[0], strict=True))) as scope:
            after = step(carried[1], *arguments)
        return [scope.get_current_value(variable) for variable in variables], after

    def whole(carried: Carried, *arguments: Any) -> Carried:
        return jax.lax.while_loop(  # type: ignore[no-any-return] # jax is not type-checked
            lambda carried: go_on(carried[1], *arguments), lambda carried: pure(carried, *arguments), carried
        )

    options = {"xla_gpu_deterministic_ops": True} if gpus() else {}  # not needed on a CPU
    call = jax.jit(whole if jit else pure, compiler_options=options)

    def run(state: State, *arguments: Any) -> State:
        carried = [variable.value for variable in variables], state
        if jit:
            carried = call(carried, *arguments)
        else:
            while go_on(carried[1], *arguments):
                carried = call(carried, *arguments)
        for variable, value in zip(variables, carried[0], strict=True):
            variable.assign(value)
        return carried[1]

    return run


def tensor(array: npt.NDArray[Any]) -> Any:
    """See `Backend.tensor`."""
    return jax.numpy.asarray(array)


def gradients(model: Any, loss: Callable[[], tuple[Any, Any]]) -> tuple[list[Any], Any]:
    """See `Backend.gradients`."""
    trainable, others = model.trainable_variables, model.non_trainable_variables
    held = [(variable, variable.value) for variable in others]

    def pure(values: list[Any]) -> tuple[Any, tuple[Any, list[Any]]]:
        with keras.StatelessScope([*zip(trainable, values, strict=True), *held]) as scope:
            value, rest = loss()
        return value, (rest, [scope.get_current_value(variable) for variable in others])

    start = [variable.value for variable in trainable]
    (_, (rest, changed)), found = jax.value_and_grad(pure, has_aux=True)(start)
    for variable, value in zip(others, changed, strict=True):
        variable.assign(value)
    return found, rest


def normalised(maps: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """See `Backend.normalised`."""
    exact = keras.ops.cast(maps, "float32")
    mean, variance = keras.ops.moments(exact, axes=(0, 1, 2))
    done = keras.ops.batch_normalization(exact, mean, variance, -1, beta, gamma, epsilon)
    return keras.ops.cast(done, maps.dtype), mean, variance


def gpus() -> list[Gpu]:
    """See `Backend.gpus`."""
    found = [device for device in jax.devices() if device.platform == "gpu"]
    return [Gpu(device.device_kind, _capability(device)) for device in found]


def _capability(gpu: Any) -> tuple[int, int]:
    major, _, minor = str(getattr(gpu, "compute_capability", "0.0")).partition(".")
    return (
        (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
    )  # on AMD it is a name such as gfx90a


def deterministic() -> None:
    """See `Backend.deterministic`: JAX needs no global switch, `compiled` passes an option to the compiler."""


def out_of_memory(error: BaseException) -> bool:
    """See `Backend.out_of_memory`."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
