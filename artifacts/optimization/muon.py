"""Muon (Jordan et al. 2024): kernels move by orthogonal steps, everything else by Adam. On any Keras backend.

The average over a kernel's gradients is replaced by the nearest matrix with orthogonal rows or columns, so that all
directions are learned alike, not only those with large gradients. Keras' own Muon leaves convolutions to Adam; here
their kernels are treated as matrices of (height * width * inputs, filters), as in the original.
"""

from collections.abc import Sequence
from typing import Any

from keras import ops

from artifacts.backends.current import current

ADAM_SHARE = 0.4  # of the learning rate: biases and logits learn best at Adam's rates, which are smaller by about this
RMS = 0.2  # root mean square of a step's entries at a rate of 1, as large as Adam's (Liu et al. 2025)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that brings singular values close to 1 (Jordan et al. 2024)


class Muon(current().Adam):  # type: ignore[misc] # chosen when Keras is imported
    """Muon for all kernels except those of the logits (the shape of the last kernel); Adam for these and for vectors.

    Args:
        momentum: decay per step of the sum over gradients, 0..1.
        options: arguments of Keras' Adam.
    """

    def __init__(self, momentum: float, **options: Any) -> None:
        super().__init__(**options)
        self.momentum = momentum

    def build(self, variables: Sequence[Any]) -> None:
        """Create the moments of all variables, and record which variables are kernels."""
        super().build(variables)
        kernels = {index: tuple(one.shape) for index, one in enumerate(variables) if len(one.shape) in (2, 4)}
        logits = list(kernels.values())[-1]  # every member of an ensemble has one of this shape
        self.kernels = frozenset(index for index, shape in kernels.items() if shape != logits)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable and its moments."""
        index, shape = self._get_variable_index(variable), variable.shape
        if index not in self.kernels:
            super().update_step(gradient, variable, ADAM_SHARE * learning_rate)
            return
        gradient = ops.cast(gradient, variable.dtype)
        summed = self.momentum * self._momentums[index] + gradient
        self.assign(self._momentums[index], summed)
        ahead = ops.reshape(gradient + self.momentum * summed, (-1, shape[-1]))  # Nesterov's
        step = RMS * max(ahead.shape) ** 0.5 * orthogonal(ahead)
        self.assign_sub(variable, ops.reshape(learning_rate * step, shape))


def orthogonal(matrix: Any, iterations: int = 3) -> Any:
    """Return a matrix with the same singular vectors and singular values near 1, by Newton and Schulz's iteration.

    Every iterate is a polynomial in the products of the shorter side, times the matrix: so the iteration runs on these
    products alone, and the long side is used twice instead of six times.

    Args:
        matrix: float32 (m, n).
        iterations: three bring all but the smallest values to 0.7..1.2, which is enough to learn from.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    other = ops.transpose(matrix)
    products = ops.matmul(other, matrix) if tall else ops.matmul(matrix, other)
    scale = ops.trace(products) + 1e-14  # the sum of all squares: singular values start at 1 or below
    products = products / scale
    a, b, c = COEFFICIENTS
    one = ops.eye(min(matrix.shape), dtype=matrix.dtype)
    factor = one
    for _ in range(iterations):
        now = ops.matmul(ops.matmul(factor, factor), products)  # products of the iterate: all these matrices commute
        factor = ops.matmul(a * one + b * now + c * ops.matmul(now, now), factor)
    factor = factor / ops.sqrt(scale)
    return ops.matmul(matrix, factor) if tall else ops.matmul(factor, matrix)
