"""Two convolutions and a dense layer, LeNet's plan: MNIST within seconds.

Claim: MNIST test 99.51 % ± 0.06; after three quarters of an epoch (`epochs=1,steps=160,shift=0`) 99.12 % ± 0.06
(5 seeds each, on validation 99.53 and 99.17).

Cost: 9 to 12.3 s, three quarters of an epoch 2.4 to 3.5 s (the host's speed swings); compilation and validation
included, on two idle cores with avx512_bf16.

Command: python -m benchmarks.training --rows times --only cnn-small --seeds 5
"""

from dataclasses import replace
from typing import Any

from artifacts.recipes import cnn, sizes
from artifacts.recipes.parameters import integer, with_defaults
from artifacts.recipes.recipe import DatasetInfo, Plan, Recipe, Settings


def build(info: DatasetInfo, _settings: Settings) -> Any:
    """Return Conv 5x5 - pool, Conv 3x3 - pool as often as the size asks for, Dense, each with relu; float32 logits."""
    import keras
    from keras import layers

    def conv(filters: int, size: int, stride: int = 1) -> Any:
        # Unpadded where there is room: digits do not touch the border, and the second convolution has half the work.
        padding = "valid" if min(info.height, info.width) >= 20 and max(info.height, info.width) <= 40 else "same"
        return layers.Conv2D(filters, size, stride, padding=padding, kernel_initializer="he_normal")

    first, *others = sizes.widths((16, 48, 64), sizes.pools(info))

    return keras.Sequential(
        [
            *sizes.entrance(info),
            conv(first, sizes.kernel(info, 5), sizes.stride(info)),
            layers.MaxPooling2D(),
            layers.ReLU(),
            *(layer for filters in others for layer in (conv(filters, 3), layers.MaxPooling2D(), layers.ReLU())),
            layers.Flatten(),
            layers.Dense(64, activation="relu", kernel_initializer="he_normal"),
            layers.Dense(info.n_classes, dtype="float32"),
        ]
    )


def plan(info: DatasetInfo, settings: Settings) -> Plan:
    """Return what `cnn` trains by, for fewer steps where that is asked for."""
    return replace(cnn.plan(info, settings), steps=settings["steps"] or None)


RECIPE = Recipe(
    name="cnn-small",
    document=__doc__,
    family="conv",
    build=build,
    plan=plan,
    bfloat16=True,
    min_size=2,
    parameters={
        **with_defaults(cnn.TRAINING, shift=1, weight_decay=0.1),
        "steps": integer(0, 0, 1_000_000, "stop after this many updates of the weights; 0: train all epochs"),
    },
)
