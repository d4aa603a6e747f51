"""Where and how a model is trained, by the rules stated here: with or without XLA, in float32 or mixed bfloat16.

Measured on two cores with avx512_bf16 (docs/log.md): XLA makes the epoch of a dense net 14 times faster than
`model.fit`, but its convolutions on a CPU are 50 times slower than oneDNN's; bfloat16 doubles the speed of a conv net
where the processor has the instructions, and is emulated, slowly, where it has not. JAX always uses XLA: on a CPU its
conv nets are compiled step by step, because inside a loop gradients of convolutions are ten times slower than outside.
On a GPU, JAX trains both kinds as one XLA loop, TensorFlow only dense nets, because training must be deterministic.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from artifacts.backends.current import current
from artifacts.backends.protocol import Backend, Gpu
from artifacts.recipes.recipe import Recipe
from data.errors import TrainingFailed, UnknownName

WANTED = ("auto", "gpu", "cpu")


@dataclass(frozen=True)
class Device:
    """Where and how to train.

    Args:
        backend: what Keras runs on, `tensorflow` or `jax`.
        name: as Keras calls it, such as `cpu:0`.
        description: for people, such as `cpu (avx512_bf16)`.
        jit: whether XLA compiles the epoch as a whole.
        jit_rule: the rule that decided it.
        precision: Keras dtype policy, `float32` or `mixed_bfloat16`.
        precision_rule: the rule that decided it.
    """

    backend: str
    name: str
    description: str
    jit: bool
    jit_rule: str
    precision: str
    precision_rule: str


def choose(recipe: Recipe, wanted: str = "auto") -> Device:
    """Return the device for a recipe.

    Raises:
        UnknownName: `wanted` is not `auto`, `gpu` or `cpu`.
        TrainingFailed: a GPU was asked for and the backend sees none, or the backend is not supported.
    """
    if wanted not in WANTED:
        raise UnknownName.among("device", wanted, WANTED)
    backend = current()
    gpus = backend.gpus() if wanted != "cpu" else []
    if wanted == "gpu" and not gpus:
        raise TrainingFailed(
            f"device 'gpu' was asked for, but {backend.TITLE} sees no GPU",
            "install GPU support ('make setup-gpu' for TensorFlow, 'pip install jax[cuda13]' for JAX) and check "
            "'nvidia-smi', or use device 'auto' or 'cpu'",
        )
    return _gpu(recipe, backend, gpus[0]) if gpus else _cpu(recipe, backend)


def _gpu(recipe: Recipe, backend: Backend, gpu: Gpu) -> Device:
    fast = recipe.bfloat16 and gpu.capability >= (8, 0)
    without = backend.CONV_ON_GPU if recipe.family == "conv" else ""
    return Device(
        backend=backend.NAME,
        name="gpu:0",
        description=gpu.description,
        jit=not without,
        jit_rule=without or "on a GPU the epoch is compiled by XLA",
        precision="mixed_bfloat16" if fast else "float32",
        precision_rule=f"compute capability {gpu.capability}, bfloat16 from (8, 0) on, where the recipe allows it",
    )


def _cpu(recipe: Recipe, backend: Backend) -> Device:
    found = bfloat16_instructions()
    useful = found if backend.BFLOAT16_ON_CPU else ""
    fast = recipe.bfloat16 and bool(useful)
    dense = recipe.family == "dense"
    return Device(
        backend=backend.NAME,
        name="cpu:0",
        description=f"cpu ({found})" if found else "cpu",
        jit=dense,
        jit_rule="dense nets on a CPU: the epoch is compiled by XLA" if dense else backend.CONV_ON_CPU,
        precision="mixed_bfloat16" if fast else "float32",
        precision_rule=f"bfloat16 where {backend.TITLE} is faster with the processor's instructions and the recipe "
        + f"allows it; {f'this processor has {useful}' if useful else 'here it is not'}"
        + ("" if recipe.bfloat16 else "; the recipe does not"),
    )


def bfloat16_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's bfloat16 instruction sets; an empty string where it has none, or where that is unknown."""
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        return ""  # not Linux: float32 is always right
    return " ".join(sorted(set(re.findall(r"\b(?:avx512_bf16|amx_bf16)\b", text))))
