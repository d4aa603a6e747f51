"""Where a model is trained, and by the rules stated here: with XLA or without, in float32 or mixed bfloat16.

Measured on two cores with avx512_bf16 (docs/log.md): XLA makes the epoch of a dense net 14 times faster than
`model.fit`, but its convolutions on a CPU are 50 times slower than oneDNN's; bfloat16 doubles the speed of a conv net
where the processor has the instructions, and is emulated, slowly, where it has not.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from artifacts.recipes.base import Recipe
from data.errors import TrainingFailed, UnknownName

WANTED = ("auto", "gpu", "cpu")


@dataclass(frozen=True)
class Device:
    """Where and how to train.

    Args:
        name: as TensorFlow calls it, such as `/CPU:0`.
        description: for people, such as `cpu (avx512_bf16)`.
        jit: whether XLA compiles the epoch.
        jit_rule: the reason.
        precision: Keras dtype policy.
        precision_rule: the reason.
    """

    name: str
    description: str
    jit: bool
    jit_rule: str
    precision: str
    precision_rule: str


def choose(recipe: Recipe, wanted: str = "auto") -> Device:
    """Return the device for a recipe.

    Raises:
        UnknownName: the device wanted is none of `auto`, `gpu` and `cpu`.
        TrainingFailed: a GPU was asked for and TensorFlow sees none; or Keras runs on another backend.
    """
    if wanted not in WANTED:
        raise UnknownName.among("device", wanted, WANTED)
    if keras.backend.backend() != "tensorflow":
        raise TrainingFailed(
            f"the loop is compiled by TensorFlow, but Keras was told to use {keras.backend.backend()}",
            "unset KERAS_BACKEND, or set it to tensorflow",
        )
    gpus = tf.config.list_physical_devices("GPU") if wanted != "cpu" else []
    if wanted == "gpu" and not gpus:
        raise TrainingFailed(
            "device 'gpu' was asked for, but TensorFlow sees no GPU",
            "install the extra with 'make setup-gpu' and check 'nvidia-smi', or use device 'auto' or 'cpu'",
        )
    return _gpu(recipe, gpus) if gpus else _cpu(recipe)


def _gpu(recipe: Recipe, gpus: list[tf.config.PhysicalDevice]) -> Device:
    for gpu in gpus:
        if not tf.config.experimental.get_memory_growth(gpu):
            _grow(gpu)
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    fast = recipe.bfloat16 and capability >= (8, 0)
    return Device(
        name="/GPU:0",
        description=str(details.get("device_name", "gpu")),
        jit=True,
        jit_rule="on a GPU every epoch is compiled by XLA",
        precision="mixed_bfloat16" if fast else "float32",
        precision_rule=f"compute capability {capability}, bfloat16 from (8, 0) on, where the recipe allows it",
    )


def _grow(gpu: tf.config.PhysicalDevice) -> None:
    """Take memory as it is needed, so that another process can use the GPU too; only possible before first use."""
    try:
        tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise TrainingFailed(
            f"TensorFlow has taken the whole GPU already ({error})", "train in a process of its own"
        ) from error


def _cpu(recipe: Recipe) -> Device:
    found = bfloat16_instructions()
    fast = recipe.bfloat16 and bool(found)
    dense = recipe.family == "dense"
    return Device(
        name="/CPU:0",
        description=f"cpu ({found})" if found else "cpu",
        jit=dense,
        jit_rule="dense nets on a CPU: the epoch is compiled by XLA" if dense else "conv nets on a CPU: oneDNN, no XLA",
        precision="mixed_bfloat16" if fast else "float32",
        precision_rule="bfloat16 where the processor has the instructions and the recipe allows it; "
        + (f"this one has {found}" if found else "this one has none")
        + ("" if recipe.bfloat16 else "; the recipe does not"),
    )


def bfloat16_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's bfloat16 instruction sets, or an empty string where it has none or does not say."""
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        return ""  # not Linux: float32 is always right
    return " ".join(sorted(set(re.findall(r"\b(?:avx512_bf16|amx_bf16)\b", text))))
