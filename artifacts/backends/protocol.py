"""What a Keras backend has to provide so that recipes train on it. Everything else is written once, in `keras.ops`.

A training step changes variables. TensorFlow changes them in place, also inside a compiled loop; JAX compiles pure
functions, so the variables' values are passed through the loop as its state. `compiled` and `gradients` hide that
difference, so that there is one loop for both. Decision 0010 has the reasons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

State = tuple[Any, ...]  # tensors that a loop passes from step to step


@dataclass(frozen=True)
class Gpu:
    """A GPU as a backend sees it.

    Args:
        description: for people, such as `NVIDIA A100`.
        capability: CUDA compute capability; (0, 0) where there is none.
    """

    description: str
    capability: tuple[int, int]


class Backend(Protocol):
    """A module such as `artifacts.backends.jax`.

    Attributes:
        NAME: Keras' name for it, such as `jax`.
        TITLE: its name for people, such as `JAX`.
        CONV_ON_CPU: why the epoch of a conv net is not one XLA loop on a CPU.
        CONV_ON_GPU: why it is not one XLA loop on a GPU; empty if it is.
        BFLOAT16_ON_CPU: whether conv nets are faster in bfloat16 on a CPU that has the instructions.
        Adam: Keras' optimizer of that name, or a subclass that does the same update faster.
    """

    NAME: str
    TITLE: str
    CONV_ON_CPU: str
    CONV_ON_GPU: str
    BFLOAT16_ON_CPU: bool
    Adam: type[Any]

    def compiled(
        self, go_on: Callable[..., Any], step: Callable[..., State], variables: Sequence[Any], jit: bool
    ) -> Callable[..., State]:
        """Return `run(state, *arguments) -> state`: a while loop as one compiled call.

        Args:
            go_on: (state, *arguments) -> bool scalar, whether there is another step.
            step: (state, *arguments) -> state. May assign to Keras variables.
            variables: all that `step` reads or assigns to. They have their new values when `run` returns.
            jit: whether XLA compiles the loop as a whole.
        """

    def tensor(self, array: npt.NDArray[Any]) -> Any:
        """Return an array as a tensor on the current device, copied at most once: never change the array later."""

    def gradients(self, model: Any, loss: Callable[[], tuple[Any, Any]]) -> tuple[list[Any], Any]:
        """Return the gradients of a loss with respect to the model's trainable variables, inside a compiled step.

        Args:
            model: the loss reads its variables, and may assign to those that are not trainable.
            loss: () -> (scalar, anything else), the latter is returned unchanged.
        """

    def normalised(self, maps: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
        """Normalise maps (b, h, w, c) to mean beta and standard deviation gamma in every channel.

        Args:
            maps: of any float dtype; the result has the same.
            gamma: float32 (c,).
            beta: float32 (c,).
            epsilon: added to the variances.

        Returns:
            The normalised maps, and the float32 means (c,) and variances (c,) of the given ones.
        """

    def gpus(self) -> list[Gpu]:
        """Return the GPUs, configured to allocate memory as it is needed where that is possible."""

    def deterministic(self) -> None:
        """Make the same inputs give the same bits."""

    def out_of_memory(self, error: BaseException) -> bool:
        """Return whether this error means that the device's memory is full."""
