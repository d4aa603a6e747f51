"""A small modern conv net, the default champion on a CPU: one cycle of Muon, shifts and flips.

Claim: MNIST test 99.57 % ± 0.05, Fashion-MNIST test 93.12 % ± 0.06 (3 seeds each, on validation 99.60 and 93.94; both
sides of an image averaged where a flip keeps the class). With 26 epochs of AdamW and cutouts (the row of 94 % in the
benchmark) Fashion-MNIST 94.09 % ± 0.05, in 143 to 164 s.

Cost: 24 to 28 s (220,000 images; the host's speed swings), compilation and validation included, on two idle cores with
avx512_bf16.

Command: python -m benchmarks.training --rows times --only cnn
"""

from typing import Any

from artifacts.recipes import sizes
from artifacts.recipes.parameters import (
    BALANCE,
    LEAST_STEPS,
    PATIENCE,
    RACE,
    WARM_START,
    Parameter,
    choice,
    integer,
    real,
)
from artifacts.recipes.recipe import DatasetInfo, Plan, Recipe, Settings


def build(info: DatasetInfo, settings: Settings) -> Any:
    """Return Conv 3x3 - pool, Conv 3x3 - pool as often as the size asks for, Conv 3x3 - Dense - logits in float32."""
    import keras
    from keras import layers

    from artifacts.recipes.layers import normed_conv

    width, pools = settings["width"], sizes.pools(info)
    first, *middle, last = sizes.widths((width, 3 * width, 4 * width, 6 * width), pools + 1)
    return keras.Sequential(
        [
            *sizes.entrance(info),
            # No norm here: it would cost a seventh of the whole time, on all the pixels, and bring nothing.
            layers.Conv2D(
                first, sizes.kernel(info, 3), sizes.stride(info), padding="same", kernel_initializer="he_normal"
            ),
            # Maximum and relu commute; after the pool, relu has a quarter of the work: a tenth of the whole time.
            layers.MaxPooling2D(),
            layers.ReLU(),
            *(layer for filters in middle for layer in (*normed_conv(filters), layers.MaxPooling2D(), layers.ReLU())),
            *normed_conv(last),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(128, activation="relu", kernel_initializer="he_normal"),
            layers.Dense(info.n_classes, dtype="float32"),
        ]
    )


def plan(info: DatasetInfo, settings: Settings) -> Plan:
    """Return one cycle of the optimizer on images that are shifted and, where that keeps the class, flipped."""
    furthest = settings["shift"] if settings["beyond"] == "yes" else info.margin
    few = sizes.few(info.n_train, settings["epochs"], settings["batch"], settings["least_steps"])
    return Plan(
        epochs=settings["epochs"],
        batch=settings["batch"],
        optimizer=settings["optimizer"],
        learning_rate=settings["learning_rate"],
        schedule="triangular",
        warmup=settings["warmup"],
        betas=(0.8, 0.95),
        weight_decay=max(settings["weight_decay"], settings["weight_decay_if_few"] if few else 0.0),
        label_smoothing=settings["label_smoothing"],
        balance=settings["balance"],
        shift=min(settings["shift"], furthest),
        rotation=settings["rotation"],
        zoom=settings["zoom"],
        cutout=settings["cutout"],
        leave_out=settings["leave_out"],
        patience=settings["patience"],
        flip=info.mirror_symmetric,
        average_flips=info.mirror_symmetric,
        members=settings["members"],
    )


# How a conv net is trained: the same parameters for all of them.
TRAINING: dict[str, Parameter] = {
    "epochs": integer(4, 1, 1000, "passes over the training images"),
    "batch": integer(256, 1, 4096, "images per step"),
    "optimizer": choice("muon", ("muon", "adamw"), "update rule; AdamW needs a fifth of the learning rate"),
    "learning_rate": real(0.03, 1e-6, 10, "peak of the one-cycle schedule"),
    "warmup": real(0.1, 0, 1, "share of the steps in which the learning rate rises to its peak"),
    "weight_decay": real(0.0, 0, 1, "decoupled weight decay, multiplied by the learning rate"),
    "weight_decay_if_few": real(
        0.5, 0, 10, "least weight decay where images are so few that `least_steps` counts; 0: weight_decay as it is"
    ),
    "label_smoothing": real(0.1, 0, 0.9, "share of the target that is spread over all classes"),
    "balance": BALANCE,
    "shift": integer(2, 0, 8, "largest random shift, in pixels, within the empty frame of the images"),
    "beyond": choice("no", ("no", "yes"), "whether shifts may go beyond that frame; helps in long trainings"),
    "rotation": real(0.0, 0, 180, "largest random rotation, in degrees to either side"),
    "zoom": real(0.0, 0, 0.5, "largest random change of size, as a share of the size"),
    "cutout": integer(0, 0, 64, "side, in pixels, of the square that is blanked at random in every image"),
    "leave_out": real(
        0.0,
        0,
        0.9,
        "share of the images, the best known, left out of all epochs but first and last",
    ),
    "members": integer(1, 1, 16, "networks trained side by side, whose logits are averaged"),
    "least_steps": LEAST_STEPS,
    "patience": PATIENCE,
    "race": RACE,
    "warm_start": WARM_START,
}

RECIPE = Recipe(
    name="cnn",
    document=__doc__,
    family="conv",
    build=build,
    plan=plan,
    bfloat16=True,
    min_size=2,
    parameters={
        "width": integer(16, 1, 1024, "filters of the first convolution; the others have 3 and 4 times as many"),
        **TRAINING,
    },
)
