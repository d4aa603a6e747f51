"""What a backend of Keras has to provide so that recipes train on it. Everything else is written once, in `keras.ops`.

A step of training changes variables. TensorFlow changes them in place, also inside a compiled loop; JAX compiles pure
functions, so there the variables' values travel through the loop as its state. `compiled` and `gradients` hide that
difference, and the loop above them is the same text for both. Decision 0010 has the reasons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

State = tuple[Any, ...]  # scalars that a loop carries from step to step


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
        NAME: as Keras calls it.
        TITLE: for people.
        CONV_ON_CPU: why the epoch of a conv net is not one XLA loop on a CPU.
        CONV_ON_GPU: why it is not one on a GPU either, or nothing, if it is.
        BFLOAT16_ON_CPU: whether conv nets gain by bfloat16 on a CPU that has the instructions.
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
            variables: all that it reads or assigns to. They have their new values when `run` returns.
            jit: whether XLA compiles the loop as a whole.
        """

    def tensor(self, array: npt.NDArray[Any]) -> Any:
        """Return an array as a tensor on the current device, copied once at most: nobody may change it afterwards."""

    def gradients(self, model: Any, loss: Callable[[], tuple[Any, Any]]) -> tuple[list[Any], Any]:
        """Return the gradients of a loss by the model's trainable variables, inside a compiled step.

        Args:
            model: whose variables the loss reads, and may assign to where they are not trainable.
            loss: () -> scalar, and whatever else is wanted, which is handed through.
        """

    def normalised(self, maps: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
        """Return maps (b, h, w, c) with mean beta and deviation gamma in every channel, and what these were before.

        Args:
            maps: of any float type; the normalised ones have the same.
            gamma: float32 (c,).
            beta: float32 (c,).
            epsilon: added to the variances.

        Returns:
            The maps, and float32 means (c,) and variances (c,).
        """

    def gpus(self) -> list[Gpu]:
        """Return the GPUs there are, made to take memory as it is needed where that is possible."""

    def deterministic(self) -> None:
        """Ask for the same bits from the same inputs."""

    def out_of_memory(self, error: BaseException) -> bool:
        """Return whether this is how the backend says that the device's memory is full."""
